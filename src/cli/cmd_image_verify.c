/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/common.h"
#include "cli/out.h"

struct image_verify_opts {
	const char *format;
	bool quiet;
};

static const struct opt image_verify_options[] = {
	{ OPT_STRING, 0, "format", "FORMAT", "table or json (table)",
	  offsetof(struct image_verify_opts, format) },
	{ OPT_FLAG, 'q', "quiet", NULL, "print errors only",
	  offsetof(struct image_verify_opts, quiet) },
	{ .kind = OPT_END },
};

/* What is not good, a line each; *bad: something is beyond repair. */
static int report(const char *json, const char *name, bool quiet, bool *bad, struct msb_error *err)
{
	AUTO(json_decref) json_t *root = NULL;
	struct err e = ERR_INIT;
	struct json_at at, files;
	size_t n = 0;
	bool good = false;

	if (json_parse("result", json, strlen(json), COMMON_JSON_MAX, &root, &e) < 0)
		return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
	at = json_root(root, "result");
	files = json_member(&at, "files");
	if (json_get_array(&files, SIZE_MAX, &n, &e) < 0 ||
	    json_opt_bool(&at, "good", &good, &e) < 0)
		return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
	for (size_t i = 0; i < n; i++) {
		struct json_at f = json_item(&files, i);
		const char *kind = "", *digest = "", *state = "";

		if (json_opt_str(&f, "kind", &kind, &e) < 0 ||
		    json_opt_str(&f, "digest", &digest, &e) < 0 ||
		    json_opt_str(&f, "state", &state, &e) < 0)
			return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
		if (strcmp(state, "good") != 0 && !(quiet && strcmp(state, "rebuilt") == 0))
			out_remark("%s: %s %s is %s%s", name, kind, digest, state,
				   strcmp(state, "bad") == 0 ? "; it was moved to images/bad" : "");
	}
	*bad = !good;
	return 0;
}

static int verify_one(struct msb *m, const char *name, const struct image_verify_opts *o,
		      bool as_json, struct msb_error *err)
{
	AUTO(msb_free) char *json = NULL;
	bool bad = false;
	int r = msb_verify(m, MSB_IMAGE, name, NULL, &json, err);

	if (r < 0)
		return r;
	if (as_json)
		printf("%s\n", json);
	r = report(json, name, o->quiet, &bad, err);
	if (r < 0)
		return r;
	if (bad)
		return common_error(err, MSB_E_IMAGE,
				    "image %s is damaged\n"
				    "bring it in again: msb pull -f %s, or msb load -i FILE",
				    name, name);
	if (!o->quiet)
		out_action("Verified", name);
	return 0;
}

static int image_verify_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
			    struct msb_error *err)
{
	static const char *const formats[] = { "table", "json", NULL };
	const struct image_verify_opts *o = opts;
	AUTO(msb_close) struct msb *m = NULL;
	int format = common_choice("format", o->format, formats, err), r, code = 0;

	if (format < 0)
		return format;
	r = common_arguments(rest, 1, INT32_MAX, "IMAGE", err);
	if (r >= 0)
		r = common_open(cli, NULL, &m, err);
	if (r < 0)
		return r;
	for (int i = 0; i < rest->n_args; i++) {
		struct msb_error failed = { 0 };

		if (verify_one(m, rest->args[i], o, format == 1, &failed) < 0) {
			out_error(&failed);
			code = EXIT_ITEM_FAILED;
		}
	}
	return code;
}

const struct command cmd_image_verify = {
	.name = "verify",
	.args = "[OPTIONS] IMAGE...",
	.summary = "read every byte of images and check their digests",
	.example = "msb image verify debian:12",
	.opts = image_verify_options,
	.opts_size = sizeof(struct image_verify_opts),
	.run = image_verify_run,
};
