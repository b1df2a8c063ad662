/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/io.h"
#include "proto/frame.h"
#include "proto/launch.h"
#include "runtime/internal.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

#define STOP_SLACK_MS 20000 /* flush (5 s), kill (300 ms) and the end of QEMU, on a busy machine */
#define CUT_SLACK_MS  10000
#define LOCK_RETRY_MS 10

static int end_json(const struct exit_record *end, char **ret_end, struct err *err)
{
	char *json;

	if (!ret_end)
		return 0;
	json = exit_record_json(end);
	if (!json)
		return err_no_memory(err);
	*ret_end = json;
	return 0;
}

/*
 * After home_close() the monitor of an ephemeral sandbox removes the folder itself, as if the
 * client had died; its record goes with it, and the missing folder is the record.
 */
static bool left_by_itself(const struct sandbox *sb)
{
	struct stat st;
	bool closed;

	(void)pthread_mutex_lock(&sb->home->lock);
	closed = sb->home->closed;
	(void)pthread_mutex_unlock(&sb->home->lock);
	return closed && sb->ephemeral && fstat(sb->run_dir, &st) == 0 && st.st_nlink == 0;
}

static void read_end(struct sandbox *sb)
{
	/* Our folder is still open, even if another client has removed its name. */
	exit_record_take(sb->run_dir, sb->id, &sb->end);
	if (strcmp(sb->end.reason, "monitor-killed") == 0 && left_by_itself(sb))
		(void)snprintf(sb->end.reason, sizeof(sb->end.reason), "parent-exited");
}

/* The id of a named sandbox is used again: what is not locked may be of its next boot. */
static int record_own_end(const struct sandbox *sb, struct err *err)
{
	AUTO_CLOSE int lock = -1;

	if (!sb->ephemeral) {
		lock = run_folder_lock(sb->run_dir, LOCK_EX);
		if (lock == -ENOENT)
			return 0; /* another has done it */
		if (lock < 0)
			return err_sys(err, -lock, "lock the folder of '%s'", sb->name);
	}
	return home_record_end(sb->home, sb->id, sb->ephemeral, &sb->end, err);
}

/* The monitor is gone: take its record over, once. */
static int take_end(struct sandbox *sb, char **ret_end, struct err *err)
{
	siginfo_t info;
	int r = 0;

	(void)pthread_mutex_lock(&sb->lock);
	if (!sb->ended) {
		read_end(sb);
		/* It is our child, unless another part of the program has collected it. */
		(void)waitid((idtype_t)P_PIDFD, (id_t)sb->pidfd, &info, WEXITED | WNOHANG);
		r = record_own_end(sb, err);
		if (r == 0)
			home_sweep(sb->home);
		sb->ended = r == 0;
	}
	if (r == 0)
		r = end_json(&sb->end, ret_end, err);
	(void)pthread_mutex_unlock(&sb->lock);
	return r;
}

/* @timeout_ms: -1: none but that of the call. */
static int wait_end(struct sandbox *sb, int64_t timeout_ms, const struct call *call, char **ret_end,
		    struct err *err)
{
	struct pollfd p = { .fd = sb->pidfd, .events = POLLIN };
	int r = cancel_poll(call_cancel(call), &p, 1, timeout_ms, err);

	if (r > 0)
		return take_end(sb, ret_end, err);
	if (r == 0 || err->code == ERR_TIMEOUT)
		err_set(err, ERR_TIMEOUT, "sandbox '%s' is still running", sb->name);
	return err_detail(err, ERR_NR_NONE, sb->name);
}

int sandbox_wait(struct sandbox *sb, const struct call *call, char **ret_end, struct err *err)
{
	return wait_end(sb, -1, call, ret_end, err);
}

static int send_stop(int run_dir, const struct stop_request *request)
{
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	AUTO(buf_done) struct buf b = { 0 };
	struct sockaddr_un addr;
	int r;

	if (fd < 0)
		return -errno;
	socket_address(run_dir, "control.sock", &addr);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	buf_init(&b, 4096);
	r = stop_request_encode(&b, request);
	if (r < 0)
		return r;
	/* A few bytes into an empty socket: they go out whole, or the monitor is gone. */
	return send(fd, b.data, b.len, MSG_NOSIGNAL) == (ssize_t)b.len ? 0 : -EPIPE;
}

static int ask_to_end(int run_dir, const char *name, const struct stop_request *request,
		      struct err *err)
{
	int r = send_stop(run_dir, request);

