/* SPDX-License-Identifier: Apache-2.0 */
#include "base/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"

#define SUGGEST_MAX_LEN	 64 /* bytes of a word that is compared */
#define SUGGEST_DISTANCE 2

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

/* Edit distance with swaps of neighbours counted as one. */
static size_t distance(const char *a, const char *b)
{
	size_t rows[3][SUGGEST_MAX_LEN + 1], n = strlen(a), m = strlen(b);

	if (n > SUGGEST_MAX_LEN || m > SUGGEST_MAX_LEN)
		return SUGGEST_MAX_LEN;
	for (size_t j = 0; j <= m; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *top = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			row[j] = min3(above[j] + 1, row[j - 1] + 1,
				      above[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    top[j - 2] + 1 < row[j])
				row[j] = top[j - 2] + 1;
		}
	}
	return rows[n % 3][m];
}

const char *suggest(const char *text, const char *const *words)
{
	const char *best = NULL;
	size_t best_distance = SUGGEST_DISTANCE + 1;

	for (; *words; words++) {
		size_t d = distance(text, *words);

		if (d < best_distance && d < strlen(*words)) {
			best = *words;
			best_distance = d;
		}
	}
	return best;
}

/* NUMBER[.FRACTION] at *text, as thousandths; moves *text behind it. */
static int parse_thousandths(const char **text, uint64_t *ret)
{
	const char *p = *text, *start = p;
	uint64_t whole, fraction = 0, scale = 100;
	int r;

	while (*p >= '0' && *p <= '9')
		p++;
	r = parse_u64_n(start, (size_t)(p - start), 10, UINT64_MAX / 1000 - 1, &whole);
	if (r < 0)
		return r;
	if (*p == '.') {
		if (p[1] < '0' || p[1] > '9')
			return -EINVAL;
		for (p++; *p >= '0' && *p <= '9'; p++, scale /= 10)
			fraction += (uint64_t)(*p - '0') * scale;
	}
	*text = p;
	*ret = whole * 1000 + fraction;
	return 0;
}

int parse_size_mib(const char *text, uint64_t *ret_mib)
{
	static const char units[] = "KMGT";
	uint64_t v, mul = 1024; /* in KiB per unit; without one: MiB */
	const char *u;
	int r = parse_thousandths(&text, &v);

	if (r < 0)
		return r;
	if (*text) {
		char unit = *text >= 'a' && *text <= 'z' ? (char)(*text - 'a' + 'A') : *text;

		u = strchr(units, unit);
		if (!u)
			return -EINVAL;
		mul = 1ull << (10 * (u - units));
		text++;
		if (*text == 'i')
			text++;
		if (*text == 'B' || *text == 'b')
			text++;
		if (*text)
			return -EINVAL;
	}
	if (__builtin_mul_overflow(v, mul, &v))
		return -ERANGE;
	*ret_mib = v / 1000 / 1024;
	return v > 0 && *ret_mib == 0 ? -ERANGE : 0;
}

int parse_duration_ms(const char *text, uint64_t *ret_ms)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = {
		{ "ms", 1 }, { "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }
	};
	uint64_t total = 0, last = UINT64_MAX;

	if (!*text)
		return -EINVAL;
	while (*text) {
		uint64_t v, ms = 1000;
		size_t i = 0;
		int r = parse_thousandths(&text, &v);

		if (r < 0)
			return r;
		if (*text) {
			for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
				if (strncmp(text, units[i].unit, strlen(units[i].unit)) == 0)
					break;
			if (i == sizeof(units) / sizeof(units[0]))
				return -EINVAL;
			ms = units[i].ms;
			text += strlen(units[i].unit);
		} else if (last != UINT64_MAX) {
			return -EINVAL; /* 1h30: of what? */
		}
		if (ms >= last) /* compounds fall: 1h30m */
			return -EINVAL;
		last = ms;
		if (__builtin_mul_overflow(v, ms, &v) ||
		    __builtin_add_overflow(total, v / 1000, &total))
			return -ERANGE;
	}
	*ret_ms = total;
	return 0;
}

static const struct opt *find_long(const struct opt *table, const char *name, size_t len)
{
	for (; table->kind != OPT_END; table++)
		if (strlen(table->name) == len && memcmp(table->name, name, len) == 0)
			return table;
	return NULL;
}

static const struct opt *find_brief(const struct opt *table, char brief)
{
	for (; table->kind != OPT_END; table++)
		if (table->brief == brief)
			return table;
	return NULL;
}

static int unknown(const struct opt *table, const char *what, const char *arg, struct err *err)
{
	const char *words[128];
	const char *near;
	size_t n = 0;
	int len = (int)strcspn(arg, "=");
	char name[SUGGEST_MAX_LEN + 1];

	for (; table->kind != OPT_END && n < 127; table++)
		words[n++] = table->name;
	words[n] = NULL;
	(void)snprintf(name, sizeof(name), "%.*s", len - 2 < 0 ? 0 : len - 2, arg + 2);
	near = strncmp(arg, "--", 2) == 0 ? suggest(name, words) : NULL;
	if (near)
		return err_set(err, ERR_INVALID,
			       "unknown option '%.*s' for '%s'; did you mean '--%s'?", len, arg,
			       what, near);
	return err_set(err, ERR_INVALID, "unknown option '%.*s' for '%s'", len, arg, what);
}

