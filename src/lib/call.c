/* SPDX-License-Identifier: Apache-2.0 */
#include <microsandbox.h>
#include <string.h>

#include "base/clock.h"
#include "lib/internal.h"
#include "runtime/progress.h"

#define TIMEOUT_MAX_MS (365ll * 24 * 3600 * 1000) /* longer ones mean "none" */

static struct cancel *cancel_of(struct msb_cancel *c)
{
	return (struct cancel *)c;
}

int msb_cancel_new(struct msb_cancel **ret_cancel)
{
	struct cancel *c = NULL;
	struct err err = ERR_INIT;
	int r;

	if (!ret_cancel)
		return error_argument("ret_cancel", NULL);
	r = cancel_new(&c);
	if (r < 0) {
		err_sys(&err, -r, "make a switch");
		return error_out(&err, NULL);
	}
	*ret_cancel = (struct msb_cancel *)c;
	return 0;
}

void msb_cancel_fire(struct msb_cancel *cancel)
{
	cancel_fire(cancel_of(cancel));
}

void msb_cancel_free(struct msb_cancel *cancel)
{
	cancel_free(cancel_of(cancel));
}

/* Fields that only a newer header knows must say nothing. */
static int check_size(const struct msb_call *c, struct err *err)
{
	const unsigned char *bytes = (const unsigned char *)c;

	if (c->struct_size < sizeof(*c) || c->struct_size > 4096)
		return err_set(err, ERR_INVALID, "call: struct_size is %zu; it must be %zu",
			       c->struct_size, sizeof(*c));
	for (size_t i = sizeof(*c); i < c->struct_size; i++)
		if (bytes[i])
			return err_set(err, ERR_INVALID,
				       "call: a field of it is newer than this library");
	return 0;
}

int call_begin(const struct msb_call *c, struct waiting_call *ret, struct err *err)
{
	struct waiting_call w = { 0 };
	int r;

	*ret = w;
	if (!c)
		return 0;
	r = check_size(c, err);
	if (r < 0)
		return r;
	if (c->timeout_ms < -1)
		return err_set(err, ERR_INVALID, "call: there is no time-out of %lld ms",
			       (long long)c->timeout_ms);
	w.call.progress = c->progress ? stream_progress(c->progress) : NULL;
	if (c->progress && !w.call.progress)
		return err_set(err, ERR_INVALID, "call: 'progress' is a stream of another kind");
	w.call.has_deadline = c->timeout_ms != 0;
	w.call.cancel = w.user = cancel_of(c->cancel);
	if (c->timeout_ms > 0 && c->timeout_ms < TIMEOUT_MAX_MS) {
		uint64_t at = clock_now_ns() + (uint64_t)c->timeout_ms * NS_PER_MS;

		r = cancel_new_within(w.user, at, &w.own);
		if (r < 0)
			return err_sys(err, -r, "make a timer");
		w.call.cancel = w.own;
	}
	r = progress_begin(w.call.progress, err);
	if (r < 0) {
		cancel_free(w.own);
		return r;
	}
	*ret = w;
	return 0;
}

int call_end(struct waiting_call *w, int r, struct err *err, struct msb_error *out)
{
	/* Whatever saw the switch on: only the caller cancels. */
	if (r < 0 && err->code == ERR_CANCELLED && !cancel_fired(w->user)) {
		err->code = ERR_TIMEOUT;
		(void)snprintf(err->msg, sizeof(err->msg),
			       "not done in the time that the call was given");
	}
	cancel_free(w->own);
	if (r < 0)
		r = error_out(err, out);
	progress_end(w->call.progress, r < 0 ? -r : 0, err->msg);
	return r;
}
