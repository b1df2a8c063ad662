/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/bulk.h"
#include "cli/common.h"
#include "cli/names.h"

struct start_opts {
	struct opt_list labels;
	bool quiet;
};

static const struct opt start_options[] = {
	NAMES_LABEL_OPTION(struct start_opts),
	{ OPT_FLAG, 'q', "quiet", NULL, "print errors only", offsetof(struct start_opts, quiet) },
	{ .kind = OPT_END },
};

static int start_one(struct bulk_item *item, const struct msb_call *call, struct msb_error *err)
{
	AUTO(msb_sandbox_close) struct msb_sandbox *sb = NULL;
	struct msb_call again = *call;
	int r = msb_sandbox_start(item->m, item->name, "{\"detached\":true}", call, &sb, err);

	if (r >= 0 || err->code != MSB_E_SANDBOX_STILL_RUNNING)
		return r;
	/* Another one has brought it up, or is about to. */
	again.progress = NULL; /* serves one call only */
	r = msb_sandbox_start(item->m, item->name, "{\"detached\":true,\"or_connect\":true}",
			      &again, &sb, err);
	(void)snprintf(item->remark, sizeof(item->remark), "'%s' is running already", item->name);
	return r;
}

static int start_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
		     struct msb_error *err)
{
	const struct start_opts *o = opts;
	struct bulk bulk = {
		.command = "start",
		.verb = "Started",
		.labels = &o->labels,
		.opts = o,
		.quiet = o->quiet,
		.boots = true,
		.run = start_one,
	};

	return bulk_run(cli, &bulk, rest, err);
}

const struct command cmd_start = {
	.name = "start",
	.group = "Sandboxes",
	.args = "[OPTIONS] NAME...",
	.summary = "boot sandboxes that are down",
	.example = "msb start my-app",
	.opts = start_options,
	.opts_size = sizeof(struct start_opts),
	.run = start_run,
};
