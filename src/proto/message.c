/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proto/agent.h"
#include "proto/cbor.h"
#include "proto/frame.h"
#include "proto/internal.h"

#define KEY_REQUIRED 0x8000u /* a reader that does not know this field must fail */
#define KEY_MAX	     UINT16_MAX
#define DEPTH_MAX    2 /* maps in maps; our tables are not deeper */

static void *at(void *x, size_t offset)
{
	return (char *)x + offset;
}

static const void *at_const(const void *x, size_t offset)
{
	return (const char *)x + offset;
}

void message_init(const struct message *m, void *x)
{
	memset(x, 0, m->size);
	for (size_t i = 0; i < m->n_fields; i++)
		if (m->fields[i].kind == FIELD_INDEX)
			*(uint32_t *)at(x, m->fields[i].offset) = UINT32_MAX;
}

static void array_done(const struct field *f, void *x)
{
	char **items = at(x, f->offset);
	size_t *n = at(x, f->count);

	for (size_t i = 0; i < *n; i++)
		message_done(f->item, *items + i * f->item->size);
	free(*items);
	*items = NULL;
	*n = 0;
}

void message_done(const struct message *m, void *x)
{
	for (size_t i = 0; i < m->n_fields; i++) {
		const struct field *f = &m->fields[i];

		if (f->kind == FIELD_STR)
			free(*(char **)at(x, f->offset));
		else if (f->kind == FIELD_LIST)
			str_list_done(at(x, f->offset));
		else if (f->kind == FIELD_ARRAY)
			array_done(f, x);
	}
	message_init(m, x);
}

static bool all_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

static bool is_empty(const struct field *f, const void *x)
{
	const void *p = at_const(x, f->offset);

	switch (f->kind) {
	case FIELD_BOOL:
		return !*(const bool *)p;
	case FIELD_U16:
		return *(const uint16_t *)p == 0;
	case FIELD_U32:
	case FIELD_I32:
		return *(const uint32_t *)p == 0;
	case FIELD_U64:
		return *(const uint64_t *)p == 0;
	case FIELD_INDEX:
		return *(const uint32_t *)p == UINT32_MAX;
	case FIELD_CHARS:
		return *(const char *)p == '\0';
	case FIELD_BLOB:
		return all_zero(p, f->size);
	case FIELD_STR:
		return !*(char *const *)p;
	case FIELD_LIST:
		return ((const struct str_list *)p)->n == 0;
	case FIELD_ARRAY:
		return *(const size_t *)at_const(x, f->count) == 0;
	}
	return true;
}

static int put_list(struct buf *b, const struct str_list *l)
{
	int r = cbor_put_array(b, l->n);

	for (size_t i = 0; i < l->n && r >= 0; i++)
		r = cbor_put_bytes(b, l->items[i], strlen(l->items[i]));
	return r;
}

static int put_array(struct buf *b, const struct field *f, const void *x)
{
	const char *items = *(char *const *)at_const(x, f->offset);
	size_t n = *(const size_t *)at_const(x, f->count);
	int r = cbor_put_array(b, n);

	for (size_t i = 0; i < n && r >= 0; i++)
		r = message_encode(b, f->item, items + i * f->item->size);
	return r;
}

static int put_value(struct buf *b, const struct field *f, const void *x)
{
	const void *p = at_const(x, f->offset);

	switch (f->kind) {
	case FIELD_BOOL:
		return cbor_put_bool(b, *(const bool *)p);
	case FIELD_U16:
		return cbor_put_uint(b, *(const uint16_t *)p);
	case FIELD_U32:
	case FIELD_INDEX:
		return cbor_put_uint(b, *(const uint32_t *)p);
	case FIELD_U64:
		return cbor_put_uint(b, *(const uint64_t *)p);
	case FIELD_I32:
		return cbor_put_int(b, *(const int32_t *)p);
	case FIELD_CHARS:
		return cbor_put_bytes(b, p, strnlen(p, f->size - 1));
	case FIELD_BLOB:
		return cbor_put_bytes(b, p, f->size);
	case FIELD_STR:
		return cbor_put_bytes(b, *(char *const *)p, strlen(*(char *const *)p));
	case FIELD_LIST:
		return put_list(b, p);
	case FIELD_ARRAY:
		return put_array(b, f, x);
	}
	return -EINVAL;
}

int message_encode(struct buf *b, const struct message *m, const void *x)
{
	size_t before = b->len, n = 0;
	int r;

	for (size_t i = 0; i < m->n_fields; i++)
		n += !is_empty(&m->fields[i], x);
	r = cbor_put_map(b, n);
	for (size_t i = 0; i < m->n_fields && r >= 0; i++) {
		if (is_empty(&m->fields[i], x))
			continue;
		r = cbor_put_uint(b, m->fields[i].key);
		if (r >= 0)
			r = put_value(b, &m->fields[i], x);
	}
	if (r < 0)
		b->len = before;
	return r;
}

int message_frame(struct buf *b, uint16_t type, const struct message *m, const void *x)
{
	size_t start;
	int r = frame_begin(b, type, &start);

	if (r < 0)
		return r;
	r = message_encode(b, m, x);
	if (r < 0) {
		b->len = start;
		return r;
	}
	return frame_end(b, start);
}

