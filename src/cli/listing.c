/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/listing.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cli/common.h"
#include "cli/out.h"

static const char *const formats[] = { "table", "json", "jsonl", NULL };

static size_t count(const char *const *header)
{
	size_t n = 0;

	while (header[n])
		n++;
	return n;
}

/* Indices of the columns to show into @order, by name in any case; their number. */
static int choose(const struct listing *l, const char *columns, size_t order[LISTING_COLUMNS],
		  struct msb_error *err)
{
	size_t n = 0, n_all = count(l->header);

	for (const char *p = columns; p && *p; p += *p == ',') {
		size_t len = strcspn(p, ","), i = 0;

		while (i < n_all &&
		       (strlen(l->header[i]) != len || strncasecmp(l->header[i], p, len) != 0))
			i++;
		if (i == n_all || n == LISTING_COLUMNS)
			return common_error(err, MSB_E_INVALID_CONFIG,
					    "--columns: there is no column '%.*s'", (int)len, p);
		order[n++] = i;
		p += len;
	}
	for (size_t i = 0; !columns && i < n_all; i++)
		order[n++] = i;
	return (int)n;
}

int listing_check(const struct listing *l, const struct listing_opts *o, struct msb_error *err)
{
	size_t order[LISTING_COLUMNS] = { 0 };
	int r = choose(l, o->columns, order, err);

	return r < 0 ? r : common_choice("format", o->format, formats, err);
}

static int add_row(struct out_table *t, const struct listing_row *row, const size_t *order,
		   size_t n)
{
	const char *cells[LISTING_COLUMNS];

	for (size_t i = 0; i < n; i++)
		cells[i] = row->cells[order[i]] ? row->cells[order[i]] : "";
	return out_table_row(t, cells);
}

static int print_table(const struct listing *l, const struct listing_opts *o,
		       const struct json_at *array, size_t n_items, struct msb_error *err)
{
	size_t order[LISTING_COLUMNS] = { 0 };
	const char *header[LISTING_COLUMNS];
	int n = choose(l, o->columns, order, err), r = 0;
	struct out_table *t;
	struct err e = ERR_INIT;

	if (n < 0)
		return n;
	for (int i = 0; i < n; i++)
		header[i] = l->header[order[i]];
	t = out_table_new((size_t)n, header);
	if (!t)
		return common_error(err, MSB_E_NO_MEMORY, "out of memory");
	for (size_t i = 0; i < n_items && r >= 0; i++) {
		struct json_at item = json_item(array, i);
		struct listing_row row = { 0 };

		r = l->row(&item, &row, &e);
		if (r >= 0 && o->quiet)
			printf("%s\n", row.name);
		else if (r >= 0)
			r = add_row(t, &row, order, (size_t)n);
	}
	if (r >= 0 && !o->quiet)
		out_table_print(t, !o->no_header);
	out_table_free(t);
	if (r < 0 && !e.msg[0])
		return common_error(err, MSB_E_NO_MEMORY, "out of memory");
	return r < 0 ? common_error(err, MSB_E_INTERNAL, "%s", e.msg) : 0;
}

static int print_json(const struct json_at *array, struct msb_error *err)
{
	AUTO(buf_done) struct buf b;
	const char *text = NULL;
	struct json_out o;
	int r;

	buf_init(&b, 4 * (size_t)COMMON_JSON_MAX);
	json_out_init(&o, &b);
	json_put_value(&o, NULL, array->value);
	r = common_json(&o, &b, &text, err);
	if (r >= 0)
		printf("%s\n", text);
	return r;
}

int listing_print(const struct listing *l, const struct listing_opts *o,
		  const struct json_at *array, struct msb_error *err)
{
	int format = common_choice("format", o->format, formats, err);
	struct err e = ERR_INIT;
	size_t n = 0;

	if (format < 0)
		return format;
	if (json_get_array(array, SIZE_MAX, &n, &e) < 0)
		return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
	if (format == LISTING_JSON)
		return print_json(array, err);
	if (n == 0 && !o->quiet)
		out_remark("No %s.", l->what);
	if (format == LISTING_JSONL)
		return common_jsonl(array, n, err);
	return n == 0 ? 0 : print_table(l, o, array, n, err);
}

int listing_print_text(const struct listing *l, const struct listing_opts *o, const char *json,
		       struct msb_error *err)
{
	AUTO(json_decref) json_t *root = NULL;
	struct err e = ERR_INIT;
	struct json_at at;

	if (json_parse(l->what, json, strlen(json), 4 * (size_t)COMMON_JSON_MAX, &root, &e) < 0)
		return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
	at = json_root(root, l->what);
	return listing_print(l, o, &at, err);
}
