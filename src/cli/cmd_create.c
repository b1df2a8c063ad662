/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/command.h"
#include "cli/common.h"
#include "cli/make.h"
#include "cli/out.h"

struct create_opts {
	struct make_opts make;
	bool no_start, dry_run;
};

static const struct create_opts create_defaults = { .make = MAKE_DEFAULTS };

static const struct opt create_options[] = {
	{ OPT_FLAG, 0, "no-start", NULL, "prepare it only: msb start boots it",
	  offsetof(struct create_opts, no_start) },
	{ OPT_FLAG, 0, "dry-run", NULL, "print the checked spec and make nothing",
	  offsetof(struct create_opts, dry_run) },
	MAKE_OPTIONS(struct create_opts),
	{ .kind = OPT_END },
};

static int print_spec(struct msb *m, const char *spec, struct msb_error *err)
{
	AUTO(msb_free) char *normal = NULL;
	int r = msb_spec_check(m, spec, &normal, err);

	if (r >= 0)
		printf("%s\n", normal);
	return r;
}

static int create_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
		      struct msb_error *err)
{
	const struct create_opts *o = opts;
	AUTO(msb_sandbox_close) struct msb_sandbox *sb = NULL;
	AUTO(msb_close) struct msb *m = NULL;
	AUTO(buf_done) struct buf b;
	const char *spec = NULL;
	int r = make_check(&o->make, rest, "create", err);

	buf_init(&b, COMMON_JSON_MAX);
	if (r >= 0 && rest->has_guest)
		r = common_error(err, MSB_E_INVALID_CONFIG,
				 "a sandbox does not keep a command yet\n"
				 "run it in one that stays: msb run -d %s -- CMD",
				 rest->args[0]);
	if (r >= 0)
		r = make_spec(&o->make, rest->args[0], false, &b, &spec, err);
	if (r >= 0)
		r = common_open(cli, o->make.engine, &m, err);
	if (r >= 0 && o->dry_run)
		return print_spec(m, spec, err);
	if (r >= 0)
		r = make_sandbox(m, rest->args[0], spec, o->no_start ? MSB_NO_START : MSB_DETACHED,
				 &sb, err);
	if (r == 0)
		printf("%s\n", msb_sandbox_name(sb));
	return r;
}

const struct command cmd_create = {
	.name = "create",
	.group = "Sandboxes",
	.args = "[OPTIONS] IMAGE|DIR|DISK",
	.summary = "boot a new sandbox and leave it idle",
	.example = "msb create --name my-app -m 1G python:3.12",
	.opts = create_options,
	.opts_size = sizeof(struct create_opts),
	.defaults = &create_defaults,
	.run = create_run,
};
