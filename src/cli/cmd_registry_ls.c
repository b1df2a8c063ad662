/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/common.h"
#include "cli/out.h"

struct ls_opts {
	const char *format;
	bool quiet, no_header;
};

static const struct opt ls_options[] = {
	{ OPT_STRING, 0, "format", "FORMAT", "table, json or jsonl (table)",
	  offsetof(struct ls_opts, format) },
	{ OPT_FLAG, 'q', "quiet", NULL, "print hosts only", offsetof(struct ls_opts, quiet) },
	{ OPT_FLAG, 0, "no-header", NULL, "leave out the table's header",
	  offsetof(struct ls_opts, no_header) },
	{ .kind = OPT_END },
};

enum { FORMAT_TABLE, FORMAT_JSON, FORMAT_JSONL };

static int ls_row(const struct json_at *row, struct out_table *t, bool quiet, struct err *e)
{
	const char *host = "", *user = NULL, *source = "";
	int r = json_opt_str(row, "host", &host, e);

	r = r < 0 ? r : json_opt_str(row, "user", &user, e);
	r = r < 0 ? r : json_opt_str(row, "source", &source, e);
	if (r >= 0 && quiet)
		printf("%s\n", host);
	else if (r >= 0)
		r = out_table_row(t, (const char *const[]){ host, user ? user : "", source });
	return r;
}

static int ls_print(const struct json_at *root, size_t n, const struct ls_opts *o,
		    struct msb_error *err)
{
	static const char *const header[] = { "HOST", "USER", "SOURCE" };
	struct out_table *t = out_table_new(3, header);
	struct err e = ERR_INIT;
	int r = 0;

	if (!t)
		return common_error(err, MSB_E_NO_MEMORY, "out of memory");
	for (size_t i = 0; i < n && r >= 0; i++) {
		struct json_at row = json_item(root, i);

		r = ls_row(&row, t, o->quiet, &e);
	}
	if (r >= 0 && !o->quiet && n > 0)
		out_table_print(t, !o->no_header);
	out_table_free(t);
	return r < 0 ? common_error(err, MSB_E_INTERNAL, "%s", e.msg) : 0;
}

static int ls_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
		  struct msb_error *err)
{
	static const char *const formats[] = { "table", "json", "jsonl", NULL };
	const struct ls_opts *o = opts;
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
		r = msb_list(m, MSB_REGISTRY, NULL, &json, err);
	if (r < 0)
		return r;
	if (format == FORMAT_JSON) {
		printf("%s\n", json);
		return 0;
	}
	if (json_parse("logins", json, strlen(json), COMMON_JSON_MAX, &root, &e) < 0)
		return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
	at = json_root(root, "logins");
	if (json_get_array(&at, SIZE_MAX, &n, &e) < 0)
		return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
	if (n == 0 && !o->quiet)
		out_remark("No logins.");
	return format == FORMAT_JSONL ? common_jsonl(&at, n, err) : ls_print(&at, n, o, err);
}

const struct command cmd_registry_ls = {
	.name = "ls",
	.args = "[OPTIONS]",
	.summary = "list the logins that pulls would use",
	.opts = ls_options,
	.opts_size = sizeof(struct ls_opts),
	.run = ls_run,
};
