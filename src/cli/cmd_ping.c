/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/bulk.h"
#include "cli/common.h"
#include "cli/names.h"

struct ping_opts {
	struct opt_list labels;
	uint64_t timeout_ms;
	bool quiet;
};

static const struct ping_opts ping_defaults = { .timeout_ms = 5000 };

static const struct opt ping_options[] = {
	{ OPT_DURATION, 0, "timeout", "D", "for the answer (5s)",
	  offsetof(struct ping_opts, timeout_ms) },
	NAMES_LABEL_OPTION(struct ping_opts),
	{ OPT_FLAG, 'q', "quiet", NULL, "print errors only", offsetof(struct ping_opts, quiet) },
	{ .kind = OPT_END },
};

static int ask(struct bulk_item *item, int touch, const struct msb_call *call,
	       struct msb_error *err)
{
	const struct ping_opts *o = item->opts;
	AUTO(msb_sandbox_close) struct msb_sandbox *sb = NULL;
	AUTO(json_decref) json_t *root = NULL;
	AUTO(msb_free) char *json = NULL;
	struct msb_call limited = *call;
	struct err e = ERR_INIT;
	struct json_at at;
	uint64_t us = 0;
	int r = msb_sandbox_get(item->m, item->name, &sb, err);

	limited.timeout_ms = o->timeout_ms ? (int64_t)o->timeout_ms : -1;
	if (r >= 0)
		r = msb_sandbox_ping(sb, touch, &limited, &json, err);
	if (r < 0)
		return r;
	if (json_parse("ping", json, strlen(json), COMMON_JSON_MAX, &root, &e) < 0)
		return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
	at = json_root(root, "ping");
	if (json_opt_u64(&at, "round_trip_us", 0, UINT64_MAX, &us, &e) < 0)
		return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
	(void)snprintf(item->detail, sizeof(item->detail), "%" PRIu64 ".%02" PRIu64 " ms",
		       us / 1000, us % 1000 / 10);
	return 0;
}

static int ping_one(struct bulk_item *item, const struct msb_call *call, struct msb_error *err)
{
	return ask(item, 0, call, err);
}

static int touch_one(struct bulk_item *item, const struct msb_call *call, struct msb_error *err)
{
	return ask(item, 1, call, err);
}

static int ping_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
		    struct msb_error *err)
{
	const struct ping_opts *o = opts;
	struct bulk bulk = {
		.command = "ping",
		.verb = "Reachable",
		.labels = &o->labels,
		.opts = o,
		.quiet = o->quiet,
		.run = ping_one,
	};

	return bulk_run(cli, &bulk, rest, err);
}

static int touch_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
		     struct msb_error *err)
{
	const struct ping_opts *o = opts;
	struct bulk bulk = {
		.command = "touch",
		.verb = "Touched",
		.labels = &o->labels,
		.opts = o,
		.quiet = o->quiet,
		.run = touch_one,
	};

	return bulk_run(cli, &bulk, rest, err);
}

const struct command cmd_ping = {
	.name = "ping",
	.group = "Sandboxes",
	.args = "[OPTIONS] NAME...",
	.summary = "ask the agents of sandboxes for an answer",
	.example = "msb ping my-app",
	.opts = ping_options,
	.opts_size = sizeof(struct ping_opts),
	.defaults = &ping_defaults,
	.run = ping_run,
};

const struct command cmd_touch = {
	.name = "touch",
	.group = "Sandboxes",
	.args = "[OPTIONS] NAME...",
	.summary = "ping sandboxes, and begin their idle time anew",
	.example = "msb touch my-app",
	.opts = ping_options,
	.opts_size = sizeof(struct ping_opts),
	.defaults = &ping_defaults,
	.run = touch_run,
};
