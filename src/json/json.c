/* SPDX-License-Identifier: Apache-2.0 */
#include "json/json.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/options.h"

#define JSON_PATH_MAX 256 /* bytes of a way in an error; longer ones are cut */

static bool too_deep(const json_t *value, unsigned depth)
{
	if (json_is_object(value)) {
		void *it;

		/* jansson takes no const here, but changes nothing. */
		for (it = json_object_iter((json_t *)(uintptr_t)value); it;
		     it = json_object_iter_next((json_t *)(uintptr_t)value, it))
			if (depth == 0 || too_deep(json_object_iter_value(it), depth - 1))
				return true;
		return depth == 0;
	}
	if (json_is_array(value)) {
		for (size_t i = 0; i < json_array_size(value); i++)
			if (depth == 0 || too_deep(json_array_get(value, i), depth - 1))
				return true;
		return depth == 0;
	}
	return false;
}

int json_parse(const char *what, const void *data, size_t len, size_t max_len, json_t **ret_value,
	       struct err *err)
{
	AUTO(json_decref) json_t *value = NULL;
	json_error_t e;

	if (len > max_len)
		return err_set(err, ERR_INVALID, "%s: %zu bytes of JSON, more than %zu", what, len,
			       max_len);
	value = json_loadb(data, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
	if (!value)
		return err_set(err, ERR_INVALID, "%s: line %d, column %d: %s", what, e.line,
			       e.column, e.text);
	if (too_deep(value, JSON_MAX_DEPTH))
		return err_set(err, ERR_INVALID, "%s: more than %d levels", what, JSON_MAX_DEPTH);
	*ret_value = TAKE_PTR(value);
	return 0;
}

struct json_at json_root(const json_t *value, const char *name)
{
	return (struct json_at){ .value = value, .key = name };
}

struct json_at json_member(const struct json_at *object, const char *key)
{
	struct json_at at = { .parent = object, .key = key };

	at.value = json_object_get(object->value, key);
	if (json_is_null(at.value))
		at.value = NULL;
	return at;
}

struct json_at json_item(const struct json_at *array, size_t index)
{
	return (struct json_at){ .value = json_array_get(array->value, index),
				 .parent = array,
				 .index = index };
}

static void put_way(const struct json_at *at, struct buf *way)
{
	if (at->parent)
		put_way(at->parent, way);
	if (at->parent && !at->key)
		IGNORE_RESULT(buf_addf(way, "[%zu]", at->index)); /* a way may be cut */
	else if (at->key)
		IGNORE_RESULT(buf_addf(way, "%s%s", way->len ? "." : "", at->key));
}

int json_complain(const struct json_at *at, struct err *err, const char *fmt, ...)
{
	AUTO(buf_done) struct buf way = { 0 };
	char msg[ERR_MSG_MAX];
	const char *text;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	buf_init(&way, JSON_PATH_MAX);
	put_way(at, &way);
	text = buf_cstr(&way);
	if (!text || !*text)
		return err_set(err, ERR_INVALID, "%s", msg);
	return err_set(err, ERR_INVALID, "%s: %s", text, msg);
}

static const char *type_name(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
	case JSON_REAL:
		return "a number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a boolean";
	case JSON_NULL:
		return "null";
	}
	return "nothing";
}

static int wrong_type(const struct json_at *at, const char *want, struct err *err)
{
	if (!at->value)
		return json_complain(at, err, "missing: %s is needed", want);
	if (json_is_real(at->value))
		return json_complain(at, err, "must be %s, is not a whole number", want);
	return json_complain(at, err, "must be %s, is %s", want, type_name(at->value));
}

int json_get_str(const struct json_at *at, const char **ret, struct err *err)
{
	if (!json_is_string(at->value))
		return wrong_type(at, "a string", err);
	*ret = json_string_value(at->value);
	return 0;
}

int json_get_u64(const struct json_at *at, uint64_t min, uint64_t max, uint64_t *ret,
		 struct err *err)
{
	json_int_t v;

