/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/cbor.h"

#include <errno.h>
#include <string.h>

/* Major types, the upper three bits of an item's first byte (RFC 8949, section 3.1). */
enum major {
	MAJOR_UINT = 0,
	MAJOR_NEGATIVE = 1,
	MAJOR_BYTES = 2,
	MAJOR_TEXT = 3,
	MAJOR_ARRAY = 4,
	MAJOR_MAP = 5,
	MAJOR_SIMPLE = 7,
};

#define SIMPLE_FALSE 20
#define SIMPLE_TRUE  21
#define SIMPLE_NULL  22

#define HEAD_MAX 9 /* bytes: first byte and a 64-bit argument */

static int put_head(struct buf *b, enum major major, uint64_t v)
{
	uint8_t head[HEAD_MAX];
	unsigned n_bytes = v < 24	     ? 0
			   : v <= UINT8_MAX  ? 1
			   : v <= UINT16_MAX ? 2
			   : v <= UINT32_MAX ? 4
					     : 8;
	unsigned code = n_bytes == 0   ? (unsigned)v
			: n_bytes == 1 ? 24
			: n_bytes == 2 ? 25
			: n_bytes == 4 ? 26
				       : 27;

	head[0] = (uint8_t)((unsigned)major << 5 | code);
	for (unsigned i = 0; i < n_bytes; i++)
		head[1 + i] = (uint8_t)(v >> 8 * (n_bytes - 1 - i));
	return buf_add(b, head, 1 + n_bytes);
}

int cbor_put_uint(struct buf *b, uint64_t v)
{
	return put_head(b, MAJOR_UINT, v);
}

int cbor_put_int(struct buf *b, int64_t v)
{
	return v < 0 ? put_head(b, MAJOR_NEGATIVE, ~(uint64_t)v)
		     : put_head(b, MAJOR_UINT, (uint64_t)v);
}

static int put_string(struct buf *b, enum major major, const void *data, size_t len)
{
	size_t before = b->len;
	int r = put_head(b, major, len);

	if (r < 0)
		return r;
	r = buf_add(b, data, len);
	if (r < 0)
		b->len = before;
	return r;
}

int cbor_put_bytes(struct buf *b, const void *data, size_t len)
{
	return put_string(b, MAJOR_BYTES, data, len);
}

int cbor_put_text(struct buf *b, const char *text)
{
	return put_string(b, MAJOR_TEXT, text, strlen(text));
}

int cbor_put_bool(struct buf *b, bool v)
{
	return put_head(b, MAJOR_SIMPLE, v ? SIMPLE_TRUE : SIMPLE_FALSE);
}

int cbor_put_array(struct buf *b, uint64_t n_items)
{
	return put_head(b, MAJOR_ARRAY, n_items);
}

int cbor_put_map(struct buf *b, uint64_t n_pairs)
{
	return put_head(b, MAJOR_MAP, n_pairs);
}

/* An item's head; *c moves behind it only on success. */
static int get_head(struct cbor *c, enum cbor_kind *ret_kind, uint64_t *ret_arg)
{
	static const enum cbor_kind kinds[] = {
		[MAJOR_UINT] = CBOR_UINT,   [MAJOR_NEGATIVE] = CBOR_NEGATIVE,
		[MAJOR_BYTES] = CBOR_BYTES, [MAJOR_TEXT] = CBOR_TEXT,
		[MAJOR_ARRAY] = CBOR_ARRAY, [MAJOR_MAP] = CBOR_MAP,
	};
	static const uint64_t least[] = { 24, 1u << 8, 1u << 16, 1ull << 32 };
	const uint8_t *p = c->p;
	unsigned major, code, n_bytes;
	uint64_t v = 0;

	if (p == c->end)
		return -EPROTO;
	major = *p >> 5;
	code = *p++ & 31;
	if (major == MAJOR_SIMPLE) {
		if (code < SIMPLE_FALSE || code > SIMPLE_NULL)
			return -EPROTO;
		*ret_kind = code == SIMPLE_NULL ? CBOR_NULL : CBOR_BOOL;
		*ret_arg = code == SIMPLE_TRUE;
		c->p = p;
		return 0;
	}
	if (major > MAJOR_MAP || code > 27)
		return -EPROTO;
	if (code < 24) {
		v = code;
	} else {
		n_bytes = 1u << (code - 24);
		if ((size_t)(c->end - p) < n_bytes)
			return -EPROTO;
		for (unsigned i = 0; i < n_bytes; i++)
			v = v << 8 | *p++;
		if (v < least[code - 24]) /* a shorter form exists */
			return -EPROTO;
	}
	if (major == MAJOR_NEGATIVE && v > INT64_MAX)
		return -EPROTO;
	*ret_kind = kinds[major];
	*ret_arg = v;
	c->p = p;
	return 0;
}

int cbor_peek(const struct cbor *c)
{
	struct cbor copy = *c;
	enum cbor_kind kind;
	uint64_t arg;
	int r = get_head(&copy, &kind, &arg);

	return r < 0 ? r : (int)kind;
}

/* The head of an item of this kind; *c stays put on failure. */
static int get_kind(struct cbor *c, enum cbor_kind want, uint64_t *ret_arg)
{
	struct cbor copy = *c;
	enum cbor_kind kind;
	int r = get_head(&copy, &kind, ret_arg);

	if (r < 0)
		return r;
	if (kind != want)
		return -EPROTO;
	*c = copy;
	return 0;
}

