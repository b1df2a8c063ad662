/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"
#include "cli/common.h"
#include "cli/listing.h"

struct ls_opts {
	struct listing_opts list;
};

static const struct opt ls_options[] = {
	LISTING_OPTIONS(struct ls_opts, "print hosts only"),
	{ .kind = OPT_END },
};

static int login_row(const struct json_at *item, struct listing_row *row, struct err *e)
{
	int r = json_opt_str(item, "host", &row->cells[0], e);

	r = r < 0 ? r : json_opt_str(item, "user", &row->cells[1], e);
	r = r < 0 ? r : json_opt_str(item, "source", &row->cells[2], e);
	row->name = row->cells[0];
	return r;
}

static const struct listing login_listing = {
	.what = "logins",
	.header = (const char *const[]){ "HOST", "USER", "SOURCE", NULL },
	.row = login_row,
};

static int ls_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
		  struct msb_error *err)
{
	const struct ls_opts *o = opts;
	AUTO(msb_close) struct msb *m = NULL;
	AUTO(msb_free) char *json = NULL;
	int r = listing_check(&login_listing, &o->list, err);

	if (r >= 0)
		r = common_no_arguments(rest, err);
	if (r >= 0)
		r = common_open(cli, NULL, &m, err);
	if (r >= 0)
		r = msb_list(m, MSB_REGISTRY, NULL, &json, err);
	return r < 0 ? r : listing_print_text(&login_listing, &o->list, json, err);
}

const struct command cmd_registry_ls = {
	.name = "ls",
	.args = "[OPTIONS]",
	.summary = "list the logins that pulls would use",
	.example = "msb registry ls",
	.opts = ls_options,
	.opts_size = sizeof(struct ls_opts),
	.run = ls_run,
};
