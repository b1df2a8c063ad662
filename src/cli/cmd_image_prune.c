/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/common.h"
#include "cli/out.h"

struct image_prune_opts {
	bool yes, dry_run, quiet;
	uint64_t older_than_ms;
	const char *format;
};

static const struct opt image_prune_options[] = {
	{ OPT_FLAG, 'y', "yes", NULL, "do not ask", offsetof(struct image_prune_opts, yes) },
	{ OPT_DURATION, 0, "older-than", "D", "only images that were not used for so long",
	  offsetof(struct image_prune_opts, older_than_ms) },
	{ OPT_FLAG, 0, "dry-run", NULL, "only tell what would go",
	  offsetof(struct image_prune_opts, dry_run) },
	{ OPT_STRING, 0, "format", "FORMAT", "table or json (table)",
	  offsetof(struct image_prune_opts, format) },
	{ OPT_FLAG, 'q', "quiet", NULL, "print the names only",
	  offsetof(struct image_prune_opts, quiet) },
	{ .kind = OPT_END },
};

static int prune(struct msb *m, const struct image_prune_opts *o, bool dry_run, char **ret_json,
		 struct msb_error *err)
{
	AUTO(buf_done) struct buf b;
	const char *filter = NULL;
	struct json_out out;
	int r;

	buf_init(&b, COMMON_JSON_MAX);
	json_out_init(&out, &b);
	json_put_object(&out, NULL);
	json_put_u64(&out, "older_than_s", o->older_than_ms / 1000);
	json_put_bool(&out, "dry_run", dry_run);
	json_put_end(&out);
	r = common_json(&out, &b, &filter, err);
	return r < 0 ? r : msb_prune(m, MSB_IMAGE, filter, NULL, ret_json, err);
}

/* Count and bytes; the names are printed if @print. */
static int read_result(const char *json, bool print, size_t *ret_n, uint64_t *ret_bytes,
		       struct msb_error *err)
{
	AUTO(json_decref) json_t *root = NULL;
	struct err e = ERR_INIT;
	struct json_at at, removed;

	if (json_parse("result", json, strlen(json), COMMON_JSON_MAX, &root, &e) < 0)
		return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
	at = json_root(root, "result");
	removed = json_member(&at, "removed");
	if (json_get_array(&removed, SIZE_MAX, ret_n, &e) < 0 ||
	    json_opt_u64(&at, "bytes", 0, UINT64_MAX, ret_bytes, &e) < 0)
		return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
	for (size_t i = 0; print && i < *ret_n; i++) {
		struct json_at item = json_item(&removed, i);
		const char *name = NULL, *digest = "";

		if (json_opt_str(&item, "name", &name, &e) < 0 ||
		    json_opt_str(&item, "digest", &digest, &e) < 0)
			return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
		printf("%s\n", name ? name : digest);
	}
	return 0;
}

/* 1: go on. */
static int ask(struct msb *m, const struct image_prune_opts *o, struct msb_error *err)
{
	AUTO(msb_free) char *json = NULL;
	char size[32], question[160];
	uint64_t bytes = 0;
	size_t n = 0;
	int r = prune(m, o, true, &json, err);

	if (r >= 0)
		r = read_result(json, false, &n, &bytes, err);
	if (r < 0)
		return r;
	if (n == 0)
		return 1; /* files that no image needs are no loss */
	out_size(bytes, size, sizeof(size));
	(void)snprintf(question, sizeof(question), "Remove %zu unused image%s (%s)?", n,
		       n == 1 ? "" : "s", size);
	return common_confirm(question, err);
}

static int image_prune_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
			   struct msb_error *err)
{
	static const char *const formats[] = { "table", "json", NULL };
	const struct image_prune_opts *o = opts;
	AUTO(msb_close) struct msb *m = NULL;
	AUTO(msb_free) char *json = NULL;
	int format = common_choice("format", o->format, formats, err), r;
	uint64_t bytes = 0;
	char size[32];
	size_t n = 0;

	if (format < 0)
		return format;
	r = common_no_arguments(rest, err);
	if (r >= 0)
		r = common_open(cli, NULL, &m, err);
	if (r >= 0 && !o->yes && !o->dry_run) {
		r = ask(m, o, err);
		if (r == 0)
			return 0;
	}
	if (r >= 0)
		r = prune(m, o, o->dry_run, &json, err);
	if (r < 0)
		return r;
	if (format == 1) {
		printf("%s\n", json);
		return 0;
	}
	r = read_result(json, true, &n, &bytes, err);
	if (r < 0)
		return r;
	out_size(bytes, size, sizeof(size));
	if (!o->quiet && n == 0 && bytes == 0)
		out_remark("No unused images.");
	else if (!o->quiet)
		out_remark("%zu image%s%s, %s %s", n, n == 1 ? "" : "s",
			   o->dry_run ? "" : " removed", size,
			   o->dry_run ? "would be freed" : "freed");
	return 0;
}

const struct command cmd_image_prune = {
	.name = "prune",
	.args = "[OPTIONS]",
	.summary = "remove all images that no sandbox keeps",
	.example = "msb image prune --older-than 30d",
	.opts = image_prune_options,
	.opts_size = sizeof(struct image_prune_opts),
	.run = image_prune_run,
};
