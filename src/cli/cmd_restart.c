/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bulk.h"
#include "cli/common.h"
#include "cli/names.h"

struct restart_opts {
	struct opt_list labels;
	uint64_t grace_ms;
	bool force, drain, quiet;
};

#define NOT_GIVEN UINT64_MAX /* the sandbox's own */

static const struct restart_opts restart_defaults = { .grace_ms = NOT_GIVEN };

static const struct opt restart_options[] = {
	{ OPT_DURATION, 't', "time", "D", "between the stop signal and KILL (the sandbox's, 10s)",
	  offsetof(struct restart_opts, grace_ms) },
	{ OPT_FLAG, 'f', "force", NULL, "KILL at once; disks are flushed",
	  offsetof(struct restart_opts, force) },
	{ OPT_FLAG, 0, "drain", NULL, "let programs finish, for --time at most (no limit)",
	  offsetof(struct restart_opts, drain) },
	NAMES_LABEL_OPTION(struct restart_opts),
	{ OPT_FLAG, 'q', "quiet", NULL, "print errors only", offsetof(struct restart_opts, quiet) },
	{ .kind = OPT_END },
};

static int restart_one(struct bulk_item *item, const struct msb_call *call, struct msb_error *err)
{
	const struct restart_opts *o = item->opts;
	AUTO(msb_sandbox_close) struct msb_sandbox *sb = NULL;
	struct msb_call stop = *call;
	bool kill = o->force || o->grace_ms == 0;
	int how = kill ? MSB_KILL : o->drain ? MSB_DRAIN : MSB_GRACEFUL;
	int64_t grace_ms = o->grace_ms == NOT_GIVEN ? -1 : (int64_t)o->grace_ms;
	int r = msb_sandbox_get(item->m, item->name, &sb, err);

	stop.progress = NULL; /* serves one call only */
	if (r >= 0)
		r = msb_sandbox_stop(sb, how, grace_ms, &stop, NULL, err);
	msb_sandbox_close(sb);
	sb = NULL;
	if (r >= 0)
		r = msb_sandbox_start(item->m, item->name,
				      "{\"detached\":true,\"or_connect\":true}", call, &sb, err);
	return r;
}

static int restart_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
		       struct msb_error *err)
{
	const struct restart_opts *o = opts;
	struct bulk bulk = {
		.command = "restart",
		.verb = "Restarted",
		.labels = &o->labels,
		.opts = o,
		.quiet = o->quiet,
		.boots = true,
		.run = restart_one,
	};

	return bulk_run(cli, &bulk, rest, err);
}

const struct command cmd_restart = {
	.name = "restart",
	.group = "Sandboxes",
	.args = "[OPTIONS] NAME...",
	.summary = "stop sandboxes that are up, then boot them",
	.example = "msb restart my-app",
	.opts = restart_options,
	.opts_size = sizeof(struct restart_opts),
	.defaults = &restart_defaults,
	.run = restart_run,
};