static int list_add(struct opt_list *list, const char *item)
{
	const char **more = reallocarray(list->items, list->n + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	list->items = more;
	list->items[list->n++] = item;
	return 0;
}

static int store(const struct opt *o, const char *value, void *dst, struct err *err)
{
	void *field = (char *)dst + o->field;
	uint64_t *number = field;
	int r = 0;

	switch (o->kind) {
	case OPT_FLAG:
		*(bool *)field = true;
		return 0;
	case OPT_STRING:
		*(const char **)field = value;
		return 0;
	case OPT_LIST:
		r = list_add(field, value);
		return r < 0 ? err_sys(err, -r, "--%s", o->name) : 0;
	case OPT_NUMBER:
		r = parse_u64(value, UINT64_MAX, number);
		if (r < 0)
			return err_set(err, ERR_INVALID, "--%s: '%s' is not a number", o->name,
				       value);
		return 0;
	case OPT_SIZE_MIB:
		r = parse_size_mib(value, number);
		if (r < 0)
			return err_set(err, ERR_INVALID,
				       "--%s: '%s' is not a size; write 512M, 1.5GiB or 2048 (MiB)",
				       o->name, value);
		return 0;
	case OPT_DURATION:
		r = parse_duration_ms(value, number);
		if (r < 0)
			return err_set(
				err, ERR_INVALID,
				"--%s: '%s' is not a duration; write 90m, 1h30m or 5400 (seconds)",
				o->name, value);
		return 0;
	case OPT_END:
	case OPT_KIND_MAX:
		break;
	}
	return err_set(err, ERR_INTERNAL, "option '--%s' has no kind", o->name);
}

static int need_value(const struct opt *o, struct err *err)
{
	return err_set(err, ERR_INVALID, "--%s needs %s", o->name, o->arg);
}

/* --name, --name=value or --name value; returns how many words it took. */
static int parse_long(const struct opt *table, const char *what, void *dst, int left, char **argv,
		      struct err *err)
{
	const char *name = argv[0] + 2, *value = strchr(name, '=');
	const struct opt *o = find_long(table, name, value ? (size_t)(value - name) : strlen(name));
	int n = 1, r;

	if (!o)
		return unknown(table, what, argv[0], err);
	if (o->kind == OPT_FLAG) {
		if (value)
			return err_set(err, ERR_INVALID, "--%s takes no value", o->name);
	} else if (value) {
		value++;
	} else {
		if (left < 2)
			return need_value(o, err);
		value = argv[1];
		n = 2;
	}
	r = store(o, value, dst, err);
	return r < 0 ? r : n;
}

/* -abc, -oVALUE or -o VALUE; returns how many words it took. */
static int parse_brief(const struct opt *table, const char *what, void *dst, int left, char **argv,
		       struct err *err)
{
	for (const char *p = argv[0] + 1; *p; p++) {
		const struct opt *o = find_brief(table, *p);
		int r;

		if (!o) {
			const char arg[3] = { '-', *p, '\0' };

			return unknown(table, what, arg, err);
		}
		if (o->kind == OPT_FLAG) {
			r = store(o, NULL, dst, err);
			if (r < 0)
				return r;
			continue;
		}
		if (p[1]) {
			r = store(o, p[1] == '=' ? p + 2 : p + 1, dst, err);
			return r < 0 ? r : 1;
		}
		if (left < 2)
			return need_value(o, err);
		r = store(o, argv[1], dst, err);
		return r < 0 ? r : 2;
	}
	return 1;
}

int options_parse(const struct opt *table, const char *what, void *dst, int argc, char **argv,
		  struct opt_rest *ret_rest, struct err *err)
{
	struct opt_rest rest = { .args = argv };
	int i = 0;

	while (i < argc) {
		int n;

		if (strcmp(argv[i], "--") == 0) {
			rest.has_guest = true;
			rest.guest = argv + i + 1;
			rest.n_guest = argc - i - 1;
			break;
		}
		if (strncmp(argv[i], "--", 2) == 0) {
			n = parse_long(table, what, dst, argc - i, argv + i, err);
		} else if (argv[i][0] == '-' && argv[i][1]) {
			n = parse_brief(table, what, dst, argc - i, argv + i, err);
		} else {
			rest.args[rest.n_args++] = argv[i];
			n = 1;
		}
		if (n < 0)
			return n;
		i += n;
	}
	*ret_rest = rest;
	return 0;
}

void options_done(const struct opt *table, void *dst)
{
	for (; table->kind != OPT_END; table++) {
		if (table->kind == OPT_LIST) {
			struct opt_list *list = (struct opt_list *)((char *)dst + table->field);

			free(list->items);
			*list = (struct opt_list){ NULL, 0 };
		}
	}
}
