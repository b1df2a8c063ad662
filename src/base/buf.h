/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/defer.h"
#include "base/err.h"

/*
 * A byte buffer that grows, but never past the maximum it was made with.  Bytes are
 * added at the end and may be taken from the front, so it also serves as a queue.
 * data[0..len) is valid; data may move with every call that adds.
 */
struct buf {
	uint8_t *data; /* owned; NULL while nothing was added */
	size_t len;    /* bytes in use */
	size_t cap;    /* bytes allocated behind data */
	size_t max;    /* len never exceeds this */
	size_t gap;    /* bytes in front of data that were taken and not yet reused */
};

/* An empty buffer for at most @max bytes; allocates nothing. */
void buf_init(struct buf *b, size_t max);
/* Release the memory; the buffer is empty and usable afterwards. NULL is fine. */
void buf_done(struct buf *b);
static inline void buf_done_auto(struct buf *b)
{
	buf_done(b);
}

/* Forget the content, keep the memory. */
void buf_clear(struct buf *b);

/**
 * buf_add() - Append bytes
 * Return: 0, -ENOBUFS past the maximum, -ENOMEM.  The buffer is unchanged on failure.
 */
MUST_CHECK int buf_add(struct buf *b, const void *data, size_t len);
MUST_CHECK int buf_add_u8(struct buf *b, uint8_t byte);
MUST_CHECK int buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/**
 * buf_room() - Make room for @len more bytes and return where they go
 *
 * The caller writes up to @len bytes there and says how many by buf_grew().
 * Return: pointer valid until the next call, NULL past the maximum or out of memory.
 */
void *buf_room(struct buf *b, size_t len);
void buf_grew(struct buf *b, size_t len);

/* Drop the first @len bytes; @len is at most b->len. */
void buf_take(struct buf *b, size_t len);

/* The content with a NUL behind it (not counted in len); NULL if out of room. */
char *buf_cstr(struct buf *b);

#endif /* BASE_BUF_H */
