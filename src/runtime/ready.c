/* SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "proto/frame.h"
#include "proto/launch.h"
#include "runtime/internal.h"

#define READY_MAX     (64u << 10) /* bytes; a failure with its sentence has about 1 KiB */
#define CONSOLE_SHOWN 200	  /* bytes of the console in a message */

/* The last lines of the console, as one short text behind the message. */
static void add_console(const struct launch *l, struct err *err)
{
	char tail[CONSOLE_SHOWN + 1];
	size_t len = strlen(err->msg);

	console_tail(l->log_dir, tail, sizeof(tail));
	for (char *p = tail; *p; p++)
		if (*p == '\n')
			*p = '|';
	if (tail[0])
		(void)snprintf(err->msg + len, sizeof(err->msg) - len,
			       "; its console ended with: %s", tail);
}

static const char *last_stage(const struct launch *l)
{
	return l->n_stages ? l->stages[l->n_stages - 1].stage : "";
}

static int boot_failed(const struct launch *l, enum err_code code, const char *what,
		       struct err *err)
{
	const char *stage = last_stage(l);

	err_set(err, code, "sandbox '%s' did not boot: %s%s%s%s", l->name, what,
		*stage ? " (it had reached '" : "", stage, *stage ? "')" : "");
	(void)snprintf(err->stage, sizeof(err->stage), "%s", *stage ? stage : "engine");
	add_console(l, err);
	return err_detail(err, code == ERR_TIMEOUT ? ERR_NR_NONE : ERR_NR_BOOT_FAILED, l->name);
}

static int take_failure(const struct launch *l, const struct frame *f, struct err *err)
{
	struct failure x;

	if (failure_decode(f->payload, f->len, &x) < 0)
		return boot_failed(l, ERR_PROTOCOL, "msb-sandbox sent a damaged failure", err);
	err_set(err, ERR_UNAVAILABLE, "sandbox '%s' did not boot: %s", l->name, x.message);
	err->sys = x.sys;
	(void)snprintf(err->stage, sizeof(err->stage), "%s", x.stage);
	(void)snprintf(err->reason, sizeof(err->reason), "%s", x.kind);
	add_console(l, err);
	return err_detail(err, ERR_NR_BOOT_FAILED, x.subject);
}

static int take_progress(struct launch *l, const struct frame *f)
{
	struct progress_event ev = { .type = "boot" };
	struct launch_progress x;

	if (launch_progress_decode(f->payload, f->len, &x) < 0)
		return -EPROTO;
	for (size_t i = 0; i < l->n_stages; i++)
		if (strcmp(l->stages[i].stage, x.stage) == 0)
			return 0; /* a stage is reached once */
	if (l->n_stages == LAUNCH_MAX_STAGES)
		return 0;
	(void)snprintf(l->stages[l->n_stages].stage, sizeof(l->stages[0].stage), "%s", x.stage);
	ev.stage = x.stage;
	progress_put(call_progress(l->call), &ev);
	l->stages[l->n_stages++].ns = x.at_ns > l->spawned_at ? x.at_ns - l->spawned_at : 0;
	return 0;
}

/* 1 = ready, 0 = more is to come, negative = failed. */
static int take_frame(struct launch *l, const struct frame *f, struct err *err)
{
	if (f->type == FRAME_LAUNCH_READY)
		return 1;
	if (f->type == FRAME_LAUNCH_FAILED)
		return take_failure(l, f, err);
	if (f->type == FRAME_LAUNCH_PROGRESS && take_progress(l, f) == 0)
		return 0;
	return boot_failed(l, ERR_PROTOCOL, "msb-sandbox sent something else than progress", err);
}

/* The pipe ended without a word: the monitor died; its exit record or log may say why. */
static int monitor_gone(const struct launch *l, struct err *err)
{
	struct exit_record rec = { 0 };
	struct err ignored = ERR_INIT;
	char tail[CONSOLE_SHOWN + 1], text[400];

	if (exit_record_read(l->run_dir, l->id, &rec, &ignored) == 0 && rec.detail[0])
		return boot_failed(l, ERR_UNAVAILABLE, rec.detail, err);
	read_tail(l->run_dir, "monitor.log", tail, sizeof(tail));
	(void)snprintf(text, sizeof(text), "msb-sandbox ended%s%s", tail[0] ? ": " : "", tail);
	return boot_failed(l, ERR_UNAVAILABLE, text, err);
}

/* By the caller or the deadline of the call. */
static int ended_early(const struct launch *l, struct err *err)
{
	if (err->code == ERR_TIMEOUT)
		return boot_failed(l, ERR_TIMEOUT, "it was not ready in time", err);
	(void)snprintf(err->stage, sizeof(err->stage), "%s", last_stage(l));
	return err_detail(err, ERR_NR_NONE, l->name);
}

/* Read once, with the deadline. 1 = bytes came, 0 = end of the pipe. */
static int read_some(const struct launch *l, int fd, struct buf *b, uint64_t deadline_ns,
		     struct err *err)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t now = clock_now_ns();
	void *room;
	ssize_t n;
	int r;

	if (now >= deadline_ns)
		return boot_failed(l, ERR_TIMEOUT, "it was not ready in time", err);
	r = cancel_poll(call_cancel(l->call), &p, 1,
			(int64_t)((deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS), err);
	if (r < 0)
		return ended_early(l, err);
	if (r == 0)
		return 1;
	room = buf_room(b, 4096);
	if (!room)
		return boot_failed(l, ERR_PROTOCOL, "msb-sandbox sent too much", err);
	n = read(fd, room, 4096);
	if (n < 0)
		return errno == EINTR || errno == EAGAIN
			       ? 1
			       : err_sys(err, errno, "read from msb-sandbox");
	buf_grew(b, (size_t)n);
	return n > 0;
}

int ready_wait(struct launch *l, int ready_fd, uint64_t deadline_ns, struct err *err)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct frame f;
	int r;

	buf_init(&b, READY_MAX);
	for (;;) {
		int64_t took = frame_next(b.data, b.len, &f);

		if (took < 0)
			return boot_failed(l, ERR_PROTOCOL, "msb-sandbox sent a damaged frame",
					   err);
		if (took > 0) {
			r = take_frame(l, &f, err);
			buf_take(&b, (size_t)took);
			if (r != 0)
				return r < 0 ? r : 0;
			continue;
		}
		r = read_some(l, ready_fd, &b, deadline_ns, err);
		if (r <= 0)
			return r < 0 ? r : monitor_gone(l, err);
	}
}
