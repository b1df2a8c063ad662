/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_INTERNAL_H
#define LIB_INTERNAL_H

#include <microsandbox.h>

#include "base/err.h"
#include "runtime/call.h"
#include "runtime/stream.h"

/* struct msb and struct msb_sandbox are the runtime's own handles. */
struct home;
static inline struct home *home_of(struct msb *m)
{
	return (struct home *)m;
}

/* The public error of an internal one; @out may be NULL.  Return: -code. */
int error_out(const struct err *err, struct msb_error *out);
/* The same for an argument that must not be NULL. */
int error_argument(const char *name, struct msb_error *out);

/* ---- call.c ---- */

/* A public call that waits, from call_begin() to call_end(). */
struct waiting_call {
	struct call call;
	struct cancel *own, *user; /* owned: the deadline; borrowed: the caller's switch */
};
/* INVALID: @public is no struct msb_call. NULL is one. */
MUST_CHECK int call_begin(const struct msb_call *public, struct waiting_call *ret, struct err *err);
/* The result of the public function: @r, or -code with *out filled. */
int call_end(struct waiting_call *w, int r, struct err *err, struct msb_error *out);

/* ---- stream.c ---- */

struct exec_stream;
struct progress;
/* Takes @s over, also on failure. */
MUST_CHECK int stream_of_exec(struct exec_stream *s, struct msb_stream **ret_s, struct err *err);
struct log_feed;
/* The same. */
MUST_CHECK int stream_of_logs(struct log_feed *f, struct msb_stream **ret_s, struct err *err);
/* NULL: it is none. */
struct progress *stream_progress(struct msb_stream *s);

#endif /* LIB_INTERNAL_H */
