/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/common.h"
#include "cli/out.h"

struct save_opts {
	const char *output, *format, *compress;
	bool exact, quiet;
};

static const struct opt save_options[] = {
	{ OPT_STRING, 'o', "output", "FILE", "file to write; default: standard output",
	  offsetof(struct save_opts, output) },
	{ OPT_STRING, 0, "format", "FORMAT", "of the archive: oci or docker (oci)",
	  offsetof(struct save_opts, format) },
	{ OPT_STRING, 0, "compress", "HOW",
	  "layers in an oci archive: none, gzip or zstd (as pulled if kept, else gzip)",
	  offsetof(struct save_opts, compress) },
	{ OPT_FLAG, 0, "exact", NULL, "fail if the image's digest would change",
	  offsetof(struct save_opts, exact) },
	{ OPT_FLAG, 'q', "quiet", NULL, "print nothing but errors",
	  offsetof(struct save_opts, quiet) },
	{ .kind = OPT_END },
};

/* What was saved, and what has changed, on standard error. */
static int report(const char *json, struct msb_error *err)
{
	AUTO(json_decref) json_t *root = NULL;
	struct err e = ERR_INIT;
	struct json_at at, images;
	size_t n = 0;

	if (json_parse("result", json, strlen(json), COMMON_JSON_MAX, &root, &e) < 0)
		return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
	at = json_root(root, "result");
	images = json_member(&at, "images");
	if (json_get_array(&images, SIZE_MAX, &n, &e) < 0)
		return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
	for (size_t i = 0; i < n; i++) {
		struct json_at image = json_item(&images, i);
		struct json_at names = json_member(&image, "references"), first;
		const char *digest = "", *saved = NULL, *name = NULL;
		size_t n_names = 0;

		if (json_opt_str(&image, "digest", &digest, &e) < 0 ||
		    json_opt_str(&image, "saved_digest", &saved, &e) < 0 ||
		    json_get_array(&names, SIZE_MAX, &n_names, &e) < 0)
			return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
		first = json_item(&names, 0);
		if (n_names > 0 && json_get_str(&first, &name, &e) < 0)
			return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
		out_action("Saved", name ? name : digest);
		if (saved && strcmp(saved, digest) != 0)
			(void)fprintf(stderr, "digest changes: %s -> %s\n", digest, saved);
	}
	return 0;
}

static int options_json(const struct save_opts *o, struct buf *b, const char **ret_text,
			struct msb_error *err)
{
	static const char *const formats[] = { "oci", "docker", NULL };
	static const char *const compress[] = { "none", "gzip", "zstd", NULL };
	int format = common_choice("format", o->format, formats, err);
	int how = format < 0 ? format : common_choice("compress", o->compress, compress, err);
	struct json_out out;

	if (how < 0)
		return how;
	if (o->compress && format == 1 && how > 0)
		return common_error(
			err, MSB_E_INVALID_CONFIG,
			"--compress: the layers of a docker archive are not compressed; "
			"leave it out, or use --format oci");
	json_out_init(&out, b);
	json_put_object(&out, NULL);
	json_put_str(&out, "format", formats[format]);
	json_put_str(&out, "compress", o->compress ? compress[how] : "as-it-is");
	json_put_bool(&out, "exact", o->exact);
	json_put_end(&out);
	return common_json(&out, b, ret_text, err);
}

static int save_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
		    struct msb_error *err)
{
	const struct save_opts *o = opts;
	bool to_stdout = !o->output || strcmp(o->output, "-") == 0;
	AUTO(buf_done) struct buf b = { 0 };
	AUTO(msb_close) struct msb *m = NULL;
	AUTO(msb_free) char *json = NULL;
	AUTO_FREE const char **names = calloc((size_t)rest->n_args + 1, sizeof(*names));
	const char *text = NULL;
	int r;

	buf_init(&b, COMMON_JSON_MAX);
	if (!names)
		return common_error(err, MSB_E_NO_MEMORY, "out of memory");
	if (rest->n_args == 0 || rest->has_guest)
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "name the images to save: msb save IMAGE... -o FILE");
	for (int i = 0; i < rest->n_args; i++)
		names[i] = rest->args[i];
	r = options_json(o, &b, &text, err);
	if (r < 0)
		return r;
	if (to_stdout && isatty(STDOUT_FILENO))
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "standard output is a terminal; name a file: -o FILE");
	r = common_open(cli, NULL, &m, err);
	if (r >= 0)
		r = msb_save(m, MSB_IMAGE, names, to_stdout ? NULL : o->output, STDOUT_FILENO, text,
			     NULL, &json, err);
	if (r < 0 && to_stdout && err->sys == EPIPE)
		return EXIT_PIPE_CLOSED;
	if (r < 0)
		return r;
	return o->quiet ? 0 : report(json, err);
}

#define SAVE_COMMAND(heading)                                                                      \
	{                                                                                          \
		.name = "save", .group = (heading), .args = "[OPTIONS] IMAGE...",                  \
		.summary = "write images to an archive",                                           \
		.example = "msb save debian:12 -o debian.tar", .opts = save_options,               \
		.opts_size = sizeof(struct save_opts), .run = save_run,                            \
	}

/* `msb save` is short for `msb image save`. */
const struct command cmd_save = SAVE_COMMAND("Images");
const struct command cmd_image_save = SAVE_COMMAND(NULL);
