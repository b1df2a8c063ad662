/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/common.h"
#include "cli/names.h"

#define PATH_SIZE 512 /* bytes of "spec.lifecycle.ephemeral" */

struct inspect_opts {
	const char *format, *field;
};

static const struct opt inspect_options[] = {
	{ OPT_STRING, 0, "format", "FORMAT", "table or json (table)",
	  offsetof(struct inspect_opts, format) },
	{ OPT_STRING, 0, "field", "PATH",
	  "print this value only: status, spec.memory_mib, spec ...",
	  offsetof(struct inspect_opts, field) },
	{ .kind = OPT_END },
};

static int print_value(const json_t *value, struct msb_error *err)
{
	AUTO(buf_done) struct buf b;
	const char *text = json_string_value(value);
	struct json_out o;
	int r = 0;

	buf_init(&b, COMMON_JSON_MAX);
	if (!text) {
		json_out_init(&o, &b);
		json_put_value(&o, NULL, value);
		r = common_json(&o, &b, &text, err);
	}
	if (r >= 0)
		printf("%s\n", text);
	return r;
}

/* A row for each value inside, under the path that --field takes. */
static int print_rows(const char *path, const json_t *value, struct msb_error *err)
{
	const char *key;
	json_t *item;
	int r = 0;

	if (!json_is_object(value) || json_object_size(value) == 0) {
		if (json_is_null(value) || json_is_object(value))
			return 0;
		printf("%-34s", path);
		return print_value(value, err);
	}
	json_object_foreach((json_t *)(uintptr_t)value, key, item)
	{
		char below[PATH_SIZE];

		(void)snprintf(below, sizeof(below), "%s%s%s", path, *path ? "." : "", key);
		r = print_rows(below, item, err);
		if (r < 0)
			break;
	}
	return r;
}

/* Keys of the user may have dots: the longest key that fits is the one. */
static const json_t *find(const json_t *value, const char *path)
{
	const json_t *best = NULL;
	const char *key;
	size_t longest = 0;
	json_t *item;

	if (!*path)
		return value;
	json_object_foreach((json_t *)(uintptr_t)value, key, item)
	{
		size_t len = strlen(key);

		if (len < longest || strncmp(path, key, len) != 0 ||
		    (path[len] != '\0' && path[len] != '.'))
			continue;
		longest = len;
		best = item;
	}
	return best ? find(best, path + longest + (path[longest] == '.')) : NULL;
}

static int inspect_one(struct msb *m, const char *name, const struct inspect_opts *o, bool json,
		       struct msb_error *err)
{
	AUTO(msb_free) char *text = NULL;
	AUTO(json_decref) json_t *root = NULL;
	const json_t *value;
	struct err e = ERR_INIT;
	int r = msb_inspect(m, MSB_SANDBOX, name, &text, err);

	if (r < 0) {
		names_hint(m, err);
		return r;
	}
	if (json && !o->field) {
		printf("%s\n", text);
		return 0;
	}
	if (json_parse("sandbox", text, strlen(text), COMMON_JSON_MAX, &root, &e) < 0)
		return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
	if (!o->field)
		return print_rows("", root, err);
	value = find(root, o->field);
	if (!value)
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "--field: '%s' has no '%s'\nsee all of it: msb inspect %s",
				    name, o->field, name);
	return print_value(value, err);
}

static int inspect_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
		       struct msb_error *err)
{
	static const char *const formats[] = { "table", "json", NULL };
	const struct inspect_opts *o = opts;
	AUTO(msb_close) struct msb *m = NULL;
	int format = common_choice("format", o->format, formats, err), r = format;

	if (r >= 0)
		r = common_arguments(rest, 1, INT32_MAX, "NAME", err);
	if (r >= 0)
		r = common_open(cli, NULL, &m, err);
	for (int i = 0; r >= 0 && i < rest->n_args; i++) {
		if (i > 0 && format == 0 && !o->field)
			printf("\n");
		r = inspect_one(m, rest->args[i], o, format == 1, err);
	}
	return r < 0 ? r : 0;
}

const struct command cmd_inspect = {
	.name = "inspect",
	.group = "Sandboxes",
	.args = "[OPTIONS] NAME...",
	.summary = "show all that is known of sandboxes",
	.example = "msb inspect my-app\n"
		   "msb inspect --field spec.memory_mib my-app",
	.opts = inspect_options,
	.opts_size = sizeof(struct inspect_opts),
	.run = inspect_run,
};
