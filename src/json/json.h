/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JSON_JSON_H
#define JSON_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/defer.h"
#include "base/err.h"

/*
 * JSON in and out.  Values are jansson's json_t: json_parse() gives one reference, json_decref()
 * ends it; all else below borrows.  Only this header includes jansson's.
 *
 * Reading is strict and says where: a value is looked at through a struct json_at, which
 * knows its way from the root, so that each error names the key ("mounts[2].target: ...").
 */
DEFINE_AUTO(json_t *, json_decref);

#define JSON_MAX_DEPTH 32 /* objects and arrays inside each other */

/**
 * json_parse() - Parse one JSON text
 * @what:	Put in front of errors ("spec"); borrowed
 * @max_len:	Longer texts are refused unread
 * @ret_value:	One reference
 * @err:	INVALID with line and column: no JSON, too long, too deep, a key twice in an
 *		object, NUL in a string
 */
int json_parse(const char *what, const void *data, size_t len, size_t max_len, json_t **ret_value,
	       struct err *err);

/* A value and the way to it.  Lives on the stack; parents outlive their children. */
struct json_at {
	const json_t *value;	      /* borrowed; NULL: no such member */
	const struct json_at *parent; /* borrowed; NULL for the root */
	const char *key; /* borrowed; name in parent, of the root: a name for errors, may be NULL */
	size_t index;	 /* in parent, if that is an array (key is NULL then) */
};

struct json_at json_root(const json_t *value, const char *name);
/* A member of an object; .value is NULL if there is none, or null. */
struct json_at json_member(const struct json_at *object, const char *key);
/* An element of an array; index below its size. */
struct json_at json_item(const struct json_at *array, size_t index);
static inline bool json_present(const struct json_at *at)
{
	return at->value != NULL;
}

/* Fill err with INVALID and "WAY: message". Return: negative. */
int json_complain(const struct json_at *at, struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* What a value must be: each fails with INVALID for an absent value or another type. */
int json_get_str(const struct json_at *at, const char **ret, struct err *err); /* borrowed */
int json_get_u64(const struct json_at *at, uint64_t min, uint64_t max, uint64_t *ret,
		 struct err *err);
int json_get_bool(const struct json_at *at, bool *ret, struct err *err);
int json_get_object(const struct json_at *at, struct err *err);
int json_get_array(const struct json_at *at, size_t max_items, size_t *ret_n, struct err *err);

/* The same for a member of an object that may be absent or null: *ret is left alone then. */
int json_opt_str(const struct json_at *object, const char *key, const char **ret, struct err *err);
int json_opt_u64(const struct json_at *object, const char *key, uint64_t min, uint64_t max,
		 uint64_t *ret, struct err *err);
int json_opt_bool(const struct json_at *object, const char *key, bool *ret, struct err *err);
/* Index in @names (ended by NULL) of a string; an error suggests the nearest name. */
int json_opt_enum(const struct json_at *object, const char *key, const char *const *names,
		  unsigned *ret, struct err *err);

/* It is an object and has no key but @keys (ended by NULL); an error suggests the nearest. */
int json_only_keys(const struct json_at *object, const char *const *keys, struct err *err);

/*
 * Writer: appends compact JSON to a buf.  @key is NULL inside an array and at the top.  The first
 * failure sticks: check json_out_end() only.  Bytes that are not UTF-8 become U+FFFD.
 */
struct json_out {
	struct buf *b;	 /* borrowed */
	int error;	 /* -errno; 0 so far */
	unsigned depth;	 /* open objects and arrays */
	uint64_t arrays; /* bit n: level n is an array */
	bool comma;	 /* an item stands before the next one */
};

void json_out_init(struct json_out *o, struct buf *b);
/* Whether json_put_strn() would keep every byte: the text is UTF-8. */
bool json_text_is_valid(const void *text, size_t len);
void json_put_object(struct json_out *o, const char *key); /* opened; json_put_end() closes */
void json_put_array(struct json_out *o, const char *key);
void json_put_end(struct json_out *o);
void json_put_str(struct json_out *o, const char *key, const char *text); /* NULL: null */
void json_put_strn(struct json_out *o, const char *key, const void *text, size_t len);
void json_put_u64(struct json_out *o, const char *key, uint64_t v);
void json_put_i64(struct json_out *o, const char *key, int64_t v);
void json_put_bool(struct json_out *o, const char *key, bool v);
void json_put_null(struct json_out *o, const char *key);
void json_put_value(struct json_out *o, const char *key, const json_t *value);
/* 0, or the first failure. Everything is closed by now. */
MUST_CHECK int json_out_end(struct json_out *o);

#endif /* JSON_JSON_H */
