/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: a program run to its end
 *
 * One thread writes the input and collects the output of an exec stream.  What is above the
 * limit is read and dropped.  A call that is ended early kills the session's cgroup, over a
 * connection of its own: the stream may be full of input.
 */
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "proto/request.h"
#include "runtime/internal.h"
#include "runtime/stream.h"

#define KILL_SIGNAL  9
#define KILL_WAIT_MS 40 /* for the agent to answer; it has the order all the same */

struct run {
	struct sandbox *sb;
	struct exec_stream *stream; /* owned */
	const char *name;	    /* of the program, for messages */
	const uint8_t *in;
	size_t in_len;
	bool in_closed;
	struct exec_collect collect;
	struct buf out[2];
	struct run_result *result;
	struct err failed;	/* why nothing was run, or the limit that was passed */
	bool has_failed, ended; /* END was told */
};

void run_result_done(struct run_result *r)
{
	free(r->out.data);
	free(r->err.data);
	*r = (struct run_result){ 0 };
}

static void kill_program(const struct run *run)
{
	struct kill_request kill = {
		.session = run->result->session,
		.signal = KILL_SIGNAL,
		.scope = KILL_CGROUP,
	};
	struct cancel *soon = NULL;
	struct err ignored = ERR_INIT;

	if (kill.session == 0 ||
	    cancel_new_within(NULL, clock_now_ns() + KILL_WAIT_MS * NS_PER_MS, &soon) < 0)
		return; /* the agent ends it when the stream is closed */
	IGNORE_RESULT(sandbox_kill_session(run->sb, &kill,
					   &(struct call){ .cancel = soon, .has_deadline = true },
					   &ignored) < 0); /* it may have ended by itself */
	cancel_free(soon);
}

static int too_much(struct run *run)
{
	struct err *err = &run->failed;

	kill_program(run);
	run->has_failed = true;
	err_set(err, ERR_BUSY, "'%s' wrote more than %llu bytes", run->name,
		(unsigned long long)run->collect.max);
	return err_detail(err, ERR_NR_OUTPUT_LIMIT, run->name);
}

static int take_data(struct run *run, const struct stream_event *ev)
{
	bool is_err = ev->channel == STREAM_STDERR;
	struct run_output *o = is_err ? &run->result->err : &run->result->out;
	struct buf *b = &run->out[is_err];
	size_t fits = run->collect.max - b->len < ev->len ? run->collect.max - b->len : ev->len;

	o->total += ev->len;
	if (buf_add(b, ev->data, fits) < 0)
		return err_no_memory(&run->failed);
	if (fits < ev->len && run->collect.overflow_ends && !run->has_failed)
		return too_much(run);
	return 0;
}

/* Members of an event's JSON, which the stream has written. */
static uint64_t number_of(const struct stream_event *ev, const char *key)
{
	AUTO(json_decref) json_t *value = NULL;
	struct err ignored = ERR_INIT;
	struct json_at at;
	uint64_t n = 0;
	bool flag = false;

	if (json_parse("event", ev->json, strlen(ev->json), SPEC_MAX_LEN, &value, &ignored) < 0)
		return 0;
	at = json_root(value, "event");
	if (json_opt_u64(&at, key, 0, UINT64_MAX, &n, &ignored) == 0)
		return n;
	return json_opt_bool(&at, key, &flag, &ignored) == 0 && flag;
}

static void take_exited(struct run *run, const struct stream_event *ev)
{
	struct run_result *r = run->result;

	r->exited = true;
	r->code = (uint32_t)ev->number;
	r->signal = (uint32_t)number_of(ev, "signal");
	r->core = number_of(ev, "core");
	r->timed_out = number_of(ev, "timed_out");
	r->oom = number_of(ev, "oom");
	r->pipes_open = number_of(ev, "pipes_open");
	r->duration_ms = number_of(ev, "duration_ms");
}

static void text_of(const struct stream_event *ev, const char *key, char *out, size_t size)
{
	AUTO(json_decref) json_t *value = NULL;
	struct err ignored = ERR_INIT;
	const char *text = "";
	struct json_at at;

	if (ev->json &&
	    json_parse("event", ev->json, strlen(ev->json), SPEC_MAX_LEN, &value, &ignored) == 0) {
		at = json_root(value, "event");
		IGNORE_RESULT(json_opt_str(&at, key, &text, &ignored) < 0); /* "" then */
	}
	(void)snprintf(out, size, "%s", text);
}

static void take_failed(struct run *run, const struct stream_event *ev)
{
	struct err *err = &run->failed;
	char message[ERR_MSG_MAX], kind[sizeof(err->reason)];

	text_of(ev, "message", message, sizeof(message));
	text_of(ev, "kind", kind, sizeof(kind));
	run->has_failed = true;
	err_set(err, ERR_NOT_FOUND, "%s", message);
	err->sys = (int)ev->number;
	(void)snprintf(err->stage, sizeof(err->stage), "main");
	err_reason(err, kind);
	err_detail(err, ERR_NR_EXEC_FAILED, run->name);
}

