/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/io.h"

struct worker {
	struct agent *agent; /* borrowed */
	int fd;		     /* owned */
	loop_id id;
	void (*done)(void *user, const void *result, size_t len);
	void *user;
	size_t len;
	_Alignas(8) unsigned char result[WORKER_RESULT_MAX];
};

void worker_cancel(struct worker *w)
{
	if (!w)
		return;
	loop_remove(w->agent->loop, &w->id);
	close_auto(&w->fd);
	free(w);
}

static void on_result(void *user, uint32_t events)
{
	struct worker *w = user;
	ssize_t n = read(w->fd, w->result + w->len, sizeof(w->result) - w->len);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		w->len += (size_t)n;
		return;
	}
	w->done(w->user, w->result, w->len);
	worker_cancel(w);
}

static _Noreturn void child(void (*work)(const void *arg, int fd), const void *arg, int fd)
{
	sigset_t none;

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	work(arg, fd);
	_exit(0);
}

int worker_start(struct agent *a, void (*work)(const void *arg, int fd), const void *arg,
		 void (*done)(void *user, const void *result, size_t len), void *user,
		 struct worker **ret_worker)
{
	AUTO_FREE struct worker *w = calloc(1, sizeof(*w));
	AUTO_CLOSE int ours = -1, theirs = -1;
	int p[2], r;
	pid_t pid;

	if (!w)
		return -ENOMEM;
	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	ours = p[0];
	theirs = p[1];
	r = io_set_nonblock(ours, 1);
	if (r < 0)
		return r;
	*w = (struct worker){ .agent = a, .done = done, .user = user };
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		close_auto(&ours);
		child(work, arg, theirs);
	}
	r = loop_add_fd(a->loop, ours, EPOLLIN, on_result, w, &w->id);
	if (r < 0)
		return r;
	w->fd = TAKE_FD(ours);
	*ret_worker = TAKE_PTR(w);
	return 0;
}
