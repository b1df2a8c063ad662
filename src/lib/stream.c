/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/stream.h"

#include <assert.h>
#include <microsandbox.h>
#include <poll.h>
#include <stdlib.h>

#include "lib/internal.h"
#include "runtime/logs.h"
#include "runtime/progress.h"
#include "runtime/runtime.h"

static_assert((int)STREAM_STARTED == MSB_EV_STARTED && (int)STREAM_DATA == MSB_EV_DATA &&
		      (int)STREAM_STDIN_ERROR == MSB_EV_STDIN_ERROR &&
		      (int)STREAM_TIMEOUT == MSB_EV_TIMEOUT && (int)STREAM_LOST == MSB_EV_LOST &&
		      (int)STREAM_EXITED == MSB_EV_EXITED && (int)STREAM_FAILED == MSB_EV_FAILED &&
		      (int)STREAM_LOG == MSB_EV_LOG && (int)STREAM_PROGRESS == MSB_EV_PROGRESS &&
		      (int)STREAM_END == MSB_EV_END && (int)STREAM_STDOUT == MSB_STDOUT &&
		      (int)STREAM_STDERR == MSB_STDERR && (int)STREAM_TTY == MSB_TTY,
	      "events");

/* One of them is there; owned. */
struct msb_stream {
	struct exec_stream *exec;
	struct progress *progress;
	struct log_feed *logs;
};

int stream_of_exec(struct exec_stream *exec, struct msb_stream **ret_s, struct err *err)
{
	struct msb_stream *s = calloc(1, sizeof(*s));

	if (!s) {
		exec_stream_close(exec);
		return err_no_memory(err);
	}
	s->exec = exec;
	*ret_s = s;
	return 0;
}

int stream_of_logs(struct log_feed *logs, struct msb_stream **ret_s, struct err *err)
{
	struct msb_stream *s = calloc(1, sizeof(*s));

	if (!s) {
		log_feed_close(logs);
		return err_no_memory(err);
	}
	s->logs = logs;
	*ret_s = s;
	return 0;
}

struct progress *stream_progress(struct msb_stream *s)
{
	return s->progress;
}

int msb_progress_new(struct msb_stream **ret_s)
{
	struct msb_stream *s;
	struct err err = ERR_INIT;

	if (!ret_s)
		return error_argument("ret_s", NULL);
	s = calloc(1, sizeof(*s));
	if (!s)
		err_no_memory(&err);
	else if (progress_new(&s->progress, &err) == 0)
		*ret_s = s;
	if (err.code == ERR_NONE)
		return 0;
	free(s);
	return error_out(&err, NULL);
}

/* What takes input. */
static int exec_of(const struct msb_stream *s, struct exec_stream **ret_exec, struct err *err)
{
	if (!s)
		return err_set(err, ERR_INVALID, "argument 's' is missing");
	if (!s->exec)
		return err_set(err, ERR_INVALID, "this stream can only be read");
	*ret_exec = s->exec;
	return 0;
}

int msb_exec_signal(struct msb_stream *s, int signo, struct msb_error *error)
{
	struct exec_stream *exec = NULL;
	struct err err = ERR_INIT;
	int r = exec_of(s, &exec, &err);

	if (r == 0)
		r = exec_stream_signal(exec, signo, &err);
	return r < 0 ? error_out(&err, error) : 0;
}

int msb_exec_resize(struct msb_stream *s, int rows, int cols, struct msb_error *error)
{
	struct exec_stream *exec = NULL;
	struct err err = ERR_INIT;
	int r = exec_of(s, &exec, &err);

	if (r == 0)
		r = exec_stream_resize(exec, rows, cols, &err);
	return r < 0 ? error_out(&err, error) : 0;
}

int msb_stream_fd(const struct msb_stream *s)
{
	return s->exec	 ? exec_stream_fd(s->exec)
	       : s->logs ? log_feed_fd(s->logs)
			 : progress_fd(s->progress);
}

short msb_stream_want(const struct msb_stream *s)
{
	return s->exec ? exec_stream_want(s->exec) : POLLIN;
}

/* @r and @ev are what the stream's next() gave. */
static int event_out(int r, const struct stream_event *ev, struct msb_event *out,
		     const struct err *err, struct msb_error *error)
{
	if (r < 0)
		return error_out(err, error);
	if (r == 0)
		return 0;
	*out = (struct msb_event){
		.struct_size = sizeof(*out),
		.type = (int32_t)ev->type,
		.channel = ev->channel,
		.data = ev->data,
		.len = ev->len,
		.json = ev->json,
		.number = ev->number,
	};
	return 1;
}

int msb_stream_next(struct msb_stream *s, struct msb_event *ev, struct msb_error *error)
{
	struct stream_event event = { 0 };
	struct err err = ERR_INIT;
	int r;

	if (!s || !ev)
		return error_argument(s ? "ev" : "s", error);
	r = s->exec   ? exec_stream_next(s->exec, &event, &err)
	    : s->logs ? log_feed_next(s->logs, &event, &err)
		      : progress_next(s->progress, &event, &err);
	return event_out(r, &event, ev, &err, error);
}

int msb_stream_wait(struct msb_stream *s, int64_t timeout_ms, struct msb_cancel *cancel,
		    struct msb_event *ev, struct msb_error *error)
{
	struct cancel *c = (struct cancel *)cancel;
	struct stream_event event = { 0 };
	struct err err = ERR_INIT;
	int r;

	if (!s || !ev)
		return error_argument(s ? "ev" : "s", error);
	r = s->exec   ? exec_stream_wait(s->exec, timeout_ms, c, &event, &err)
	    : s->logs ? log_feed_wait(s->logs, timeout_ms, c, &event, &err)
		      : progress_wait(s->progress, timeout_ms, c, &event, &err);
	return event_out(r, &event, ev, &err, error);
}

int msb_stream_write(struct msb_stream *s, const void *buf, size_t len, size_t *ret_n,
		     struct msb_error *error)
{
	struct exec_stream *exec = NULL;
	struct err err = ERR_INIT;
	int r;

	if (!ret_n || (!buf && len > 0))
		return error_argument(!ret_n ? "ret_n" : "buf", error);
	r = exec_of(s, &exec, &err);
	if (r == 0)
		r = exec_stream_write(exec, buf, len, ret_n, &err);
	return r < 0 ? error_out(&err, error) : 0;
}

int msb_stream_close_write(struct msb_stream *s, struct msb_error *error)
{
	struct exec_stream *exec = NULL;
	struct err err = ERR_INIT;
	int r = exec_of(s, &exec, &err);

	if (r == 0)
		r = exec_stream_close_write(exec, &err);
	return r < 0 ? error_out(&err, error) : 0;
}

void msb_stream_close(struct msb_stream *s)
{
	if (!s)
		return;
	exec_stream_close(s->exec);
	progress_close(s->progress);
	log_feed_close(s->logs);
	free(s);
}
