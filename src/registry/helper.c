/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/spawn.h"
#include "registry/fail.h"
#include "registry/host_key.h"
#include "registry/secret_json.h"

#define PREFIX	  "docker-credential-"
#define NOT_FOUND "credentials not found in native keychain" /* docker-credential-helpers */

bool helper_name_valid(const char *name)
{
	size_t n =
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

	return n > 0 && n <= 64 && !name[n];
}

/* Only absolute folders of PATH count. */
static int find(const struct helper *h, char *out, size_t size)
{
	for (const char *dir = h->path; dir && *dir;) {
		size_t len = strcspn(dir, ":");
		int n = snprintf(out, size, "%.*s/" PREFIX "%s", (int)len, dir, h->name);

		if (dir[0] == '/' && n > 0 && (size_t)n < size && access(out, X_OK) == 0)
			return 0;
		dir += len + (dir[len] == ':');
	}
	return -ENOENT;
}

struct running {
	int out, pidfd; /* owned */
	uint64_t end;	/* CLOCK_MONOTONIC, ns */
};

/* More of its answer. Return: 1 more may come, 0 it ended, -errno. */
static int read_some(int fd, struct buf *answer)
{
	size_t room = answer->max - answer->len;
	char spare;
	ssize_t n = read(fd, room ? (void *)(answer->data + answer->len) : &spare, room ? room : 1);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 1 : -errno;
	if (n > 0 && !room)
		return -EMSGSIZE;
	buf_grew(answer, (size_t)n);
	return n > 0;
}

/* Read until it has ended; what it left behind may keep the pipe open. */
static int collect(const struct helper *h, const struct running *p, struct buf *answer)
{
	struct pollfd fds[] = { { .fd = p->out, .events = POLLIN },
				{ .fd = p->pidfd, .events = POLLIN },
				{ .fd = cancel_fd(h->cancel), .events = POLLIN } };
	uint64_t now;
	int r;

	for (;;) {
		now = clock_now_ns();
		if (cancel_fired(h->cancel))
			return -ECANCELED;
		if (now >= p->end)
			return -ETIMEDOUT;
		if (poll(fds, 3, (int)((p->end - now) / NS_PER_MS) + 1) < 0 && errno != EINTR)
			return -errno;
		if (fds[0].revents) {
			r = read_some(p->out, answer);
			if (r < 0)
				return r;
			if (r == 0)
				fds[0].fd = -1;
		} else if (fds[1].revents) {
			return 0;
		}
		fds[0].revents = fds[1].revents = 0;
	}
}

static int start(const struct helper *h, const char *verb, const char *input, struct running *ret)
{
	char program[PATH_MAX];
	char *argv[] = { program, (char *)(uintptr_t)verb, NULL };
	AUTO_CLOSE int in = io_memfd("credential-helper", input, strlen(input));
	AUTO_CLOSE int out = -1;
	AUTO_CLOSE int theirs = -1;
	int pipe[2];
	struct spawn_args args = {
		.path = program, .argv = argv, .envp = environ, .n_fds = 2, .die_with_parent = true
	};
	pid_t pid;

	if (find(h, program, sizeof(program)) < 0)
		return -ENOENT;
	if (in < 0)
		return in;
	if (pipe2(pipe, O_CLOEXEC) < 0)
		return -errno;
	out = pipe[0];
	theirs = pipe[1];
	if (io_set_nonblock(out, 1) < 0)
		return -EIO;
	args.fds = (struct spawn_fd[]){ { in, 0 }, { theirs, 1 } };
	pid = spawn(&args, &ret->pidfd);
	if (pid < 0)
		return (int)pid;
	ret->out = TAKE_FD(out);
	ret->end = clock_now_ns() + h->timeout_ms * NS_PER_MS;
	return 0;
}

static void first_line(const struct buf *answer, char *out, size_t size)
{
	size_t n = 0;

	while (n < answer->len && n + 1 < size && answer->data[n] != '\n') {
		out[n] = answer->data[n] >= 0x20 && answer->data[n] < 0x7f ? (char)answer->data[n]
									   : '?';
		n++;
	}
	out[n] = '\0';
}