static void take_end(struct run *run, const struct stream_event *ev)
{
	char message[ERR_MSG_MAX];

	run->ended = true;
	if (ev->number == 0 || run->has_failed)
		return;
	text_of(ev, "message", message, sizeof(message));
	run->has_failed = true;
	err_set(&run->failed, ev->number == ERR_NR_PROTOCOL ? ERR_PROTOCOL : ERR_BUSY, "%s",
		message);
	err_detail(&run->failed, (enum err_number)ev->number, run->name);
}

static int take_event(struct run *run, const struct stream_event *ev)
{
	switch (ev->type) {
	case STREAM_STARTED:
		run->result->session = number_of(ev, "session");
		return 0;
	case STREAM_DATA:
		return take_data(run, ev);
	case STREAM_STDIN_ERROR:
		run->in_len = 0;
		run->in_closed = true;
		return 0;
	case STREAM_EXITED:
		take_exited(run, ev);
		return 0;
	case STREAM_FAILED:
		take_failed(run, ev);
		return 0;
	case STREAM_END:
		take_end(run, ev);
		return 0;
	case STREAM_TIMEOUT:
	case STREAM_LOG:
	case STREAM_PROGRESS:
	case STREAM_LOST: /* not of a stream that has the input */
		return 0;
	}
	return 0;
}

/* As much of the input as fits. */
static int write_input(struct run *run, struct err *err)
{
	size_t n = 0;
	int r = 0;

	if (run->in_len > 0) {
		r = exec_stream_write(run->stream, run->in, run->in_len, &n, err);
		if (r < 0)
			return r;
		run->in += n;
		run->in_len -= n;
	}
	if (run->in_len == 0 && !run->in_closed) {
		run->in_closed = true;
		r = exec_stream_close_write(run->stream, err);
	}
	return r;
}

/* Until END. */
static int run_loop(struct run *run, struct cancel *cancel, struct err *err)
{
	while (!run->ended) {
		struct stream_event ev = { 0 };
		struct pollfd p = { .fd = exec_stream_fd(run->stream) };
		int r = write_input(run, err);

		if (r == 0)
			r = exec_stream_next(run->stream, &ev, err);
		if (r == 1)
			r = take_event(run, &ev) < 0 && !run->has_failed ? err_no_memory(err) : 1;
		if (r == 0) {
			p.events = exec_stream_want(run->stream);
			r = cancel_poll(cancel, &p, 1, -1, err);
		} else if (r == 1) {
			r = cancel_check(cancel, err);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int keep_output(struct buf *b, struct run_output *ret)
{
	if (b->len == 0)
		return 0;
	b->max = b->len + 1; /* for the NUL */
	if (!buf_cstr(b))
		return -ENOMEM;
	ret->len = b->len;
	/* The content may not begin where the memory does. */
	ret->data = b->gap == 0 ? (char *)TAKE_PTR(b->data) : NULL;
	return ret->data ? 0 : -ENOMEM;
}

/* The result of the call. */
static int run_end(struct run *run, int r, struct err *err)
{
	struct run_result *result = run->result;

	if (keep_output(&run->out[0], &result->out) < 0 ||
	    keep_output(&run->out[1], &result->err) < 0)
		return err_no_memory(err);
	if (r < 0) {
		if (err->code == ERR_TIMEOUT)
			err_detail(err, ERR_NR_EXEC_TIMEOUT, run->name);
		return r;
	}
	if (run->has_failed) {
		*err = run->failed;
		return -(int)err->code;
	}
	if (!result->timed_out)
		return 0;
	err_set(err, ERR_TIMEOUT, "'%s' did not end in time", run->name);
	return err_detail(err, ERR_NR_EXEC_TIMEOUT, run->name);
}

static int run_on(struct run *run, struct exec_request *req, const struct call *call,
		  struct err *err)
{
	int fd = -1;
	int r = sandbox_connect(run->sb, &fd, err);

	if (r == 0)
		r = exec_stream_new(fd, req, &run->stream, err);
	if (r < 0)
		return r;
	r = run_loop(run, call_cancel(call), err);
	if (r < 0)
		kill_program(run);
	return run_end(run, r, err);
}

int sandbox_run(struct sandbox *sb, const char *request, const void *in, size_t len,
		const struct call *call, struct run_result *ret, struct err *err)
{
	struct exec_request req = { 0 };
	struct run run = {
		.sb = sb,
		.in = in,
		.in_len = in ? len : 0,
		.result = ret,
		.failed = ERR_INIT,
	};
	int r = sandbox_exec_parse(sb, request, &req, &run.collect, err);

	*ret = (struct run_result){ 0 };
	if (r == 0) {
		req.stdin_open = req.stdin_open || in;
		run.in_closed = !req.stdin_open;
		run.name = req.argv.items[0];
		buf_init(&run.out[0], run.collect.max);
		buf_init(&run.out[1], run.collect.max);
		r = run_on(&run, &req, call, err);
	}
	exec_stream_close(run.stream);
	buf_done(&run.out[0]);
	buf_done(&run.out[1]);
	exec_request_done(&req);
	return r;
}
