/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/common.h"
#include "cli/out.h"

struct image_ls_opts {
	const char *format;
	bool quiet, no_header;
};

static const struct opt image_ls_options[] = {
	{ OPT_STRING, 0, "format", "FORMAT", "table, json or jsonl (table)",
	  offsetof(struct image_ls_opts, format) },
	{ OPT_FLAG, 'q', "quiet", NULL, "print references only",
	  offsetof(struct image_ls_opts, quiet) },
	{ OPT_FLAG, 0, "no-header", NULL, "leave out the table's header",
	  offsetof(struct image_ls_opts, no_header) },
	{ .kind = OPT_END },
};

enum { FORMAT_TABLE, FORMAT_JSON, FORMAT_JSONL };

static int print_table(const struct json_at *root, size_t n, const struct image_ls_opts *o,
		       struct msb_error *err)
{
	static const char *const header[] = { "REFERENCE", "DIGEST", "SIZE", "USED-BY", "CREATED" };
	struct out_table *t = out_table_new(5, header);
	struct err e = ERR_INIT;
	int r = 0;

	if (!t)
		return common_error(err, MSB_E_NO_MEMORY, "out of memory");
	for (size_t i = 0; i < n && r >= 0; i++) {
		struct json_at row = json_item(root, i);
		const char *ref = NULL, *digest = "", *created = NULL;
		char size[32], brief[20], users[24], when[40];
		uint64_t bytes = 0, used_by = 0;

		r = json_opt_str(&row, "name", &ref, &e);
		r = r < 0 ? r : json_opt_str(&row, "digest", &digest, &e);
		r = r < 0 ? r : json_opt_str(&row, "created", &created, &e);
		r = r < 0 ? r : json_opt_u64(&row, "size_bytes", 0, UINT64_MAX, &bytes, &e);
		r = r < 0 ? r : json_opt_u64(&row, "used_by", 0, UINT64_MAX, &used_by, &e);
		if (r < 0)
			break;
		/* "sha256:" and 12 digits tell images apart */
		(void)snprintf(brief, sizeof(brief), "%s", digest);
		if (o->quiet) {
			printf("%s\n", ref ? ref : digest);
			continue;
		}
		out_size(bytes, size, sizeof(size));
		(void)snprintf(users, sizeof(users), "%" PRIu64, used_by);
		out_time(created, when, sizeof(when));
		r = out_table_row(
			t, (const char *const[]){ ref ? ref : "<none>", brief, size, users, when });
	}
	if (r >= 0 && !o->quiet && n > 0)
		out_table_print(t, !o->no_header);
	out_table_free(t);
	return r < 0 ? common_error(err, MSB_E_INTERNAL, "%s", e.msg) : 0;
}

static int image_ls_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
			struct msb_error *err)
{
	static const char *const formats[] = { "table", "json", "jsonl", NULL };
	const struct image_ls_opts *o = opts;
	AUTO(msb_close) struct msb *m = NULL;
	AUTO(msb_free) char *json = NULL;
	AUTO(json_decref) json_t *root = NULL;
	struct err e = ERR_INIT;
	struct json_at at;
	size_t n = 0;
	int format = common_choice("format", o->format, formats, err), r;

	if (format < 0)
		return format;
	r = common_no_arguments(rest, err);
	if (r >= 0)
		r = common_open(cli, NULL, &m, err);
	if (r >= 0)
		r = msb_list(m, MSB_IMAGE, format == FORMAT_TABLE ? "{\"brief\":true}" : NULL,
			     &json, err);
	if (r < 0)
		return r;
	if (format == FORMAT_JSON) {
		printf("%s\n", json);
		return 0;
	}
	if (json_parse("images", json, strlen(json), COMMON_JSON_MAX, &root, &e) < 0)
		return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
	at = json_root(root, "images");
	if (json_get_array(&at, SIZE_MAX, &n, &e) < 0)
		return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
	if (n == 0 && !o->quiet)
		out_remark("No images.");
	return format == FORMAT_JSONL ? common_jsonl(&at, n, err) : print_table(&at, n, o, err);
}

const struct command cmd_image_ls = {
	.name = "ls",
	.args = "[OPTIONS]",
	.summary = "list the images that are here",
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