int cbor_get_uint(struct cbor *c, uint64_t max, uint64_t *ret)
{
	struct cbor copy = *c;
	uint64_t v;
	int r = get_kind(&copy, CBOR_UINT, &v);

	if (r < 0)
		return r;
	if (v > max)
		return -EPROTO;
	*c = copy;
	*ret = v;
	return 0;
}

int cbor_get_int(struct cbor *c, int64_t *ret)
{
	struct cbor copy = *c;
	enum cbor_kind kind;
	uint64_t v;
	int r = get_head(&copy, &kind, &v);

	if (r < 0)
		return r;
	if ((kind != CBOR_UINT && kind != CBOR_NEGATIVE) || v > INT64_MAX)
		return -EPROTO;
	*c = copy;
	*ret = kind == CBOR_NEGATIVE ? -1 - (int64_t)v : (int64_t)v;
	return 0;
}

int cbor_get_bool(struct cbor *c, bool *ret)
{
	uint64_t v;
	int r = get_kind(c, CBOR_BOOL, &v);

	if (r < 0)
		return r;
	*ret = v != 0;
	return 0;
}

static int get_string(struct cbor *c, enum cbor_kind kind, const uint8_t **ret, size_t *ret_len)
{
	struct cbor copy = *c;
	uint64_t len;
	int r = get_kind(&copy, kind, &len);

	if (r < 0)
		return r;
	if (len > (uint64_t)(copy.end - copy.p))
		return -EPROTO;
	*ret = copy.p;
	*ret_len = (size_t)len;
	c->p = copy.p + len;
	return 0;
}

int cbor_get_bytes(struct cbor *c, const uint8_t **ret, size_t *ret_len)
{
	return get_string(c, CBOR_BYTES, ret, ret_len);
}

/* Bytes of the UTF-8 sequence at @p, 0 if there is none (RFC 3629: no surrogates, shortest). */
static size_t utf8_len(const uint8_t *p, size_t left)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = *p < 0x80	 ? 1
		     : *p < 0xc0 ? 0
		     : *p < 0xe0 ? 2
		     : *p < 0xf0 ? 3
		     : *p < 0xf8 ? 4
				 : 0;
	uint32_t v;

	if (len <= 1)
		return len;
	if (len > left)
		return 0;
	v = *p & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		v = v << 6 | (p[i] & 0x3fu);
	}
	if (v < least[len] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
		return 0;
	return len;
}

static bool is_text(const uint8_t *p, size_t len)
{
	while (len > 0) {
		size_t n = *p ? utf8_len(p, len) : 0;

		if (n == 0)
			return false;
		p += n;
		len -= n;
	}
	return true;
}

int cbor_get_text(struct cbor *c, const char **ret, size_t *ret_len)
{
	struct cbor copy = *c;
	const uint8_t *p;
	size_t len;
	int r = get_string(&copy, CBOR_TEXT, &p, &len);

	if (r < 0)
		return r;
	if (!is_text(p, len))
		return -EPROTO;
	*c = copy;
	*ret = (const char *)p;
	*ret_len = len;
	return 0;
}

static int get_count(struct cbor *c, enum cbor_kind kind, uint64_t *ret_n)
{
	struct cbor copy = *c;
	unsigned per_item = kind == CBOR_MAP ? 2 : 1; /* bytes, at least */
	uint64_t n;
	int r = get_kind(&copy, kind, &n);

	if (r < 0)
		return r;
	if (n > (uint64_t)(copy.end - copy.p) / per_item)
		return -EPROTO;
	*c = copy;
	*ret_n = n;
	return 0;
}

int cbor_get_array(struct cbor *c, uint64_t *ret_n)
{
	return get_count(c, CBOR_ARRAY, ret_n);
}

int cbor_get_map(struct cbor *c, uint64_t *ret_n)
{
	return get_count(c, CBOR_MAP, ret_n);
}

/* Take one item; of an array or map only the head. *ret_inner: items that follow inside. */
static int skip_one(struct cbor *c, uint64_t *ret_inner)
{
	enum cbor_kind kind;
	const uint8_t *bytes;
	const char *text;
	uint64_t n = 0;
	size_t len;
	int r = cbor_peek(c);

	if (r < 0)
		return r;
	kind = (enum cbor_kind)r;
	*ret_inner = 0;
	switch (kind) {
	case CBOR_BYTES:
		return cbor_get_bytes(c, &bytes, &len);
	case CBOR_TEXT:
		return cbor_get_text(c, &text, &len);
	case CBOR_ARRAY:
	case CBOR_MAP:
		r = get_count(c, kind, &n);
		*ret_inner = kind == CBOR_MAP ? 2 * n : n;
		return r;
	case CBOR_UINT:
	case CBOR_NEGATIVE:
	case CBOR_BOOL:
	case CBOR_NULL:
		return get_head(c, &kind, &n);
	case CBOR_KIND_MAX:
		break;
	}
	return -EPROTO;
}

int cbor_skip(struct cbor *c)
{
	uint64_t left[CBOR_MAX_DEPTH + 1] = { 1 }; /* items still to take, by depth */
	struct cbor copy = *c;
	unsigned depth = 0;

	for (;;) {
		uint64_t inner;
		int r;

		while (left[depth] == 0) {
			if (depth == 0) {
				*c = copy;
				return 0;
			}
			depth--;
		}
		left[depth]--;
		r = skip_one(&copy, &inner);
		if (r < 0)
			return r;
		if (inner > 0) {
			if (depth == CBOR_MAX_DEPTH)
				return -EPROTO;
			left[++depth] = inner;
		}
	}
}
