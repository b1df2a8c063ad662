/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_MIN_CAP 256 /* bytes of a first allocation */

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void buf_done(struct buf *b)
{
	if (!b)
		return;
	if (b->data)
		free(b->data - b->gap);
	*b = (struct buf){ .max = b->max };
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	if (b->data) {
		b->data -= b->gap;
		b->cap += b->gap;
		b->gap = 0;
	}
}

void *buf_room(struct buf *b, size_t len)
{
	size_t need, cap;
	uint8_t *p;

	if (__builtin_add_overflow(b->len, len, &need) || need > b->max)
		return NULL;
	if (need > b->cap && b->gap > 0) { /* reuse what was taken from the front */
		memmove(b->data - b->gap, b->data, b->len);
		b->data -= b->gap;
		b->cap += b->gap;
		b->gap = 0;
	}
	if (need > b->cap || !b->data) {
		cap = b->cap < BUF_MIN_CAP / 2 ? BUF_MIN_CAP : b->cap * 2;
		if (cap < need)
			cap = need;
		p = realloc(b->data, cap);
		if (!p)
			return NULL;
		b->data = p;
		b->cap = cap;
	}
	return b->data + b->len;
}

void buf_grew(struct buf *b, size_t len)
{
	assert(len <= b->cap - b->len && b->len + len <= b->max);
	b->len += len;
}

int buf_add(struct buf *b, const void *data, size_t len)
{
	size_t need;
	void *p;

	if (len == 0)
		return 0;
	if (__builtin_add_overflow(b->len, len, &need) || need > b->max)
		return -ENOBUFS;
	p = buf_room(b, len);
	if (!p)
		return -ENOMEM;
	memcpy(p, data, len);
	b->len += len;
	return 0;
}

int buf_add_u8(struct buf *b, uint8_t byte)
{
	return buf_add(b, &byte, 1);
}

int buf_addf(struct buf *b, const char *fmt, ...)
{
	AUTO_FREE char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0) {
		text = NULL;
		return -ENOMEM;
	}
	return buf_add(b, text, (size_t)n);
}

void buf_take(struct buf *b, size_t len)
{
	assert(len <= b->len);
	if (len == b->len) {
		buf_clear(b);
		return;
	}
	b->data += len;
	b->gap += len;
	b->cap -= len;
	b->len -= len;
}

char *buf_cstr(struct buf *b)
{
	size_t max = b->max;
	char *p;

	if (__builtin_add_overflow(b->len, 1, &b->max))
		b->max = max;
	p = buf_room(b, 1);
	b->max = max;
	if (!p)
		return NULL;
	*p = '\0';
	return (char *)b->data;
}