	if (!json_is_integer(at->value))
		return wrong_type(at, "a number", err);
	v = json_integer_value(at->value);
	if (v < 0 || (uint64_t)v < min || (uint64_t)v > max)
		return json_complain(at, err, "must be from %llu to %llu, is %lld",
				     (unsigned long long)min, (unsigned long long)max,
				     (long long)v);
	*ret = (uint64_t)v;
	return 0;
}

int json_get_bool(const struct json_at *at, bool *ret, struct err *err)
{
	if (!json_is_boolean(at->value))
		return wrong_type(at, "true or false", err);
	*ret = json_is_true(at->value);
	return 0;
}

int json_get_object(const struct json_at *at, struct err *err)
{
	return json_is_object(at->value) ? 0 : wrong_type(at, "an object", err);
}

int json_get_array(const struct json_at *at, size_t max_items, size_t *ret_n, struct err *err)
{
	size_t n;

	if (!json_is_array(at->value))
		return wrong_type(at, "an array", err);
	n = json_array_size(at->value);
	if (n > max_items)
		return json_complain(at, err, "%zu items, more than %zu", n, max_items);
	*ret_n = n;
	return 0;
}

static int get_enum(const struct json_at *at, const char *const *names, unsigned *ret,
		    struct err *err)
{
	const char *word = "", *near;
	AUTO(buf_done) struct buf all = { 0 };
	int r = json_get_str(at, &word, err);

	if (r < 0)
		return r;
	for (unsigned i = 0; names[i]; i++) {
		if (strcmp(names[i], word) == 0) {
			*ret = i;
			return 0;
		}
	}
	near = suggest(word, names);
	if (near)
		return json_complain(at, err, "unknown value '%s', did you mean '%s'?", word, near);
	buf_init(&all, JSON_PATH_MAX);
	for (unsigned i = 0; names[i]; i++)
		IGNORE_RESULT(buf_addf(&all, "%s'%s'", i ? ", " : "", names[i])); /* may be cut */
	return json_complain(at, err, "unknown value '%s', not one of %s", word,
			     buf_cstr(&all) ? (const char *)all.data : "the known ones");
}

int json_opt_str(const struct json_at *object, const char *key, const char **ret, struct err *err)
{
	struct json_at at = json_member(object, key);

	return json_present(&at) ? json_get_str(&at, ret, err) : 0;
}

int json_opt_u64(const struct json_at *object, const char *key, uint64_t min, uint64_t max,
		 uint64_t *ret, struct err *err)
{
	struct json_at at = json_member(object, key);

	return json_present(&at) ? json_get_u64(&at, min, max, ret, err) : 0;
}

int json_opt_bool(const struct json_at *object, const char *key, bool *ret, struct err *err)
{
	struct json_at at = json_member(object, key);

	return json_present(&at) ? json_get_bool(&at, ret, err) : 0;
}

int json_opt_enum(const struct json_at *object, const char *key, const char *const *names,
		  unsigned *ret, struct err *err)
{
	struct json_at at = json_member(object, key);

	return json_present(&at) ? get_enum(&at, names, ret, err) : 0;
}

int json_only_keys(const struct json_at *object, const char *const *keys, struct err *err)
{
	json_t *value = (json_t *)(uintptr_t)object->value; /* iterated, not changed */
	int r = json_get_object(object, err);

	if (r < 0)
		return r;
	for (void *it = json_object_iter(value); it; it = json_object_iter_next(value, it)) {
		const char *key = json_object_iter_key(it), *near;
		struct json_at at = { .parent = object, .key = key };
		bool known = false;

		for (const char *const *k = keys; *k && !known; k++)
			known = strcmp(*k, key) == 0;
		if (known)
			continue;
		near = suggest(key, keys);
		if (near)
			return json_complain(&at, err, "unknown key, did you mean '%s'?", near);
		return json_complain(&at, err, "unknown key");
	}
	return 0;
}
