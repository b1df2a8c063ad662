/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <microsandbox.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "lib/internal.h"
#include "runtime/runtime.h"

static_assert((int)SANDBOX_GRACEFUL == MSB_GRACEFUL && (int)SANDBOX_KILL == MSB_KILL &&
		      (int)SANDBOX_CUT == MSB_CUT,
	      "ways to stop");
static struct sandbox *sandbox_of(const struct msb_sandbox *sb)
{
	return (struct sandbox *)(uintptr_t)sb;
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

int msb_sandbox_stop(struct msb_sandbox *sb, int how, int64_t grace_ms, const struct msb_call *call,
		     char **ret_end, struct msb_error *error)
{
	struct err err = ERR_INIT;
	struct waiting_call w;
	int r;

	if (!sb)
		return error_argument("sb", error);
	r = call_begin(call, &w, &err);
	if (r < 0)
		return error_out(&err, error);
	r = sandbox_stop(sandbox_of(sb), (enum sandbox_how)how, grace_ms, &w.call, ret_end, &err);
	return call_end(&w, r, &err, error);
}

/* "8080" or "53/udp". */
static int wait_port(struct sandbox *sb, const char *text, const struct call *call, char **ret_end,
		     struct err *err)
{
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	uint64_t port = 0;
	int r;

	if (parse_u64_n(text, len, 10, UINT16_MAX, &port) < 0 || port == 0 ||
	    (slash && strcmp(slash, "/udp") != 0 && strcmp(slash, "/tcp") != 0))
		return err_set(
			err, ERR_INVALID,
			"until: 'port:%.40s' names no port; 'port:8080' and 'port:53/udp' do",
			text);
	r = sandbox_wait_port(sb, (uint16_t)port, slash && slash[1] == 'u', call, err);
	if (r < 0 || !ret_end)
		return r;
	*ret_end = strdup("{}");
	return *ret_end ? 0 : err_no_memory(err);
}

int msb_sandbox_wait(struct msb_sandbox *sb, const char *until, const struct msb_call *call,
		     char **ret_end, struct msb_error *error)
{
	struct err err = ERR_INIT;
	struct waiting_call w;
	int r;

	if (!sb)
		return error_argument("sb", error);
	r = call_begin(call, &w, &err);
	if (r < 0)
		return error_out(&err, error);
	if (until && strncmp(until, "port:", 5) == 0)
		r = wait_port(sandbox_of(sb), until + 5, &w.call, ret_end, &err);
	else if (until && strcmp(until, "ended") != 0)
		r = err_set(&err, ERR_INVALID,
			    "until: '%s' is not supported; 'ended', 'port:N' and 'port:N/udp' are",
			    until);
	else
		r = sandbox_wait(sandbox_of(sb), &w.call, ret_end, &err);
	return call_end(&w, r, &err, error);
}

void msb_sandbox_close(struct msb_sandbox *sb)
{
	sandbox_close(sandbox_of(sb));
}

void msb_free(void *p)
{
	free(p);
}