static int tell(const struct helper *h, int r, struct err *err)
{
	if (r == -ECANCELED)
		return fail_cancelled(err);
	if (r == -ENOENT)
		return err_set(err, ERR_NOT_FOUND, PREFIX "%s is not on PATH", h->name);
	if (r == -ETIMEDOUT)
		return err_set(err, ERR_TIMEOUT, PREFIX "%s gave no answer within %llu ms", h->name,
			       (unsigned long long)h->timeout_ms);
	if (r == -EMSGSIZE)
		return err_set(err, ERR_PROTOCOL, PREFIX "%s answers more than %lu bytes", h->name,
			       HELPER_ANSWER_MAX);
	return err_sys(err, -r, PREFIX "%s", h->name);
}

/* Run it to its end. Return: 1 with its answer, 0: "not found". */
static int run(const struct helper *h, const char *verb, const char *input, struct buf *answer,
	       struct err *err)
{
	struct running p = { -1, -1, 0 };
	siginfo_t info = { 0 };
	char line[200];
	int r = start(h, verb, input, &p);

	if (r < 0)
		return tell(h, r, err);
	buf_init(answer, HELPER_ANSWER_MAX);
	/* At once: a buffer that grows leaves secrets behind. */
	r = buf_room(answer, HELPER_ANSWER_MAX) ? collect(h, &p, answer) : -ENOMEM;
	if (r < 0)
		(void)syscall(SYS_pidfd_send_signal, p.pidfd, SIGKILL, NULL, 0u);
	/* A caller that ignores SIGCHLD leaves no status: then the answer decides. */
	while (waitid(P_PIDFD, (id_t)p.pidfd, &info, WEXITED) < 0 && errno == EINTR)
		;
	(void)close(p.out);
	(void)close(p.pidfd);
	if (r < 0)
		return tell(h, r, err);
	first_line(answer, line, sizeof(line));
	if (info.si_pid == 0 || (info.si_code == CLD_EXITED && info.si_status == 0))
		return 1;
	if (strcmp(line, NOT_FOUND) == 0)
		return 0;
	return err_set(err, ERR_UNAVAILABLE, PREFIX "%s failed: %s", h->name,
		       *line ? line : "it says nothing");
}

int helper_parse(const char *what, void *data, size_t len, struct login *ret, struct err *err)
{
	AUTO(secret_json_done) struct secret_json json = { 0 };
	struct json_at root;
	const char *user = "", *secret = "";
	int r = secret_json_parse(&json, what, data, len, HELPER_ANSWER_MAX, err);

	if (r < 0)
		return r;
	root = json_root(json.value, what);
	if ((r = json_get_object(&root, err)) < 0 ||
	    (r = json_opt_str(&root, "Username", &user, err)) < 0 ||
	    (r = json_opt_str(&root, "Secret", &secret, err)) < 0)
		return r;
	if (!*secret)
		return 0;
	r = login_set(ret, user, secret);
	if (r == -EINVAL)
		return err_set(err, ERR_PROTOCOL, "%s: an odd user or secret", what);
	return r < 0 ? err_no_memory(err) : 1;
}

int helper_get(const struct helper *h, const char *host, struct login *ret, struct err *err)
{
	AUTO(secret_buf_done) struct buf answer = { 0 };
	char what[sizeof(PREFIX) + 64];
	int r = run(h, "get", host_key_of_docker(host), &answer, err);

	if (r <= 0)
		return r;
	(void)snprintf(what, sizeof(what), PREFIX "%s", h->name);
	return helper_parse(what, answer.data, answer.len, ret, err);
}

int helper_list(const struct helper *h, helper_fn fn, void *user, struct err *err)
{
	AUTO(secret_buf_done) struct buf answer = { 0 };
	AUTO(json_decref) json_t *value = NULL;
	struct json_at root;
	const char *key;
	json_t *item;
	int r = run(h, "list", "", &answer, err);

	if (r <= 0)
		return r;
	r = json_parse(h->name, answer.data, answer.len, HELPER_ANSWER_MAX, &value, err);
	if (r < 0)
		return r;
	root = json_root(value, h->name);
	if ((r = json_get_object(&root, err)) < 0)
		return r;
	json_object_foreach(value, key, item)
	{
		AUTO_FREE char *host = host_key_clean(key);

		if (!host)
			return err_no_memory(err);
		r = fn(user, host, json_is_string(item) ? json_string_value(item) : "");
		if (r < 0)
			return r;
	}
	return 0;
}
