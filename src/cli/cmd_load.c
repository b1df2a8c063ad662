/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/common.h"
#include "cli/out.h"

struct load_opts {
	const char *input, *tag, *format;
	bool quiet;
};

static const struct opt load_options[] = {
	{ OPT_STRING, 'i', "input", "FILE", "archive to read; default: standard input",
	  offsetof(struct load_opts, input) },
	{ OPT_STRING, 't', "tag", "REFERENCE", "name for the one image of the archive",
	  offsetof(struct load_opts, tag) },
	{ OPT_STRING, 0, "format", "FORMAT", "table or json (table: the names)",
	  offsetof(struct load_opts, format) },
	{ OPT_FLAG, 'q', "quiet", NULL, "print the names only", offsetof(struct load_opts, quiet) },
	{ .kind = OPT_END },
};

/* The names (or else digests) on standard output, action lines on standard error. */
static int report(const char *json, bool quiet, struct msb_error *err)
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
		struct json_at image = json_item(&images, i), names;
		const char *name = NULL;
		size_t n_names = 0;

		names = json_member(&image, "references");
		if (json_get_array(&names, SIZE_MAX, &n_names, &e) < 0 ||
		    json_opt_str(&image, "digest", &name, &e) < 0)
			return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
		for (size_t k = 0; k < n_names || (k == 0 && n_names == 0); k++) {
			struct json_at item = json_item(&names, k);

			if (n_names > 0 && json_get_str(&item, &name, &e) < 0)
				return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
			printf("%s\n", name);
			if (!quiet)
				out_action("Loaded", name);
		}
	}
	return quiet ? 0 : common_removed(&at, err);
}

static int load_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
		    struct msb_error *err)
{
	static const char *const formats[] = { "table", "json", NULL };
	const struct load_opts *o = opts;
	AUTO(msb_close) struct msb *m = NULL;
	AUTO(msb_free) char *json = NULL;
	AUTO_CLOSE int fd = -1;
	int format = common_choice("format", o->format, formats, err), r;

	if (format < 0)
		return format;
	r = common_no_arguments(rest, err);
	if (r < 0)
		return r;
	if (o->input && strcmp(o->input, "-") != 0) {
		fd = open(o->input, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return common_error(err, errno == ENOENT ? MSB_E_NOT_FOUND : MSB_E_DENIED,
					    "cannot read '%s': %s", o->input,
					    strerrordesc_np(errno));
	} else if (isatty(STDIN_FILENO)) {
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "standard input is a terminal; name the archive: -i FILE");
	}
	r = common_open(cli, NULL, &m, err);
	if (r < 0)
		return r;
	r = msb_image_load(m, fd >= 0 ? fd : STDIN_FILENO, fd >= 0 ? o->input : "standard input",
			   o->tag, NULL, &json, err);
	if (r < 0)
		return r;
	if (format == 1) {
		printf("%s\n", json);
		return 0;
	}
	return report(json, o->quiet, err);
}

#define LOAD_COMMAND(heading)                                                                      \
	{                                                                                          \
		.name = "load", .group = (heading), .args = "[OPTIONS] [-i FILE]",                 \
		.summary = "bring in the images of a docker or OCI archive",                       \
		.example = "msb load -i debian.tar", .opts = load_options,                         \
		.opts_size = sizeof(struct load_opts), .run = load_run,                            \
	}

/* `msb load` is short for `msb image load`. */
const struct command cmd_load = LOAD_COMMAND("Images");
const struct command cmd_image_load = LOAD_COMMAND(NULL);
