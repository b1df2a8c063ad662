/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/command.h"
#include "cli/common.h"
#include "cli/listing.h"
#include "cli/out.h"
#include "cli/rows.h"

struct ls_opts {
	struct listing_opts list;
	struct rows_opts rows;
};

static const struct opt ls_options[] = {
	ROWS_OPTIONS(struct ls_opts),
	LISTING_OPTIONS(struct ls_opts, "print names only"),
	{ .kind = OPT_END },
};

static int ls_row(const struct json_at *item, struct listing_row *row, struct err *e)
{
	const char *created = NULL;
	int r = json_opt_str(item, "name", &row->cells[0], e);

	r = r < 0 ? r : json_opt_str(item, "image", &row->cells[1], e);
	r = r < 0 ? r : json_opt_str(item, "status", &row->cells[2], e);
	r = r < 0 ? r : rows_detail(item, row->text[3], LISTING_CELL, e);
	r = r < 0 ? r : json_opt_str(item, "created_at", &created, e);
	out_time(created, row->text[4], LISTING_CELL);
	row->cells[3] = row->text[3];
	row->cells[4] = row->text[4];
	row->name = row->cells[0];
	return r;
}

static const struct listing ls_listing = {
	.what = "sandboxes",
	.header = (const char *const[]){ "NAME", "IMAGE", "STATUS", "DETAIL", "CREATED", NULL },
	.row = ls_row,
};

static int ls_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
		  struct msb_error *err)
{
	const struct ls_opts *o = opts;
	AUTO(msb_close) struct msb *m = NULL;
	AUTO(json_decref) json_t *rows = NULL;
	struct json_at at;
	int r = listing_check(&ls_listing, &o->list, err);

	if (r >= 0)
		r = rows_check(&o->rows, err);
	if (r >= 0)
		r = common_no_arguments(rest, err);
	if (r >= 0)
		r = common_open(cli, NULL, &m, err);
	if (r >= 0)
		r = rows_list(m, &o->rows, NULL, "created", &rows, err);
	if (r < 0)
		return r;
	at = json_root(rows, "sandboxes");
	return listing_print(&ls_listing, &o->list, &at, err);
}

const struct command cmd_ls = {
	.name = "ls",
	.group = "Sandboxes",
	.args = "[OPTIONS]",
	.summary = "list all sandboxes, the newest first",
	.example = "msb ls --running",
	.opts = ls_options,
	.opts_size = sizeof(struct ls_opts),
	.run = ls_run,
};
