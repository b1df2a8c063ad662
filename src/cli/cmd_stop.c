/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bulk.h"
#include "cli/common.h"
#include "cli/names.h"

struct stop_opts {
	struct opt_list labels;
	uint64_t grace_ms;
	bool force, drain, quiet;
};

#define NOT_GIVEN UINT64_MAX /* the sandbox's own */

static const struct stop_opts stop_defaults = { .grace_ms = NOT_GIVEN };

static const struct opt stop_options[] = {
	{ OPT_DURATION, 't', "time", "D", "between the stop signal and KILL (the sandbox's, 10s)",
	  offsetof(struct stop_opts, grace_ms) },
	{ OPT_FLAG, 'f', "force", NULL, "KILL at once; disks are flushed",
	  offsetof(struct stop_opts, force) },
	{ OPT_FLAG, 0, "drain", NULL, "let programs finish, for --time at most (no limit)",
	  offsetof(struct stop_opts, drain) },
	NAMES_LABEL_OPTION(struct stop_opts),
	{ OPT_FLAG, 'q', "quiet", NULL, "print errors only", offsetof(struct stop_opts, quiet) },
	{ .kind = OPT_END },
};

static int stop_one(struct bulk_item *item, const struct msb_call *call, struct msb_error *err)
{
	const struct stop_opts *o = item->opts;
	AUTO(msb_sandbox_close) struct msb_sandbox *sb = NULL;
	bool kill = o->force || o->grace_ms == 0;
	int how = kill ? MSB_KILL : o->drain ? MSB_DRAIN : MSB_GRACEFUL;
	int64_t grace_ms = o->grace_ms == NOT_GIVEN ? -1 : (int64_t)o->grace_ms;
	int r = msb_sandbox_get(item->m, item->name, &sb, err);

	if (r >= 0)
		r = msb_sandbox_stop(sb, how, grace_ms, call, NULL, err);
	return r;
}

static int stop_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
		    struct msb_error *err)
{
	const struct stop_opts *o = opts;
	struct bulk bulk = {
		.command = "stop",
		.verb = "Stopped",
		.labels = &o->labels,
		.opts = o,
		.quiet = o->quiet,
		.run = stop_one,
	};

	return bulk_run(cli, &bulk, rest, err);
}

const struct command cmd_stop = {
	.name = "stop",
	.group = "Sandboxes",
	.args = "[OPTIONS] NAME...",
	.summary = "end sandboxes: programs first, then the disks are flushed",
	.example = "msb stop my-app",
	.opts = stop_options,
	.opts_size = sizeof(struct stop_opts),
	.defaults = &stop_defaults,
	.run = stop_run,
};
