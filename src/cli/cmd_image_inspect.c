/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/common.h"
#include "cli/out.h"

struct image_inspect_opts {
	const char *format;
};

static const struct opt image_inspect_options[] = {
	{ OPT_STRING, 0, "format", "FORMAT", "table or json (table)",
	  offsetof(struct image_inspect_opts, format) },
	{ .kind = OPT_END },
};

static void print_row(const char *key, const char *value)
{
	printf("%-12s%s\n", key, value);
}

/* A row with a string of the object; none if it is null. */
static int print_str(const struct json_at *object, const char *key, const char *title,
		     struct err *e)
{
	const char *text = NULL;
	int r = json_opt_str(object, key, &text, e);

	if (r >= 0 && text)
		print_row(title, text);
	return r;
}

/* A list of strings, one a row. */
static int print_list(const struct json_at *object, const char *key, const char *title,
		      struct err *e)
{
	struct json_at list = json_member(object, key);
	size_t n = 0;

	if (!json_present(&list))
		return 0;
	if (json_get_array(&list, SIZE_MAX, &n, e) < 0)
		return -(int)e->code;
	for (size_t i = 0; i < n; i++) {
		struct json_at item = json_item(&list, i);
		const char *text = NULL;

		if (json_get_str(&item, &text, e) < 0)
			return -(int)e->code;
		print_row(i == 0 ? title : "", text);
	}
	return 0;
}

static int print_layers(const struct json_at *object, struct err *e)
{
	struct json_at layers = json_member(object, "layers");
	size_t n = 0;

	if (json_get_array(&layers, SIZE_MAX, &n, e) < 0)
		return -(int)e->code;
	for (size_t i = 0; i < n; i++) {
		struct json_at layer = json_item(&layers, i);
		char size[32], line[140];
		const char *digest = "";
		uint64_t bytes = 0;

		if (json_opt_str(&layer, "digest", &digest, e) < 0 ||
		    json_opt_u64(&layer, "size_bytes", 0, UINT64_MAX, &bytes, e) < 0)
			return -(int)e->code;
		out_size(bytes, size, sizeof(size));
		(void)snprintf(line, sizeof(line), "%.80s  %s", digest, size);
		print_row(i == 0 ? "layers" : "", line);
	}
	return 0;
}

/* What the image says of its programs: the inner object of the config document. */
static int print_config(const struct json_at *object, struct err *e)
{
	static const char *const lists[][2] = { { "Entrypoint", "entrypoint" },
						{ "Cmd", "cmd" },
						{ "Env", "env" } };
	static const char *const texts[][2] = { { "WorkingDir", "workdir" },
						{ "User", "user" },
						{ "StopSignal", "stop signal" } };
	struct json_at document = json_member(object, "config");
	struct json_at config = json_member(&document, "config");
	int r = 0;

	if (!json_present(&config))
		return 0;
	for (size_t i = 0; r >= 0 && i < sizeof(lists) / sizeof(lists[0]); i++)
		r = print_list(&config, lists[i][0], lists[i][1], e);
	for (size_t i = 0; r >= 0 && i < sizeof(texts) / sizeof(texts[0]); i++)
		r = print_str(&config, texts[i][0], texts[i][1], e);
	return r;
}

static int print_image(const struct json_at *at, struct err *e)
{
	uint64_t bytes = 0;
	char size[32];
	int r = print_list(at, "references", "names", e);

	if (r >= 0)
		r = print_str(at, "digest", "digest", e);
	if (r >= 0)
		r = print_str(at, "image_id", "image id", e);
	if (r >= 0)
		r = print_str(at, "platform", "platform", e);
	if (r >= 0)
		r = json_opt_u64(at, "size_bytes", 0, UINT64_MAX, &bytes, e);
	out_size(bytes, size, sizeof(size));
	print_row("size", size);
	if (r >= 0)
		r = print_str(at, "created", "created", e);
	if (r >= 0)
		r = print_str(at, "loaded_at", "loaded", e);
	if (r >= 0)
		r = print_str(at, "used_at", "last used", e);
	print_row("signature", "not checked");
	if (r >= 0)
		r = print_list(at, "sandboxes", "sandboxes", e);
	if (r >= 0)
		r = print_layers(at, e);
	return r < 0 ? r : print_config(at, e);
}

static int image_inspect_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
			     struct msb_error *err)
{
	static const char *const formats[] = { "table", "json", NULL };
	const struct image_inspect_opts *o = opts;
	AUTO(msb_close) struct msb *m = NULL;
	AUTO(msb_free) char *json = NULL;
	AUTO(json_decref) json_t *root = NULL;
	struct err e = ERR_INIT;
	struct json_at at;
	int format = common_choice("format", o->format, formats, err), r;

	if (format < 0)
		return format;
	r = common_arguments(rest, 1, 1, "IMAGE", err);
	if (r >= 0)
		r = common_open(cli, NULL, &m, err);
	if (r >= 0)
		r = msb_inspect(m, MSB_IMAGE, rest->args[0], &json, err);
	if (r < 0)
		return r;
	if (format == 1) {
		printf("%s\n", json);
		return 0;
	}
	if (json_parse("image", json, strlen(json), COMMON_JSON_MAX, &root, &e) < 0)
		return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
	at = json_root(root, "image");
	return print_image(&at, &e) < 0 ? common_error(err, MSB_E_INTERNAL, "%s", e.msg) : 0;
}

const struct command cmd_image_inspect = {
	.name = "inspect",
	.args = "[OPTIONS] IMAGE",
	.summary = "show one image: config, layers, sandboxes that keep it",
	.example = "msb image inspect debian:12",
	.opts = image_inspect_options,
	.opts_size = sizeof(struct image_inspect_opts),
	.run = image_inspect_run,
};
