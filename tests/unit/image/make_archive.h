/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_IMAGE_MAKE_ARCHIVE_H
#define UNIT_IMAGE_MAKE_ARCHIVE_H

#include "tap.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "base/buf.h"
#include "image/digest.h"

/* Pieces of images, for tests. */

/* A member of a tar archive: header and content. */
static inline void add(struct buf *b, const char *name, char type, const void *data, size_t len,
		       const char *link)
{
	uint8_t h[512] = { 0 };
	char *p = (char *)h;
	unsigned sum = 8 * ' ';
	int r;

	(void)snprintf(p, 100, "%s", name);
	(void)snprintf(p + 100, 8, "%07o", type == '5' ? 0755 : 0644);
	(void)snprintf(p + 108, 8, "%07o", 0);
	(void)snprintf(p + 116, 8, "%07o", 0);
	(void)snprintf(p + 124, 12, "%011zo", len);
	(void)snprintf(p + 136, 12, "%011o", 1);
	p[156] = type;
	(void)snprintf(p + 157, 100, "%s", link ? link : "");
	memcpy(p + 257, "ustar\00000", 8);
	for (unsigned i = 0; i < 512; i++)
		sum += i >= 148 && i < 156 ? 0 : h[i];
	(void)snprintf(p + 148, 8, "%06o", sum);
	p[155] = ' ';
	r = buf_add(b, h, sizeof(h));
	if (r == 0 && len)
		r = buf_add(b, data, len);
	memset(h, 0, sizeof(h));
	if (r == 0 && len % 512)
		r = buf_add(b, h, 512 - len % 512);
	ASSERT_EQ(r, 0);
}

static inline void finish(struct buf *b)
{
	uint8_t zeros[1024] = { 0 };

	ASSERT_EQ(buf_add(b, zeros, sizeof(zeros)), 0);
}

static inline void hex_of(const struct buf *b, char *out)
{
	uint8_t sha[SHA256_BYTES];
	char text[DIGEST_TEXT_MAX];

	digest_of(b->data, b->len, sha);
	digest_text(sha, text);
	memcpy(out, text + 7, 65);
}

static inline void gzip(const struct buf *in, struct buf *out)
{
	z_stream z = { 0 };
	uint8_t *room = buf_room(out, in->len + 1024);

	ASSERT(room != NULL);
	ASSERT_EQ(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = in->data;
	z.avail_in = (unsigned)in->len;
	z.next_out = room;
	z.avail_out = (unsigned)(in->len + 1024);
	ASSERT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
	buf_grew(out, z.total_out);
	(void)deflateEnd(&z);
}

/* Content that no two places of a layer share, with a stretch of zeros; several ring blocks. */
static inline void add_big(struct buf *b, const char *name, size_t len)
{
	uint8_t *data = calloc(1, len);

	ASSERT(data != NULL);
	for (size_t i = 0; i + 4 <= len; i += 4) {
		uint32_t v = (uint32_t)i * 2654435761u;

		if (i / 16384 % 3)
			memcpy(data + i, &v, 4);
	}
	add(b, name, '0', data, len, NULL);
	free(data);
}

#endif /* UNIT_IMAGE_MAKE_ARCHIVE_H */