/* A byte string without NUL as a new string. */
static int get_str(struct cbor *c, char **ret)
{
	const uint8_t *p;
	size_t len;
	char *text;
	int r = cbor_get_bytes(c, &p, &len);

	if (r < 0)
		return r;
	if (memchr(p, '\0', len))
		return -EPROTO;
	text = strndup((const char *)p, len);
	if (!text)
		return -ENOMEM;
	*ret = text;
	return 0;
}

static int get_chars(struct cbor *c, char *out, size_t size)
{
	const uint8_t *p;
	size_t len;
	int r = cbor_get_bytes(c, &p, &len);

	if (r < 0)
		return r;
	if (len >= size || memchr(p, '\0', len))
		return -EPROTO;
	memcpy(out, p, len);
	out[len] = '\0';
	return 0;
}

static int get_blob(struct cbor *c, uint8_t *out, size_t size)
{
	const uint8_t *p;
	size_t len;
	int r = cbor_get_bytes(c, &p, &len);

	if (r < 0)
		return r;
	if (len != size)
		return -EPROTO;
	memcpy(out, p, len);
	return 0;
}

static int get_i32(struct cbor *c, int32_t *ret)
{
	int64_t v;
	int r = cbor_get_int(c, &v);

	if (r < 0)
		return r;
	if (v < INT32_MIN || v > INT32_MAX)
		return -EPROTO;
	*ret = (int32_t)v;
	return 0;
}

static int get_list(struct cbor *c, const struct field *f, struct str_list *l)
{
	uint64_t n;
	size_t cap = 1;
	int r = cbor_get_array(c, &n);

	if (r < 0)
		return r;
	if (n > f->max)
		return -EPROTO;
	while (cap <= n) /* as str_list_add() has it */
		cap *= 2;
	l->items = calloc(cap, sizeof(*l->items));
	if (!l->items)
		return -ENOMEM;
	for (; l->n < n; l->n++) {
		r = get_str(c, &l->items[l->n]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int get_map(struct cbor *c, const struct message *m, void *x, unsigned depth);

static int get_array(struct cbor *c, const struct field *f, void *x, unsigned depth)
{
	char **items = at(x, f->offset);
	size_t *n_items = at(x, f->count);
	uint64_t n;
	int r = cbor_get_array(c, &n);

	if (r < 0)
		return r;
	if (n > f->max)
		return -EPROTO;
	*items = n ? calloc(n, f->item->size) : NULL;
	if (n && !*items)
		return -ENOMEM;
	while (*n_items < n) {
		void *item = *items + *n_items * f->item->size;

		message_init(f->item, item);
		(*n_items)++; /* first: a half-read item is released with the rest */
		r = get_map(c, f->item, item, depth + 1);
		if (r < 0)
			return r;
	}
	return 0;
}

static int get_value(struct cbor *c, const struct field *f, void *x, unsigned depth)
{
	void *p = at(x, f->offset);
	uint64_t v;
	int r;

	switch (f->kind) {
	case FIELD_BOOL:
		return cbor_get_bool(c, p);
	case FIELD_U16:
		r = cbor_get_uint(c, f->max ? f->max : UINT16_MAX, &v);
		if (r >= 0)
			*(uint16_t *)p = (uint16_t)v;
		return r;
	case FIELD_U32:
	case FIELD_INDEX:
		r = cbor_get_uint(c, f->max ? f->max : UINT32_MAX, &v);
		if (r >= 0)
			*(uint32_t *)p = (uint32_t)v;
		return r;
	case FIELD_U64:
		return cbor_get_uint(c, f->max ? f->max : UINT64_MAX, p);
	case FIELD_I32:
		return get_i32(c, p);
	case FIELD_CHARS:
		return get_chars(c, p, f->size);
	case FIELD_BLOB:
		return get_blob(c, p, f->size);
	case FIELD_STR:
		return get_str(c, p);
	case FIELD_LIST:
		return get_list(c, f, p);
	case FIELD_ARRAY:
		return get_array(c, f, x, depth);
	}
	return -EINVAL;
}

static const struct field *find(const struct message *m, uint64_t key)
{
	for (size_t i = 0; i < m->n_fields; i++)
		if (m->fields[i].key == key)
			return &m->fields[i];
	return NULL;
}

static int get_map(struct cbor *c, const struct message *m, void *x, unsigned depth)
{
	uint64_t n, key, last = 0; /* no field has key 0 */
	int r;

	if (depth > DEPTH_MAX)
		return -EPROTO;
	r = cbor_get_map(c, &n);
	for (uint64_t i = 0; i < n && r >= 0; i++) {
		const struct field *f;

		r = cbor_get_uint(c, KEY_MAX, &key);
		if (r < 0)
			return r;
		if (key <= last)
			return -EPROTO;
		last = key;
		f = find(m, key);
		if (f)
			r = get_value(c, f, x, depth);
		else if (key & KEY_REQUIRED)
			return -EOPNOTSUPP;
		else
			r = cbor_skip(c);
	}
	return r;
}

int message_decode(const void *data, size_t len, const struct message *m, void *x)
{
	struct cbor c = cbor_over(data, len);
	int r;

	message_init(m, x);
	r = get_map(&c, m, x, 0);
	if (r >= 0 && c.p != c.end)
		r = -EPROTO;
	if (r < 0)
		message_done(m, x);
	return r;
}
