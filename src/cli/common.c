/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/common.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/out.h"

int common_error(struct msb_error *err, int32_t code, const char *fmt, ...)
{
	va_list ap;

	*err = (struct msb_error){ .code = code };
	va_start(ap, fmt);
	(void)vsnprintf(err->message, sizeof(err->message), fmt, ap);
	va_end(ap);
	return -code;
}

int common_choice(const char *option, const char *value, const char *const *choices,
		  struct msb_error *err)
{
	const char *near;

	if (!value)
		return 0;
	for (int i = 0; choices[i]; i++)
		if (strcmp(choices[i], value) == 0)
			return i;
	near = suggest(value, choices);
	if (near)
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "--%s: unknown value '%s'; did you mean '%s'?", option, value,
				    near);
	return common_error(err, MSB_E_INVALID_CONFIG, "--%s: unknown value '%s'", option, value);
}

int common_arguments(const struct opt_rest *rest, int min, int max, const char *what,
		     struct msb_error *err)
{
	if (rest->n_args < min)
		return common_error(err, MSB_E_INVALID_CONFIG, "missing argument: %s", what);
	if (rest->n_args > max || rest->has_guest)
		return common_error(err, MSB_E_INVALID_CONFIG, "unexpected argument '%s'",
				    rest->n_args > max ? rest->args[max] : "--");
	return 0;
}

int common_confirm(const char *question, struct msb_error *err)
{
	char answer[16];

	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "there is no terminal to ask on; say yes with --yes");
	(void)fprintf(stderr, "%s [y/N] ", question);
	if (!fgets(answer, sizeof(answer), stdin))
		answer[0] = '\0';
	return answer[0] == 'y' || answer[0] == 'Y';
}

int common_removed(const struct json_at *result, struct msb_error *err)
{
	struct json_at removed = json_member(result, "removed");
	AUTO(buf_done) struct buf names;
	struct err e = ERR_INIT;
	uint64_t bytes = 0;
	char size[32];
	size_t n = 0;

	if (!json_present(&removed))
		return 0;
	if (json_get_array(&removed, SIZE_MAX, &n, &e) < 0 ||
	    json_opt_u64(result, "removed_bytes", 0, UINT64_MAX, &bytes, &e) < 0)
		return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
	if (n == 0)
		return 0;
	buf_init(&names, COMMON_JSON_MAX);
	for (size_t i = 0; i < n; i++) {
		struct json_at item = json_item(&removed, i);
		const char *name = NULL, *digest = "";

		if (json_opt_str(&item, "name", &name, &e) < 0 ||
		    json_opt_str(&item, "digest", &digest, &e) < 0)
			return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
		if (buf_addf(&names, "%s%s", i > 0 ? ", " : "", name ? name : digest) < 0)
			return common_error(err, MSB_E_NO_MEMORY, "out of memory");
	}
	out_size(bytes, size, sizeof(size));
	out_remark("removed %.*s to make room (%s)", (int)names.len, (const char *)names.data,
		   size);
	return 0;
}

int common_no_arguments(const struct opt_rest *rest, struct msb_error *err)
{
	if (rest->n_args > 0 || rest->has_guest)
		return common_error(err, MSB_E_INVALID_CONFIG, "unexpected argument '%s'",
				    rest->n_args > 0 ? rest->args[0] : "--");
	return 0;
}

int common_json(struct json_out *o, struct buf *b, const char **ret_text, struct msb_error *err)
{
	const char *text = json_out_end(o) == 0 ? buf_cstr(b) : NULL;

	if (!text)
		return common_error(err, MSB_E_NO_MEMORY, "the request is too large");
	*ret_text = text;
	return 0;
}

int common_jsonl(const struct json_at *array, size_t n, struct msb_error *err)
{
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, COMMON_JSON_MAX);
	for (size_t i = 0; i < n; i++) {
		struct json_at row = json_item(array, i);
		struct json_out o;
		const char *text = NULL;
		int r;

		buf_clear(&b);
		json_out_init(&o, &b);
		json_put_value(&o, NULL, row.value);
		r = common_json(&o, &b, &text, err);
		if (r < 0)
			return r;
		printf("%s\n", text);
	}
	return 0;
}

int common_open(const struct cli *cli, const char *engine, struct msb **ret_m,
		struct msb_error *err)
{
	AUTO(buf_done) struct buf b;
	struct json_out o;
	const char *text = NULL;
	int r;

	buf_init(&b, COMMON_JSON_MAX);
	json_out_init(&o, &b);
	json_put_object(&o, NULL);
	if (cli->home)
		json_put_str(&o, "home", cli->home);
	if (engine)
		json_put_str(&o, "engine", engine);
	json_put_end(&o);
	r = common_json(&o, &b, &text, err);
	return r < 0 ? r : msb_open(text, ret_m, err);
}
