/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/common.h"

int names_list(struct msb *m, json_t **ret_rows, struct msb_error *err)
{
	AUTO(msb_free) char *text = NULL;
	struct err e = ERR_INIT;
	int r = msb_list(m, MSB_SANDBOX, NULL, &text, err);

	if (r < 0)
		return r;
	if (json_parse("sandboxes", text, strlen(text), 4 * (size_t)COMMON_JSON_MAX, ret_rows, &e) <
	    0)
		return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
	return 0;
}

static const char *row_name(const struct json_at *rows, size_t i)
{
	struct json_at row = json_item(rows, i);
	const char *name = "";
	struct err e = ERR_INIT;

	IGNORE_RESULT(json_opt_str(&row, "name", &name, &e) < 0); /* else "" */
	return name;
}

void names_hint(struct msb *m, struct msb_error *err)
{
	AUTO(json_decref) json_t *value = NULL;
	struct msb_error ignored;
	AUTO_FREE const char **words = NULL;
	size_t n, len = strlen(err->message);
	const char *near = NULL;
	struct json_at rows;

	if (err->code != MSB_E_SANDBOX_NOT_FOUND || strchr(err->message, '\n'))
		return;
	if (names_list(m, &value, &ignored) < 0)
		return;
	n = json_array_size(value);
	words = calloc(n + 1, sizeof(*words));
	if (!words)
		return;
	rows = json_root(value, "sandboxes");
	for (size_t i = 0; i < n; i++)
		words[i] = row_name(&rows, i);
	near = suggest(err->subject, words);
	if (near)
		(void)snprintf(err->message + len, sizeof(err->message) - len,
			       "\ndid you mean '%s'?", near);
	else
		(void)snprintf(err->message + len, sizeof(err->message) - len,
			       "\nsee what there is: msb ls");
}

int names_open(struct msb *m, const char *name, struct msb_sandbox **ret_sb, struct msb_error *err)
{
	int r = msb_sandbox_get(m, name, ret_sb, err);

	if (r < 0)
		names_hint(m, err);
	return r;
}

bool names_match(const struct json_at *row, const struct opt_list *labels)
{
	struct json_at all = json_member(row, "labels");

	for (size_t i = 0; i < labels->n; i++) {
		const char *text = labels->items[i], *value = NULL;
		size_t len = strcspn(text, "=");
		char key[256];
		struct err e = ERR_INIT;

		(void)snprintf(key, sizeof(key), "%.*s", (int)len, text);
		if (!json_present(&all) || json_opt_str(&all, key, &value, &e) < 0 || !value)
			return false;
		if (text[len] && strcmp(value, text + len + 1) != 0)
			return false;
	}
	return true;
}

void names_done(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->items[i]);
	free(names->items);
	*names = (struct names){ 0 };
}

static int add(struct names *names, const char *name, struct msb_error *err)
{
	char **more;

	for (size_t i = 0; i < names->n; i++)
		if (strcmp(names->items[i], name) == 0)
			return 0;
	more = reallocarray(names->items, names->n + 1, sizeof(*more));
	if (!more)
		return common_error(err, MSB_E_NO_MEMORY, "out of memory");
	names->items = more;
	more[names->n] = strdup(name);
	if (!more[names->n])
		return common_error(err, MSB_E_NO_MEMORY, "out of memory");
	names->n++;
	return 0;
}

static int add_labelled(struct msb *m, const struct opt_list *labels, struct names *names,
			struct msb_error *err)
{
	AUTO(json_decref) json_t *value = NULL;
	struct json_at rows;
	int r = names_list(m, &value, err);

	rows = json_root(value, "sandboxes");
	for (size_t i = 0; r >= 0 && i < json_array_size(value); i++) {
		struct json_at row = json_item(&rows, i);

		if (names_match(&row, labels))
			r = add(names, row_name(&rows, i), err);
	}
	return r;
}

int names_select(struct msb *m, const struct opt_rest *rest, const struct opt_list *labels,
		 const char *command, struct names *ret_names, struct msb_error *err)
{
	AUTO(names_done) struct names names = { .by_label = labels->n > 0 };
	int r = 0;

	if (rest->has_guest)
		return common_error(err, MSB_E_INVALID_CONFIG, "unexpected argument '--'");
	if (rest->n_args == 0 && labels->n == 0)
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "name a sandbox, or choose some by --label\n"
				    "for example: msb %s my-app",
				    command);
	for (int i = 0; r >= 0 && i < rest->n_args; i++)
		r = add(&names, rest->args[i], err);
	if (r >= 0 && labels->n > 0)
		r = add_labelled(m, labels, &names, err);
	if (r < 0)
		return r;
	*ret_names = names;
	names = (struct names){ 0 };
	return 0;
}