	/* Nobody listens once it ends by itself; then waiting is all there is to do. */
	if (r < 0 && r != -ECONNREFUSED && r != -ENOENT && r != -EPIPE && r != -ECONNRESET)
		return err_sys(err, -r, "reach msb-sandbox of '%s'", name);
	return 0;
}

int sandbox_stop(struct sandbox *sb, enum sandbox_how how, int64_t grace_ms,
		 const struct call *call, char **ret_end, struct err *err)
{
	static const enum stop_how hows[] = {
		[SANDBOX_GRACEFUL] = STOP_GRACEFUL,
		[SANDBOX_KILL] = STOP_KILL,
		[SANDBOX_CUT] = STOP_CUT,
	};
	struct stop_request request = { 0 };
	int64_t slack = how == SANDBOX_CUT ? CUT_SLACK_MS : STOP_SLACK_MS;
	int r;

	if ((unsigned)how >= SANDBOX_HOW_MAX)
		return err_set(err, ERR_INVALID, "there is no way %d to stop", (int)how);
	if (grace_ms < 0)
		grace_ms = (int64_t)sb->stop_timeout_ms;
	if (grace_ms > UINT32_MAX)
		grace_ms = UINT32_MAX;
	request.how = hows[how];
	request.grace_ms = how == SANDBOX_GRACEFUL ? (uint32_t)grace_ms : 0;
	r = ask_to_end(sb->run_dir, sb->name, &request, err);
	if (r < 0)
		return r;
	if (call && call->has_deadline)
		return wait_end(sb, -1, call, ret_end, err);
	return wait_end(sb, request.grace_ms + slack, call, ret_end, err);
}

/* The lock of a sandbox that was told to end, by its own deadlines: what run_folder_lock() gives. */
static int lock_ending(int run_dir, const struct call *call, struct err *err)
{
	for (;;) {
		int lock = run_folder_lock(run_dir, LOCK_EX | LOCK_NB);

		if (lock != -EWOULDBLOCK)
			return lock;
		/* No descriptor tells that a lock is free. */
		if (cancel_poll(call_cancel(call), NULL, 0, LOCK_RETRY_MS, err) < 0)
			return -EINTR;
	}
}

/* The lock of the run folder once nothing lives in it; untouched if there is no folder. */
static int lock_ended(struct home *home, const struct state_sandbox *row, bool force,
		      const struct call *call, int *ret_lock, struct err *err)
{
	static const struct stop_request kill_it = { .how = STOP_KILL };

	for (;;) {
		AUTO_CLOSE int run_dir = openat(home->run_fd, row->id,
						O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		int r;

		if (run_dir < 0 && errno == ENOENT)
			return 0;
		if (run_dir < 0)
			return err_sys(err, errno, "open the folder of '%s'", row->name);
		r = run_folder_lock(run_dir, LOCK_EX | LOCK_NB);
		if (r == -EWOULDBLOCK && !force) {
			err_set(err, ERR_BUSY, "sandbox '%s' is running; stop it first", row->name);
			return err_detail(err, ERR_NR_STILL_RUNNING, row->name);
		}
		if (r == -EWOULDBLOCK) {
			if (ask_to_end(run_dir, row->name, &kill_it, err) < 0)
				return -(int)err->code;
			r = lock_ending(run_dir, call, err);
			if (r == -EINTR)
				return -(int)err->code;
		}
		if (r >= 0) {
			*ret_lock = r;
			return 0;
		}
		if (r == -ENOENT) /* taken over: now there is none, or that of a new boot */
			r = run_folder_remains(home, row->id, run_dir);
		if (r < 0)
			return err_sys(err, -r, "lock the folder of '%s'", row->name);
	}
}

int home_sandbox_remove(struct home *home, const char *name, bool force, const struct call *call,
			struct err *err)
{
	struct state_sandbox row = { 0 };
	AUTO_CLOSE int lock = -1;
	int r = state_sandbox_find(home->state, name, &row, err);

	if (r < 0)
		return err->code == ERR_NOT_FOUND ? err_detail(err, ERR_NR_SANDBOX_NOT_FOUND, name)
						  : r;
	r = lock_ended(home, &row, force, call, &lock, err);
	if (r == 0)
		r = state_sandbox_remove(home->state, row.id, err);
	if (r == 0) {
		home_sweep(home);
		if (lock >= 0)
			remove_folder(home->run_fd, row.id);
		remove_folder(home->sandboxes_fd, row.id);
	}
	state_sandbox_done(&row);
	return r;
}
