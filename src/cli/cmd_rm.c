/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bulk.h"
#include "cli/common.h"
#include "cli/names.h"

struct rm_opts {
	struct opt_list labels;
	bool force, quiet;
};

static const struct opt rm_options[] = {
	{ OPT_FLAG, 'f', "force", NULL, "kill what runs; one that is not there is fine",
	  offsetof(struct rm_opts, force) },
	NAMES_LABEL_OPTION(struct rm_opts),
	{ OPT_FLAG, 'q', "quiet", NULL, "print errors only", offsetof(struct rm_opts, quiet) },
	{ .kind = OPT_END },
};

static int stop_first(struct bulk_item *item, const struct msb_call *call, struct msb_error *err)
{
	AUTO(msb_sandbox_close) struct msb_sandbox *sb = NULL;
	int r = msb_sandbox_get(item->m, item->name, &sb, err);

	return r < 0 ? r : msb_sandbox_stop(sb, MSB_GRACEFUL, -1, call, NULL, err);
}

static int rm_one(struct bulk_item *item, const struct msb_call *call, struct msb_error *err)
{
	const struct rm_opts *o = item->opts;
	int flags = o->force ? MSB_FORCE : 0;
	int r = msb_remove(item->m, MSB_SANDBOX, item->name, flags, call, err);

	if (r < 0 && err->code == MSB_E_SANDBOX_STILL_RUNNING && !o->force) {
		r = stop_first(item, call, err);
		if (r >= 0)
			r = msb_remove(item->m, MSB_SANDBOX, item->name, 0, call, err);
		if (r < 0 && err->code == MSB_E_SANDBOX_NOT_FOUND)
			return 0; /* an ephemeral one goes with its end */
	}
	if (r < 0 && err->code == MSB_E_SANDBOX_NOT_FOUND && o->force)
		return 0;
	return r;
}

static int rm_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
		  struct msb_error *err)
{
	const struct rm_opts *o = opts;
	struct bulk bulk = {
		.command = "rm",
		.verb = "Removed",
		.labels = &o->labels,
		.opts = o,
		.quiet = o->quiet,
		.run = rm_one,
	};

	if (o->labels.n > 0 && !o->force)
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "--label may choose more than you think of\n"
				    "look first: msb ls --label %s; then add --force",
				    o->labels.items[0]);
	return bulk_run(cli, &bulk, rest, err);
}

const struct command cmd_rm = {
	.name = "rm",
	.group = "Sandboxes",
	.args = "[OPTIONS] NAME...",
	.summary = "delete sandboxes with their disks; what runs is stopped first",
	.example = "msb rm my-app",
	.opts = rm_options,
	.opts_size = sizeof(struct rm_opts),
	.run = rm_run,
};
