/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "cli/command.h"
#include "cli/common.h"
#include "cli/listing.h"
#include "cli/out.h"

struct image_ls_opts {
	struct listing_opts list;
};

static const struct opt image_ls_options[] = {
	LISTING_OPTIONS(struct image_ls_opts, "print references only"),
	{ .kind = OPT_END },
};

static int image_row(const struct json_at *item, struct listing_row *row, struct err *e)
{
	const char *ref = NULL, *digest = "", *created = NULL;
	uint64_t bytes = 0, used_by = 0;
	int r = json_opt_str(item, "name", &ref, e);

	r = r < 0 ? r : json_opt_str(item, "digest", &digest, e);
	r = r < 0 ? r : json_opt_str(item, "created", &created, e);
	r = r < 0 ? r : json_opt_u64(item, "size_bytes", 0, UINT64_MAX, &bytes, e);
	r = r < 0 ? r : json_opt_u64(item, "used_by", 0, UINT64_MAX, &used_by, e);
	/* "sha256:" and 12 digits tell images apart */
	(void)snprintf(row->text[1], LISTING_CELL, "%.19s", digest);
	out_size(bytes, row->text[2], LISTING_CELL);
	(void)snprintf(row->text[3], LISTING_CELL, "%" PRIu64, used_by);
	out_time(created, row->text[4], LISTING_CELL);
	row->cells[0] = ref ? ref : "<none>";
	for (size_t i = 1; i <= 4; i++)
		row->cells[i] = row->text[i];
	row->name = ref ? ref : digest;
	return r;
}

static const struct listing image_listing = {
	.what = "images",
	.header =
		(const char *const[]){ "REFERENCE", "DIGEST", "SIZE", "USED-BY", "CREATED", NULL },
	.row = image_row,
};

static int image_ls_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
			struct msb_error *err)
{
	const struct image_ls_opts *o = opts;
	AUTO(msb_close) struct msb *m = NULL;
	AUTO(msb_free) char *json = NULL;
	int format = listing_check(&image_listing, &o->list, err), r;

	if (format < 0)
		return format;
	r = common_no_arguments(rest, err);
	if (r >= 0)
		r = common_open(cli, NULL, &m, err);
	if (r >= 0)
		r = msb_list(m, MSB_IMAGE, format == LISTING_TABLE ? "{\"brief\":true}" : NULL,
			     &json, err);
	return r < 0 ? r : listing_print_text(&image_listing, &o->list, json, err);
}

const struct command cmd_image_ls = {
	.name = "ls",
	.args = "[OPTIONS]",
	.summary = "list the images that are here",
	.example = "msb image ls",
	.opts = image_ls_options,
	.opts_size = sizeof(struct image_ls_opts),
	.run = image_ls_run,
};

static const struct command *const image_commands[] = {
	&cmd_image_pull,  &cmd_image_ls,   &cmd_image_inspect, &cmd_image_tag,	  &cmd_image_rm,
	&cmd_image_prune, &cmd_image_load, &cmd_image_save,    &cmd_image_verify, NULL,
};

const struct command cmd_image = {
	.name = "image",
	.group = "Images",
	.args = "COMMAND",
	.summary = "work with images",
	.subcommands = image_commands,
};
