/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/common.h"
#include "cli/names.h"
#include "cli/out.h"

static const char *const states[] = {
	"created", "starting", "running", "stopped", "crashed", NULL
};
static const char *const sort_names[] = { "name", "image", "status", "created", NULL };
static const char *const sort_keys[] = { "name", "image", "status", "created_at" };
#define SORT_CREATED 3

static bool in_list(const char *list, const char *word)
{
	for (const char *p = list; *p; p += *p == ',') {
		size_t len = strcspn(p, ",");

		if (len == strlen(word) && memcmp(p, word, len) == 0)
			return true;
		p += len;
	}
	return false;
}

int rows_check(const struct rows_opts *o, struct msb_error *err)
{
	int r = common_choice("sort", o->sort, sort_names, err);

	for (const char *p = o->status; r >= 0 && p && *p; p += *p == ',') {
		char word[32];
		size_t len = strcspn(p, ",");

		(void)snprintf(word, sizeof(word), "%.*s", (int)len, p);
		r = common_choice("status", word, states, err);
		p += len;
	}
	return r < 0 ? r : 0;
}

static const char *member(const json_t *row, const char *key)
{
	const char *text = json_string_value(json_object_get(row, key));

	return text ? text : "";
}

struct row {
	json_t *value; /* borrowed from the list */
	const char *key, *name;
	bool newest_first;
};

static int compare(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int r = strcmp(x->key, y->key);

	if (x->newest_first)
		r = -r;
	return r ? r : strcmp(x->name, y->name);
}

static bool wanted(const struct json_at *at, const struct rows_opts *o, const char *status)
{
	const char *is = member(at->value, "status");

	if (o->status || o->running || o->stopped) {
		if (!(o->status && in_list(o->status, is)) &&
		    !(o->running && strcmp(is, "running") == 0) &&
		    !(o->stopped && in_list("stopped,crashed", is)))
			return false;
	} else if (status && !in_list(status, is)) {
		return false;
	}
	return names_match(at, &o->labels);
}

int rows_list(struct msb *m, const struct rows_opts *o, const char *status, const char *sort,
	      json_t **ret_rows, struct msb_error *err)
{
	AUTO(json_decref) json_t *all = NULL, *chosen = json_array();
	AUTO_FREE struct row *rows = NULL;
	int by = common_choice("sort", o->sort ? o->sort : sort, sort_names, err);
	int r = names_list(m, &all, err);
	size_t n = 0, n_all = json_array_size(all);
	struct json_at root = json_root(all, "sandboxes");

	if (by < 0 || r < 0)
		return by < 0 ? by : r;
	rows = calloc(n_all + 1, sizeof(*rows));
	if (!rows || !chosen)
		return common_error(err, MSB_E_NO_MEMORY, "out of memory");
	for (size_t i = 0; i < n_all; i++) {
		struct json_at at = json_item(&root, i);
		json_t *value = json_array_get(all, i);

		if (wanted(&at, o, status))
			rows[n++] = (struct row){ value, member(value, sort_keys[by]),
						  member(value, "name"), by == SORT_CREATED };
	}
	qsort(rows, n, sizeof(*rows), compare);
	for (size_t i = 0; i < n; i++)
		if (json_array_append(chosen, rows[i].value) < 0)
			return common_error(err, MSB_E_NO_MEMORY, "out of memory");
	*ret_rows = TAKE_PTR(chosen);
	return 0;
}

int rows_detail(const struct json_at *row, char *buf, size_t size, struct err *e)
{
	const char *status = "", *reason = NULL, *started = NULL, *ended = NULL;
	uint64_t code = UINT64_MAX;
	char when[40] = "", what[80];
	int r = json_opt_str(row, "status", &status, e);

	r = r < 0 ? r : json_opt_str(row, "reason", &reason, e);
	r = r < 0 ? r : json_opt_str(row, "started_at", &started, e);
	r = r < 0 ? r : json_opt_str(row, "ended_at", &ended, e);
	r = r < 0 ? r : json_opt_u64(row, "exit_code", 0, 255, &code, e);
	buf[0] = '\0';
	if (r < 0)
		return r;
	if (strcmp(status, "running") == 0 && started) {
		out_duration(out_age_ms(started), when, sizeof(when));
		(void)snprintf(buf, size, "up %s", when);
		return 0;
	}
	if (!ended)
		return 0;
	out_time(ended, when, sizeof(when));
	if (code == UINT64_MAX)
		(void)snprintf(what, sizeof(what), "%s", reason ? reason : "ended");
	else if (!reason || strcmp(reason, "exited") == 0 || strcmp(reason, "completed") == 0)
		(void)snprintf(what, sizeof(what), "exit %u", (unsigned)code);
	else
		(void)snprintf(what, sizeof(what), "exit %u (%s)", (unsigned)code, reason);
	(void)snprintf(buf, size, "%s, %s", what, when);
	return 0;
}
