/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "cli/command.h"
#include "cli/common.h"
#include "cli/fetch.h"
#include "cli/out.h"
#include "cli/show.h"

struct pull_opts {
	struct fetch_opts fetch;
	const char *progress;
	bool force, quiet;
};

static const struct opt pull_options[] = {
	{ OPT_FLAG, 'f', "force", NULL, "fetch and convert again what is here",
	  offsetof(struct pull_opts, force) },
	FETCH_OPTIONS(struct pull_opts, fetch),
	{ OPT_STRING, 0, "progress", "HOW", "auto, bar, plain, json or none (auto)",
	  offsetof(struct pull_opts, progress) },
	{ OPT_FLAG, 'q', "quiet", NULL, "print nothing but errors",
	  offsetof(struct pull_opts, quiet) },
	{ .kind = OPT_END },
};

/* What the calls share. */
struct pull_job {
	struct msb *m;	     /* borrowed */
	const char *name;    /* borrowed */
	const char *options; /* borrowed JSON */
};

static int pull_job_run(void *user, const struct msb_call *call, struct msb_error *err)
{
	const struct pull_job *p = user;

	return msb_image_pull(p->m, p->name, p->options, call, NULL, err);
}

/* One line for each; 0, or EXIT_ITEM_FAILED. */
static int report(const struct show_job *jobs, size_t n, bool quiet)
{
	int code = 0;

	for (size_t i = 0; i < n; i++) {
		if (jobs[i].result < 0) {
			out_error(&jobs[i].error);
			code = jobs[i].error.code == MSB_E_INVALID_CONFIG && n == 1
				       ? EXIT_USAGE
				       : EXIT_ITEM_FAILED;
		} else if (!quiet && !jobs[i].moved) {
			show_action("Up to date", &jobs[i]);
		}
	}
	return code;
}

static int pull_all(struct msb *m, const struct pull_opts *o, enum show_mode mode,
		    const char *options, const struct opt_rest *rest, struct msb_error *err)
{
	size_t n = (size_t)rest->n_args;
	AUTO_FREE struct pull_job *pulls = calloc(n, sizeof(*pulls));
	AUTO_FREE struct show_job *jobs = calloc(n, sizeof(*jobs));
	int r;

	if (!pulls || !jobs)
		return common_error(err, MSB_E_NO_MEMORY, "out of memory");
	for (size_t i = 0; i < n; i++) {
		pulls[i] = (struct pull_job){ m, rest->args[i], options };
		jobs[i] = (struct show_job){ .name = rest->args[i],
					     .run = pull_job_run,
					     .user = &pulls[i] };
	}
	r = show_run(jobs, n, mode, err);
	if (r > 0)
		return EXIT_SIGNAL + r;
	return r < 0 ? r : report(jobs, n, o->quiet || mode == SHOW_JSON || mode == SHOW_NONE);
}

static int pull_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
		    struct msb_error *err)
{
	struct pull_opts o = *(const struct pull_opts *)opts;
	int mode = common_choice("progress", o.progress, show_mode_names, err), r;
	AUTO(msb_close) struct msb *m = NULL;
	AUTO(buf_done) struct buf b = { 0 };
	const char *text = NULL;
	struct json_out j;

	if (mode < 0)
		return mode;
	if (rest->n_args == 0)
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "no image given\nfor example: msb pull debian:12");
	if (rest->has_guest)
		return common_error(err, MSB_E_INVALID_CONFIG, "unexpected argument '--'");
	o.fetch.pull = "always"; /* who says pull wants what is there now */
	buf_init(&b, COMMON_JSON_MAX);
	json_out_init(&j, &b);
	json_put_object(&j, NULL);
	fetch_put(&j, &o.fetch);
	json_put_bool(&j, "force", o.force);
	json_put_end(&j);
	r = common_json(&j, &b, &text, err);
	if (r >= 0)
		r = common_open(cli, NULL, &m, err);
	return r < 0 ? r
		     : pull_all(m, &o, o.quiet && mode != SHOW_JSON ? SHOW_NONE : mode, text, rest,
				err);
}

#define PULL_COMMAND(heading)                                                                      \
	{                                                                                          \
		.name = "pull", .group = (heading), .args = "[OPTIONS] REFERENCE...",              \
		.summary = "bring images from their registries",                                   \
		.example = "msb pull python:3.12", .opts = pull_options,                           \
		.opts_size = sizeof(struct pull_opts), .run = pull_run,                            \
	}

/* `msb pull` is short for `msb image pull`. */
const struct command cmd_pull = PULL_COMMAND("Images");
const struct command cmd_image_pull = PULL_COMMAND(NULL);
