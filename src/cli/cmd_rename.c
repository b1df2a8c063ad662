/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"
#include "cli/common.h"
#include "cli/names.h"
#include "cli/out.h"

struct rename_opts {
	bool quiet;
};

static const struct opt rename_options[] = {
	{ OPT_FLAG, 'q', "quiet", NULL, "print errors only", offsetof(struct rename_opts, quiet) },
	{ .kind = OPT_END },
};

static int rename_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
		      struct msb_error *err)
{
	const struct rename_opts *o = opts;
	AUTO(msb_close) struct msb *m = NULL;
	AUTO(msb_sandbox_close) struct msb_sandbox *sb = NULL;
	int r = common_arguments(rest, 2, 2, "OLD NEW", err);

	if (r >= 0)
		r = common_open(cli, NULL, &m, err);
	if (r >= 0)
		r = names_open(m, rest->args[0], &sb, err);
	if (r >= 0)
		r = msb_sandbox_rename(sb, rest->args[1], err);
	if (r >= 0 && !o->quiet)
		out_action("Renamed", rest->args[1]);
	return r;
}

const struct command cmd_rename = {
	.name = "rename",
	.group = "Sandboxes",
	.args = "[OPTIONS] OLD NEW",
	.summary = "give a sandbox that is down another name",
	.example = "msb rename my-app old-app",
	.opts = rename_options,
	.opts_size = sizeof(struct rename_opts),
	.run = rename_run,
};
