/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"
#include "cli/common.h"
#include "cli/out.h"

struct image_rm_opts {
	bool force, quiet;
};

static const struct opt image_rm_options[] = {
	{ OPT_FLAG, 'f', "force", NULL, "of an image that a sandbox keeps, remove the name only",
	  offsetof(struct image_rm_opts, force) },
	{ OPT_FLAG, 'q', "quiet", NULL, "print errors only",
	  offsetof(struct image_rm_opts, quiet) },
	{ .kind = OPT_END },
};

static int image_rm_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
			struct msb_error *err)
{
	const struct image_rm_opts *o = opts;
	AUTO(msb_close) struct msb *m = NULL;
	int r = common_arguments(rest, 1, INT32_MAX, "IMAGE", err), code = 0;

	if (r >= 0)
		r = common_open(cli, NULL, &m, err);
	if (r < 0)
		return r;
	for (int i = 0; i < rest->n_args; i++) {
		struct msb_error failed = { 0 };

		if (msb_remove(m, MSB_IMAGE, rest->args[i], o->force ? MSB_FORCE : 0, NULL,
			       &failed) < 0) {
			out_error(&failed);
			code = EXIT_ITEM_FAILED;
		} else if (!o->quiet) {
			out_action("Removed", rest->args[i]);
		}
	}
	return code;
}

#define RM_COMMAND(word)                                                                           \
	{                                                                                          \
		.name = (word), .args = "[OPTIONS] IMAGE...",                                      \
		.summary = "remove names of images, and images without a name",                    \
		.example = "msb image rm python:3.12", .opts = image_rm_options,                   \
		.opts_size = sizeof(struct image_rm_opts), .run = image_rm_run,                    \
	}

/* `msb rmi` is accepted for `msb image rm`. */
const struct command cmd_image_rm = RM_COMMAND("rm");
const struct command cmd_rmi = RM_COMMAND("rmi");
