/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <microsandbox.h>
#include <stdlib.h>

#include "lib/internal.h"
#include "runtime/runtime.h"
#include "runtime/stream.h"

static_assert((int)SANDBOX_GRACEFUL == MSB_GRACEFUL && (int)SANDBOX_KILL == MSB_KILL &&
		      (int)SANDBOX_CUT == MSB_CUT,
	      "ways to stop");
static_assert((int)STREAM_STARTED == MSB_EV_STARTED && (int)STREAM_DATA == MSB_EV_DATA &&
		      (int)STREAM_STDIN_ERROR == MSB_EV_STDIN_ERROR &&
		      (int)STREAM_TIMEOUT == MSB_EV_TIMEOUT && (int)STREAM_LOST == MSB_EV_LOST &&
		      (int)STREAM_EXITED == MSB_EV_EXITED && (int)STREAM_FAILED == MSB_EV_FAILED &&
		      (int)STREAM_END == MSB_EV_END && (int)STREAM_STDOUT == MSB_STDOUT &&
		      (int)STREAM_STDERR == MSB_STDERR && (int)STREAM_TTY == MSB_TTY,
	      "events");

static struct sandbox *sandbox_of(const struct msb_sandbox *sb)
{
	return (struct sandbox *)(uintptr_t)sb;
}

static struct exec_stream *stream_of(const struct msb_stream *s)
{
	return (struct exec_stream *)(uintptr_t)s;
}

const char *msb_sandbox_name(const struct msb_sandbox *sb)
{
	return sandbox_name(sandbox_of(sb));
}

const char *msb_sandbox_id(const struct msb_sandbox *sb)
{
	return sandbox_id(sandbox_of(sb));
}

int msb_sandbox_boot_times(struct msb_sandbox *sb, char **ret_json, struct msb_error *error)
{
	struct err err = ERR_INIT;

	if (!sb || !ret_json)
		return error_argument(sb ? "ret_json" : "sb", error);
	return sandbox_boot_times(sandbox_of(sb), ret_json, &err) < 0 ? error_out(&err, error) : 0;
}

int msb_sandbox_stop(struct msb_sandbox *sb, int how, int64_t grace_ms, char **ret_end,
		     struct msb_error *error)
{
	struct err err = ERR_INIT;

	if (!sb)
		return error_argument("sb", error);
	if (sandbox_stop(sandbox_of(sb), (enum sandbox_how)how, grace_ms, ret_end, &err) < 0)
		return error_out(&err, error);
	return 0;
}

int msb_sandbox_wait(struct msb_sandbox *sb, int64_t timeout_ms, char **ret_end,
		     struct msb_error *error)
{
	struct err err = ERR_INIT;

	if (!sb)
		return error_argument("sb", error);
	if (sandbox_wait(sandbox_of(sb), timeout_ms, ret_end, &err) < 0)
		return error_out(&err, error);
	return 0;
}

void msb_sandbox_close(struct msb_sandbox *sb)
{
	sandbox_close(sandbox_of(sb));
}

int msb_exec_open(struct msb_sandbox *sb, const char *request, struct msb_stream **ret_s,
		  struct msb_error *error)
{
	struct err err = ERR_INIT;
	struct exec_stream *s = NULL;

	if (!sb || !request || !ret_s)
		return error_argument(!sb ? "sb" : !request ? "request" : "ret_s", error);
	if (sandbox_exec(sandbox_of(sb), request, &s, &err) < 0)
		return error_out(&err, error);
	*ret_s = (struct msb_stream *)s;
	return 0;
}

int msb_exec_signal(struct msb_stream *s, int signo, struct msb_error *error)
{
	struct err err = ERR_INIT;

	if (!s)
		return error_argument("s", error);
	return exec_stream_signal(stream_of(s), signo, &err) < 0 ? error_out(&err, error) : 0;
}

int msb_exec_resize(struct msb_stream *s, int rows, int cols, struct msb_error *error)
{
	struct err err = ERR_INIT;

	if (!s)
		return error_argument("s", error);
	return exec_stream_resize(stream_of(s), rows, cols, &err) < 0 ? error_out(&err, error) : 0;
}

int msb_stream_fd(const struct msb_stream *s)
{
	return exec_stream_fd(stream_of(s));
}

short msb_stream_want(const struct msb_stream *s)
{
	return exec_stream_want(stream_of(s));
}

/* @r and @ev are what exec_stream_next() gave. */
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

	if (!s || !ev)
		return error_argument(s ? "ev" : "s", error);
	return event_out(exec_stream_next(stream_of(s), &event, &err), &event, ev, &err, error);
}

int msb_stream_wait(struct msb_stream *s, int timeout_ms, struct msb_event *ev,
		    struct msb_error *error)
{
	struct stream_event event = { 0 };
	struct err err = ERR_INIT;

	if (!s || !ev)
		return error_argument(s ? "ev" : "s", error);
	return event_out(exec_stream_wait(stream_of(s), timeout_ms, &event, &err), &event, ev, &err,
			 error);
}

int msb_stream_write(struct msb_stream *s, const void *buf, size_t len, size_t *ret_n,
		     struct msb_error *error)
{
	struct err err = ERR_INIT;

	if (!s || !ret_n || (!buf && len > 0))
		return error_argument(!s ? "s" : !ret_n ? "ret_n" : "buf", error);
	return exec_stream_write(stream_of(s), buf, len, ret_n, &err) < 0 ? error_out(&err, error)
									  : 0;
}

int msb_stream_close_write(struct msb_stream *s, struct msb_error *error)
{
	struct err err = ERR_INIT;

	if (!s)
		return error_argument("s", error);
	return exec_stream_close_write(stream_of(s), &err) < 0 ? error_out(&err, error) : 0;
}

void msb_stream_close(struct msb_stream *s)
{
	exec_stream_close(stream_of(s));
}

void msb_free(void *p)
{
	free(p);
}
