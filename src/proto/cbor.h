/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_CBOR_H
#define PROTO_CBOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/*
 * CBOR (RFC 8949), the subset that our messages use: unsigned and negative integers that fit
 * 64 bits, byte strings, text strings, arrays, maps, booleans, null; definite lengths only,
 * shortest form only, no tags, no floats.  One form for each value: anything else is -EPROTO.
 */
enum cbor_kind {
	CBOR_UINT,
	CBOR_NEGATIVE,
	CBOR_BYTES,
	CBOR_TEXT,
	CBOR_ARRAY,
	CBOR_MAP,
	CBOR_BOOL,
	CBOR_NULL,
	CBOR_KIND_MAX,
};

#define CBOR_MAX_DEPTH 8

/* Writer: each appends one item; 0 or what buf_add() says. */
MUST_CHECK int cbor_put_uint(struct buf *b, uint64_t v);
MUST_CHECK int cbor_put_int(struct buf *b, int64_t v);
MUST_CHECK int cbor_put_bytes(struct buf *b, const void *data, size_t len);
MUST_CHECK int cbor_put_text(struct buf *b, const char *text);
MUST_CHECK int cbor_put_bool(struct buf *b, bool v);
MUST_CHECK int cbor_put_array(struct buf *b, uint64_t n_items);
MUST_CHECK int cbor_put_map(struct buf *b, uint64_t n_pairs);

/* Reader: a window over borrowed bytes that moves forward. */
struct cbor {
	const uint8_t *p, *end;
};

static inline struct cbor cbor_over(const void *data, size_t len)
{
	return (struct cbor){ .p = data, .end = (const uint8_t *)data + len };
}

/* Kind of the next item without taking it; -EPROTO at the end or for a foreign form. */
MUST_CHECK int cbor_peek(const struct cbor *c);
/* Each takes the next item: 0, or -EPROTO if it is of another kind or does not fit. */
MUST_CHECK int cbor_get_uint(struct cbor *c, uint64_t max, uint64_t *ret);
MUST_CHECK int cbor_get_int(struct cbor *c, int64_t *ret);
MUST_CHECK int cbor_get_bool(struct cbor *c, bool *ret);
/* Borrowed from the window; text is checked to be UTF-8 without NUL. */
MUST_CHECK int cbor_get_bytes(struct cbor *c, const uint8_t **ret, size_t *ret_len);
MUST_CHECK int cbor_get_text(struct cbor *c, const char **ret, size_t *ret_len);
/* The number of items (pairs) that follow; never more than the bytes that are left. */
MUST_CHECK int cbor_get_array(struct cbor *c, uint64_t *ret_n);
MUST_CHECK int cbor_get_map(struct cbor *c, uint64_t *ret_n);
/* Take the next item whole, whatever it is; depth at most CBOR_MAX_DEPTH. */
MUST_CHECK int cbor_skip(struct cbor *c);

#endif /* PROTO_CBOR_H */
