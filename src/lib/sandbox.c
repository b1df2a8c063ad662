/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <microsandbox.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "json/json.h"
#include "lib/internal.h"
#include "runtime/runtime.h"

static_assert((int)SANDBOX_GRACEFUL == MSB_GRACEFUL && (int)SANDBOX_KILL == MSB_KILL &&
		      (int)SANDBOX_CUT == MSB_CUT && (int)SANDBOX_DRAIN == MSB_DRAIN,
	      "ways to stop");
static_assert((int)SANDBOX_DETACHED == MSB_DETACHED && (int)SANDBOX_OR_CONNECT == MSB_OR_CONNECT &&
		      (int)SANDBOX_NO_START == MSB_NO_START,
	      "flags");

#define OPTIONS_MAX   65536 /* bytes */
#define LINGER_MAX_MS 86400000

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
	r = sandbox_stop(sandbox_of(sb), (enum sandbox_how)(how & ~MSB_NOWAIT), how & MSB_NOWAIT,
			 grace_ms, &w.call, ret_end, &err);
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

static int wait_running(struct sandbox *sb, const struct call *call, char **ret_end,
			struct err *err)
{
	int r = sandbox_wait_running(sb, call, err);

	if (r < 0 || !ret_end)
		return r;
	*ret_end = strdup("{\"status\":\"running\"}");
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
	else if (until && (strcmp(until, "running") == 0 || strcmp(until, "ready") == 0))
		r = wait_running(sandbox_of(sb), &w.call, ret_end, &err);
	else if (until && strcmp(until, "ended") != 0)
		r = err_set(&err, ERR_INVALID,
			    "until: '%s' is not supported; 'ended', 'running', 'port:N' and "
			    "'port:N/udp' are",
			    until);
	else
		r = sandbox_wait(sandbox_of(sb), &w.call, ret_end, &err);
	return call_end(&w, r, &err, error);
}

static int read_start_options(const char *text, struct sandbox_start_options *o, struct err *err)
{
	static const char *const keys[] = { "detached", "or_connect", "linger_ms", NULL };
	AUTO(json_decref) json_t *value = NULL;
	bool detached = false, or_connect = false;
	struct json_at root;
	int r;

	*o = (struct sandbox_start_options){ 0 };
	if (!text)
		return 0;
	r = json_parse("options", text, strlen(text), OPTIONS_MAX, &value, err);
	if (r < 0)
		return r;
	root = json_root(value, "options");
	r = json_only_keys(&root, keys, err);
	if (r == 0)
		r = json_opt_bool(&root, "detached", &detached, err);
	if (r == 0)
		r = json_opt_bool(&root, "or_connect", &or_connect, err);
	if (r == 0)
		r = json_opt_u64(&root, "linger_ms", 0, LINGER_MAX_MS, &o->linger_ms, err);
	o->flags = (detached ? SANDBOX_DETACHED : 0) | (or_connect ? SANDBOX_OR_CONNECT : 0);
	return r;
}

int msb_sandbox_start(struct msb *m, const char *name, const char *options,
		      const struct msb_call *call, struct msb_sandbox **ret_sb,
		      struct msb_error *error)
{
	struct sandbox_start_options o;
	struct sandbox *sb = NULL;
	struct err err = ERR_INIT;
	struct waiting_call w;
	int r;

	if (!m || !name || !ret_sb)
		return error_argument(!m ? "m" : !name ? "name" : "ret_sb", error);
	r = read_start_options(options, &o, &err);
	if (r == 0)
		r = call_begin(call, &w, &err);
	if (r < 0)
		return error_out(&err, error);
	r = call_end(&w, sandbox_start(home_of(m), name, &o, &w.call, &sb, &err), &err, error);
	if (r == 0)
		*ret_sb = (struct msb_sandbox *)sb;
	return r;
}

int msb_sandbox_get(struct msb *m, const char *name, struct msb_sandbox **ret_sb,
		    struct msb_error *error)
{
	struct sandbox *sb = NULL;
	struct err err = ERR_INIT;

	if (!m || !name || !ret_sb)
		return error_argument(!m ? "m" : !name ? "name" : "ret_sb", error);
	if (sandbox_get(home_of(m), name, &sb, &err) < 0)
		return error_out(&err, error);
	*ret_sb = (struct msb_sandbox *)sb;
	return 0;
}

int msb_sandbox_rename(struct msb_sandbox *sb, const char *name, struct msb_error *error)
{
	struct err err = ERR_INIT;

	if (!sb || !name)
		return error_argument(sb ? "name" : "sb", error);
	return sandbox_rename(sandbox_of(sb), name, &err) < 0 ? error_out(&err, error) : 0;
}

int msb_sandbox_attached(const struct msb_sandbox *sb)
{
	return sandbox_attached(sandbox_of(sb));
}

int msb_sandbox_detach(struct msb_sandbox *sb, struct msb_error *error)
{
	struct err err = ERR_INIT;

	if (!sb)
		return error_argument("sb", error);
	return sandbox_detach(sandbox_of(sb), &err) < 0 ? error_out(&err, error) : 0;
}

void msb_sandbox_close(struct msb_sandbox *sb)
{
	sandbox_close(sandbox_of(sb));
}

void msb_free(void *p)
{
	free(p);
}
