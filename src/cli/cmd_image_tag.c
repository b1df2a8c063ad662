/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"
#include "cli/common.h"
#include "cli/out.h"

struct image_tag_opts {
	bool quiet;
};

static const struct opt image_tag_options[] = {
	{ OPT_FLAG, 'q', "quiet", NULL, "print errors only",
	  offsetof(struct image_tag_opts, quiet) },
	{ .kind = OPT_END },
};

static int image_tag_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
			 struct msb_error *err)
{
	const struct image_tag_opts *o = opts;
	AUTO(msb_close) struct msb *m = NULL;
	int r = common_arguments(rest, 2, 2, "IMAGE NAME", err);

	if (r >= 0)
		r = common_open(cli, NULL, &m, err);
	if (r >= 0)
		r = msb_image_tag(m, rest->args[0], rest->args[1], err);
	if (r < 0)
		return r;
	if (!o->quiet)
		out_action("Tagged", rest->args[1]);
	return 0;
}

const struct command cmd_image_tag = {
	.name = "tag",
	.args = "[OPTIONS] IMAGE NAME",
	.summary = "give an image another name",
	.example = "msb image tag debian:12 base",
	.opts = image_tag_options,
	.opts_size = sizeof(struct image_tag_opts),
	.run = image_tag_run,
};
