/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/bulk.h"
#include "cli/common.h"
#include "cli/names.h"

struct wait_opts {
	struct opt_list labels;
	const char *until;
	uint64_t timeout_ms;
	bool status, quiet;
};

static const struct opt wait_options[] = {
	{ OPT_DURATION, 0, "timeout", "D", "give up after this time, with code 124 (no limit)",
	  offsetof(struct wait_opts, timeout_ms) },
	{ OPT_STRING, 0, "until", "STATE", "ended, running, port:N or port:N/udp (ended)",
	  offsetof(struct wait_opts, until) },
	{ OPT_FLAG, 0, "status", NULL, "exit with the code of its main program",
	  offsetof(struct wait_opts, status) },
	NAMES_LABEL_OPTION(struct wait_opts),
	{ OPT_FLAG, 'q', "quiet", NULL, "print errors only", offsetof(struct wait_opts, quiet) },
	{ .kind = OPT_END },
};

/* NAME CODE REASON, with - for what there is not. */
static int report(struct bulk_item *item, const char *json, struct msb_error *err)
{
	const struct wait_opts *o = item->opts;
	AUTO(json_decref) json_t *root = NULL;
	const char *reason = "-";
	struct err e = ERR_INIT;
	uint64_t code = UINT64_MAX;
	struct json_at at;
	char text[8] = "-";

	if (json_parse("end", json, strlen(json), COMMON_JSON_MAX, &root, &e) < 0)
		return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
	at = json_root(root, "end");
	if (json_opt_str(&at, "reason", &reason, &e) < 0 ||
	    json_opt_u64(&at, "exit_code", 0, 255, &code, &e) < 0)
		return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
	if (code != UINT64_MAX)
		(void)snprintf(text, sizeof(text), "%u", (unsigned)code);
	if (!o->quiet)
		(void)snprintf(item->line, sizeof(item->line), "%s %s %s", item->name, text,
			       reason);
	if (o->status && code != UINT64_MAX)
		item->code = (int)code;
	return 0;
}

static int wait_one(struct bulk_item *item, const struct msb_call *call, struct msb_error *err)
{
	const struct wait_opts *o = item->opts;
	AUTO(msb_sandbox_close) struct msb_sandbox *sb = NULL;
	AUTO(msb_free) char *json = NULL;
	struct msb_call limited = *call;
	int r = msb_sandbox_get(item->m, item->name, &sb, err);

	limited.timeout_ms = o->timeout_ms ? (int64_t)o->timeout_ms : -1;
	if (r >= 0)
		r = msb_sandbox_wait(sb, o->until, &limited, &json, err);
	if (r < 0 || (o->until && strcmp(o->until, "ended") != 0))
		return r;
	return report(item, json, err);
}

/* What the library would say of each sandbox is said once. */
static int check_until(const char *until, struct msb_error *err)
{
	static const char *const states[] = { "ended", "running", NULL };

	if (until && strncmp(until, "port:", 5) == 0)
		return 0;
	return common_choice("until", until, states, err);
}

static int wait_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
		    struct msb_error *err)
{
	const struct wait_opts *o = opts;
	struct bulk bulk = {
		.command = "wait",
		.verb = "Reachable",
		.labels = &o->labels,
		.opts = o,
		.quiet = o->quiet,
		.run = wait_one,
	};

	int r = check_until(o->until, err);

	return r < 0 ? r : bulk_run(cli, &bulk, rest, err);
}

const struct command cmd_wait = {
	.name = "wait",
	.group = "Sandboxes",
	.args = "[OPTIONS] NAME...",
	.summary = "wait until sandboxes have ended, or are ready",
	.example = "msb wait --timeout 10m my-app",
	.opts = wait_options,
	.opts_size = sizeof(struct wait_opts),
	.run = wait_run,
};
