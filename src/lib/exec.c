/* SPDX-License-Identifier: Apache-2.0 */
#include <microsandbox.h>
#include <stdlib.h>

#include "lib/internal.h"
#include "runtime/runtime.h"

static struct sandbox *sandbox_of(const struct msb_sandbox *sb)
{
	return (struct sandbox *)(uintptr_t)sb;
}

typedef int (*open_fn)(struct sandbox *sb, const char *request, struct exec_stream **ret,
		       struct err *err);

static int open_stream(struct msb_sandbox *sb, const char *request, open_fn open,
		       struct msb_stream **ret_s, struct msb_error *error)
{
	struct err err = ERR_INIT;
	struct exec_stream *s = NULL;
	int r;

	if (!sb || !request || !ret_s)
		return error_argument(!sb ? "sb" : !request ? "request" : "ret_s", error);
	r = open(sandbox_of(sb), request, &s, &err);
	if (r == 0)
		r = stream_of_exec(s, ret_s, &err);
	return r < 0 ? error_out(&err, error) : 0;
}

int msb_exec_open(struct msb_sandbox *sb, const char *request, struct msb_stream **ret_s,
		  struct msb_error *error)
{
	return open_stream(sb, request, sandbox_exec, ret_s, error);
}

int msb_exec_attach(struct msb_sandbox *sb, const char *request, struct msb_stream **ret_s,
		    struct msb_error *error)
{
	return open_stream(sb, request, sandbox_attach, ret_s, error);
}

int msb_tcp(struct msb_sandbox *sb, int port, struct msb_stream **ret_s, struct msb_error *error)
{
	struct err err = ERR_INIT;
	struct exec_stream *s = NULL;
	int r;

	if (!sb || !ret_s)
		return error_argument(sb ? "ret_s" : "sb", error);
	if (port < 1 || port > UINT16_MAX)
		r = err_set(&err, ERR_INVALID, "port: %d is none; ports are 1 to %d", port,
			    UINT16_MAX);
	else
		r = sandbox_tcp(sandbox_of(sb), (uint16_t)port, &s, &err);
	if (r == 0)
		r = stream_of_exec(s, ret_s, &err);
	return r < 0 ? error_out(&err, error) : 0;
}

typedef int (*ask_fn)(struct sandbox *sb, const struct call *call, char **ret_json,
		      struct err *err);

/* A question that the agent answers by JSON. */
static int ask(struct msb_sandbox *sb, ask_fn fn, const struct msb_call *call, char **ret_json,
	       struct msb_error *error)
{
	struct err err = ERR_INIT;
	struct waiting_call w;
	char *json = NULL;
	int r;

	if (!sb)
		return error_argument("sb", error);
	r = call_begin(call, &w, &err);
	if (r < 0)
		return error_out(&err, error);
	r = fn(sandbox_of(sb), &w.call, &json, &err);
	if (r == 0 && ret_json)
		*ret_json = TAKE_PTR(json);
	free(json);
	return call_end(&w, r, &err, error);
}

int msb_sandbox_ping(struct msb_sandbox *sb, int touch, const struct msb_call *call,
		     char **ret_json, struct msb_error *error)
{
	struct err err = ERR_INIT;

	if (!sb)
		return error_argument("sb", error);
	if (touch && sandbox_touch((struct sandbox *)sb, &err) < 0)
		return error_out(&err, error);
	return ask(sb, sandbox_ping, call, ret_json, error);
}

int msb_sandbox_stats(struct msb_sandbox *sb, const struct msb_call *call, char **ret_json,
		      struct msb_error *error)
{
	return ask(sb, sandbox_stats, call, ret_json, error);
}

int msb_exec_list(struct msb_sandbox *sb, const struct msb_call *call, char **ret_json,
		  struct msb_error *error)
{
	return ask(sb, sandbox_sessions, call, ret_json, error);
}

void msb_exec_result_done(struct msb_exec_result *result)
{
	if (!result)
		return;
	free(result->out);
	free(result->err);
	*result = (struct msb_exec_result){ .struct_size = result->struct_size };
}

/* Takes the output over. */
static void result_out(struct run_result *r, struct msb_exec_result *out)
{
	*out = (struct msb_exec_result){
		.struct_size = sizeof(*out),
		.exited = r->exited,
		.code = (int32_t)r->code,
		.signal = (int32_t)r->signal,
		.core = r->core,
		.timed_out = r->timed_out,
		.oom = r->oom,
		.pipes_open = r->pipes_open,
		.truncated = r->out.total > r->out.len || r->err.total > r->err.len,
		.session = r->session,
		.duration_ms = r->duration_ms,
		.out_len = r->out.len,
		.out_total = r->out.total,
		.err_len = r->err.len,
		.err_total = r->err.total,
	};
	out->out = TAKE_PTR(r->out.data);
	out->err = TAKE_PTR(r->err.data);
	run_result_done(r);
}

int msb_exec_run(struct msb_sandbox *sb, const char *request, const void *in, size_t len,
		 const struct msb_call *call, struct msb_exec_result *result,
		 struct msb_error *error)
{
	struct err err = ERR_INIT;
	struct run_result run = { 0 };
	struct waiting_call w;
	int r;

	if (!sb || !request || !result || (!in && len > 0))
		return error_argument(!sb	 ? "sb"
				      : !request ? "request"
				      : !result	 ? "result"
						 : "in",
				      error);
	if (result->struct_size != sizeof(*result)) {
		err_set(&err, ERR_INVALID, "result: struct_size is %zu; it must be %zu",
			result->struct_size, sizeof(*result));
		return error_out(&err, error);
	}
	r = call_begin(call, &w, &err);
	if (r < 0)
		return error_out(&err, error);
	r = sandbox_run(sandbox_of(sb), request, in, len, &w.call, &run, &err);
	result_out(&run, result);
	return call_end(&w, r, &err, error);
}

int msb_exec_kill(struct msb_sandbox *sb, uint64_t session, int signo, int all,
		  const struct msb_call *call, struct msb_error *error)
{
	struct err err = ERR_INIT;
	struct waiting_call w;
	int r;

	if (!sb)
		return error_argument("sb", error);
	r = call_begin(call, &w, &err);
	if (r < 0)
		return error_out(&err, error);
	r = sandbox_signal(sandbox_of(sb), session, (unsigned)signo, all != 0, &w.call, &err);
	return call_end(&w, r, &err, error);
}
