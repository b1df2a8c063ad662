/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: how a sandbox ends, for whoever asks
 *
 * A client asks through the control socket and hears of the end there: it need not be the parent.
 * Whoever gets the lock of the run folder then takes the end over (row, folder); the others have
 * the monitor's word, or the row.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>

#include "proto/launch.h"
#include "runtime/identity.h"
#include "runtime/internal.h"
#include "runtime/watch.h"

#define STOP_SLACK_MS 20000 /* flush (5 s), kill (300 ms) and the end of QEMU, on a busy machine */
#define CUT_SLACK_MS  10000
#define LOCK_RETRY_MS 10

/* What of it is the caller's. */
struct end_wish {
	const struct stop_request *request; /* NULL: only wait */
	int64_t timeout_ms;		    /* -1: none but that of the call */
	bool force;			    /* a monitor that does not react is killed */
	const struct call *call;
};

/* The lock of a sandbox that ends, by its own deadlines: what run_folder_lock() gives. */
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

static int open_run_dir(const struct home *home, const char *id)
{
	int fd = openat(home->run_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Wait until the monitor is gone. */
static int wait_gone(struct watch *w, int run_dir, const char *name, const struct end_wish *wish,
		     struct err *err)
{
	bool killed = false;

	while (!w->gone) {
		int r = watch_next(w, call_cancel(wish->call), wish->timeout_ms, err);

		if (r == 0 && wish->force && !killed) {
			r = identity_kill(run_dir, err);
			killed = true;
		} else if (r == 0) {
			r = err_set(err, ERR_TIMEOUT, "sandbox '%s' is still running", name);
		} else if (r < 0 && err->code == ERR_TIMEOUT) {
			err_set(err, ERR_TIMEOUT, "sandbox '%s' is still running", name);
		}
		if (r < 0)
			return err_detail(err, ERR_NR_NONE, name);
	}
	return 0;
}

/* What is known of an end that another client has taken over. */
static int recorded_end(const struct sandbox *sb, struct exit_record *end, struct err *err)
{
	struct state_sandbox row = { 0 };
	bool closed;
	int r = state_sandbox_by_id(sb->home->state, sb->id, &row, err);

	if (r == 0) {
		exit_record_of_row(&row, end);
		state_sandbox_done(&row);
		return 0;
	}
	if (err->code != ERR_NOT_FOUND)
		return r;
	(void)pthread_mutex_lock(&sb->home->lock);
	closed = sb->home->closed;
	(void)pthread_mutex_unlock(&sb->home->lock);
	/* After home_close() a monitor behaves as if the client had died, and leaves nothing. */
	if (!closed || !sb->ephemeral)
		return err_detail(err, ERR_NR_SANDBOX_NOT_FOUND, sb->name);
	*err = ERR_INIT;
	*end = (struct exit_record){ .reason = "parent-exited", .code = -1 };
	return 0;
}

/* The monitor is gone: take its record over, or see who did. */
static int conclude(const struct sandbox *sb, int run_dir, const struct watch *w,
		    const struct call *call, struct exit_record *end, struct err *err)
{
	AUTO_CLOSE int lock = -1;

	home_reap(sb->home, sb->id);
	lock = lock_ending(run_dir, call, err);
	if (lock == -EINTR)
		return -(int)err->code;
	if (lock < 0 && lock != -ENOENT)
		return err_sys(err, -lock, "lock the folder of '%s'", sb->name);
	if (w->has_record)
		*end = w->record;
	else if (lock >= 0)
		exit_record_take(run_dir, sb->id, end);
	else
		return recorded_end(sb, end, err);
	return lock >= 0 ? home_record_end(sb->home, sb->id, sb->ephemeral, end, err) : 0;
}

/* End or wait for the boot that runs now, if there is one. */
static int see_end(const struct sandbox *sb, const struct end_wish *wish, struct exit_record *end,
		   struct err *err)
{
	AUTO(watch_close) struct watch w = { .fd = -1 };
	AUTO_CLOSE int run_dir = open_run_dir(sb->home, sb->id);
	int r;

	if (run_dir == -ENOENT) {
		r = home_settle(sb->home, sb->id, err);
		return r < 0 ? r : recorded_end(sb, end, err);
	}
	if (run_dir < 0)
		return err_sys(err, -run_dir, "open the folder of '%s'", sb->name);
	r = watch_open(&w, run_dir, sb->id, wish->request, err);
	if (r == 0)
		r = wait_gone(&w, run_dir, sb->name, wish, err);
	return r < 0 ? r : conclude(sb, run_dir, &w, wish->call, end, err);
}

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

/* Of an ephemeral sandbox the handle is all that remembers. */
static int end_of(struct sandbox *sb, const struct end_wish *wish, char **ret_end, struct err *err)
{
	struct exit_record end = { 0 };
	bool known;
	int r = 0;

	(void)pthread_mutex_lock(&sb->lock);
	known = sb->ended;
	if (known)
		end = sb->end;
	(void)pthread_mutex_unlock(&sb->lock);
	if (!known)
		r = see_end(sb, wish, &end, err);
	if (r < 0)
		return r;
	(void)pthread_mutex_lock(&sb->lock);
	sb->ended = sb->ephemeral && end.reason[0];
	if (sb->ended)
		sb->end = end;
	(void)pthread_mutex_unlock(&sb->lock);
	return end_json(&end, ret_end, err);
}

int sandbox_wait(struct sandbox *sb, const struct call *call, char **ret_end, struct err *err)
{
	struct end_wish wish = { .timeout_ms = -1, .call = call };

	return end_of(sb, &wish, ret_end, err);
}

int sandbox_wait_ready(struct sandbox *sb, const struct call *call, struct err *err)
{
	AUTO(watch_close) struct watch w = { .fd = -1 };
	AUTO_CLOSE int run_dir = open_run_dir(sb->home, sb->id);
	int r;

	if (run_dir == -ENOENT)
		return 1;
	if (run_dir < 0)
		return err_sys(err, -run_dir, "open the folder of '%s'", sb->name);
	r = watch_open(&w, run_dir, sb->id, NULL, err);
	while (r == 0 && !w.gone && !w.ready) {
		r = watch_next(&w, call_cancel(call), -1, err);
		r = r < 0 ? r : 0;
	}
	if (r < 0)
		return r;
	return w.ready && !w.has_record && !w.gone ? 0 : 1;
}

/* Readable when a boot of any sandbox begins. */
static int watch_boots(const struct home *home, int *ret_fd, struct err *err)
{
	AUTO_CLOSE int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", home->run_fd);
	if (fd < 0 || inotify_add_watch(fd, path, IN_MOVED_TO | IN_ONLYDIR) < 0)
		return err_sys(err, errno, "watch '%s/run'", home->path);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int sandbox_wait_running(struct sandbox *sb, const struct call *call, struct err *err)
{
	AUTO_CLOSE int boots = -1;
	int r = watch_boots(sb->home, &boots, err);

	while (r == 0) {
		struct pollfd p = { .fd = boots, .events = POLLIN };
		struct state_sandbox row = { 0 };
		char events[4096];

		while (read(boots, events, sizeof(events)) > 0)
			; /* before the look: what begins after it makes it readable again */
		r = sandbox_wait_ready(sb, call, err);
		if (r <= 0)
			return r;
		r = state_sandbox_by_id(sb->home->state, sb->id, &row, err);
		state_sandbox_done(&row);
		if (r < 0 && err->code == ERR_NOT_FOUND)
			return err_detail(err, ERR_NR_SANDBOX_NOT_FOUND, sb->name);
		if (r == 0)
			r = cancel_poll(call_cancel(call), &p, 1, -1, err);
		r = r > 0 ? 0 : r;
	}
	return r;
}

int sandbox_touch(struct sandbox *sb, struct err *err)
{
	AUTO(watch_close) struct watch w = { .fd = -1 };
	AUTO_CLOSE int run_dir = open_run_dir(sb->home, sb->id);
	int r = 0;

	if (run_dir < 0 && run_dir != -ENOENT)
		return err_sys(err, -run_dir, "open the folder of '%s'", sb->name);
	if (run_dir >= 0)
		r = watch_open(&w, run_dir, sb->id, NULL, err);
	if (r < 0)
		return r;
	watch_touch(&w);
	if (run_dir >= 0 && !w.gone)
		return 0;
	err_set(err, ERR_BUSY, "sandbox '%s' is not running", sb->name);
	return err_detail(err, ERR_NR_NOT_RUNNING, sb->name);
}

static int ask_only(const struct sandbox *sb, const struct stop_request *request, struct err *err)
{
	AUTO(watch_close) struct watch w = { .fd = -1 };
	AUTO_CLOSE int run_dir = open_run_dir(sb->home, sb->id);

	if (run_dir == -ENOENT)
		return 0;
	if (run_dir < 0)
		return err_sys(err, -run_dir, "open the folder of '%s'", sb->name);
	return watch_open(&w, run_dir, sb->id, request, err);
}

int sandbox_stop(struct sandbox *sb, enum sandbox_how how, bool nowait, int64_t grace_ms,
		 const struct call *call, char **ret_end, struct err *err)
{
	static const enum stop_how hows[] = {
		[SANDBOX_GRACEFUL] = STOP_GRACEFUL,
		[SANDBOX_KILL] = STOP_KILL,
		[SANDBOX_CUT] = STOP_CUT,
		[SANDBOX_DRAIN] = STOP_DRAIN,
	};
	struct stop_request request = { 0 };
	struct end_wish wish = { .request = &request, .timeout_ms = -1, .call = call };

	if ((unsigned)how >= SANDBOX_HOW_MAX)
		return err_set(err, ERR_INVALID, "there is no way %d to stop", (int)how);
	if (grace_ms < 0)
		grace_ms = how == SANDBOX_DRAIN ? 0 : (int64_t)sb->stop_timeout_ms;
	if (grace_ms > UINT32_MAX)
		grace_ms = UINT32_MAX;
	request.how = hows[how];
	request.grace_ms = how == SANDBOX_GRACEFUL || how == SANDBOX_DRAIN ? (uint32_t)grace_ms : 0;
	if (nowait)
		return ask_only(sb, &request, err);
	wish.force = how == SANDBOX_KILL || how == SANDBOX_CUT;
	if ((!call || !call->has_deadline) && how != SANDBOX_DRAIN)
		wish.timeout_ms =
			request.grace_ms + (how == SANDBOX_CUT ? CUT_SLACK_MS : STOP_SLACK_MS);
	return end_of(sb, &wish, ret_end, err);
}

/* The lock of the run folder once nothing lives in it; untouched if there is no folder. */
static int lock_ended(struct home *home, const struct state_sandbox *row, bool force,
		      const struct call *call, int *ret_lock, struct err *err)
{
	static const struct stop_request kill_it = { .how = STOP_KILL };
	struct end_wish wish = {
		.request = &kill_it, .timeout_ms = STOP_SLACK_MS, .force = true, .call = call
	};

	for (;;) {
		AUTO(watch_close) struct watch w = { .fd = -1 };
		AUTO_CLOSE int run_dir = open_run_dir(home, row->id);
		int r;

		if (run_dir == -ENOENT)
			return 0;
		if (run_dir < 0)
			return err_sys(err, -run_dir, "open the folder of '%s'", row->name);
		r = run_folder_lock(run_dir, LOCK_EX | LOCK_NB);
		if (r == -EWOULDBLOCK && !force) {
			err_set(err, ERR_BUSY, "sandbox '%s' is running; stop it first", row->name);
			return err_detail(err, ERR_NR_STILL_RUNNING, row->name);
		}
		if (r == -EWOULDBLOCK) {
			r = watch_open(&w, run_dir, row->id, &kill_it, err);
			if (r == 0)
				r = wait_gone(&w, run_dir, row->name, &wish, err);
			if (r < 0)
				return r;
			home_reap(home, row->id);
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
		remove_folder(home->logs_fd, row.id);
	}
	state_sandbox_done(&row);
	return r;
}
