/* SPDX-License-Identifier: Apache-2.0 */
#include "image/stream.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "image/limits.h"

#define OUT_BYTES (128 * KIB)
#define GZIP_BITS (15 + 16) /* the largest window, gzip header only */

enum form { UNKNOWN, PLAIN, GZIP, ZSTD };

struct stream {
	stream_fn out;
	void *user;
	uint64_t out_bytes, max; /* given out; at most */
	enum form form;
	uint8_t magic[4];
	size_t n_magic;
	z_stream z;
	bool z_open, between; /* between: a member or frame has ended */
	ZSTD_DStream *d;
	uint8_t *buf;
};

int stream_new(stream_fn out, void *user, uint64_t max, struct stream **ret)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->out = out;
	s->user = user;
	s->max = max;
	*ret = s;
	return 0;
}

void stream_free(struct stream *s)
{
	if (!s)
		return;
	if (s->z_open)
		(void)inflateEnd(&s->z);
	(void)ZSTD_freeDStream(s->d);
	free(s->buf);
	free(s);
}

static int give(struct stream *s, const uint8_t *data, size_t len, struct err *err)
{
	s->out_bytes += len;
	if (s->out_bytes > s->max)
		return limit_exceeded(err, "layer_bytes", s->out_bytes, s->max);
	return len ? s->out(s->user, data, len, err) : 0;
}

static bool is_zstd(const uint8_t m[4])
{
	static const uint8_t frame[] = { 0x28, 0xb5, 0x2f, 0xfd }, skip[] = { 0x2a, 0x4d, 0x18 };

	return memcmp(m, frame, 4) == 0 || ((m[0] & 0xf0) == 0x50 && memcmp(m + 1, skip, 3) == 0);
}

static int open_gzip(struct stream *s, struct err *err)
{
	if (inflateInit2(&s->z, GZIP_BITS) != Z_OK)
		return err_no_memory(err);
	s->z_open = true;
	return 0;
}

static int open_zstd(struct stream *s, struct err *err)
{
	s->d = ZSTD_createDStream();
	if (!s->d ||
	    ZSTD_isError(ZSTD_DCtx_setParameter(s->d, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX)))
		return err_no_memory(err);
	return 0;
}

static int feed_gzip(struct stream *s, const uint8_t *data, size_t len, struct err *err)
{
	s->z.next_in = (uint8_t *)(uintptr_t)data;
	s->z.avail_in = (unsigned)len;
	while (s->z.avail_in > 0) {
		int r;

		if (s->between) {
			/* Zeros behind the last member are padding of a tape. */
			if (*s->z.next_in == 0) {
				s->z.next_in++;
				s->z.avail_in--;
				continue;
			}
			if (inflateReset(&s->z) != Z_OK)
				return err_no_memory(err);
			s->between = false;
		}
		do {
			s->z.next_out = s->buf;
			s->z.avail_out = OUT_BYTES;
			r = inflate(&s->z, Z_NO_FLUSH);
			if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
				return err_set(err, ERR_INVALID, "damaged gzip data (%s)",
					       s->z.msg ? s->z.msg : "out of memory");
			if (give(s, s->buf, OUT_BYTES - s->z.avail_out, err) < 0)
				return -err->code;
		} while (r == Z_OK && s->z.avail_out == 0);
		s->between = r == Z_STREAM_END;
	}
	return 0;
}

static int feed_zstd(struct stream *s, const uint8_t *data, size_t len, struct err *err)
{
	ZSTD_inBuffer in = { data, len, 0 };
	ZSTD_outBuffer out;
	size_t r;

	do {
		out = (ZSTD_outBuffer){ s->buf, OUT_BYTES, 0 };
		r = ZSTD_decompressStream(s->d, &out, &in);
		if (ZSTD_isError(r))
			return err_set(err, ERR_INVALID, "damaged zstd data (%s)",
				       ZSTD_getErrorName(r));
		s->between = r == 0;
		if (give(s, s->buf, out.pos, err) < 0)
			return -err->code;
		/* Without input, a call behind a frame would begin the next one. */
	} while (in.pos < in.size || (out.pos == out.size && r != 0));
	return 0;
}

static int feed(struct stream *s, const uint8_t *data, size_t len, struct err *err)
{
	switch (s->form) {
	case GZIP:
		return feed_gzip(s, data, len, err);
	case ZSTD:
		return feed_zstd(s, data, len, err);
	case UNKNOWN:
	case PLAIN:
	default:
		return give(s, data, len, err);
	}
}

static int start(struct stream *s, struct err *err)
{
	s->form = PLAIN;
	if (s->n_magic >= 3 && s->magic[0] == 0x1f && s->magic[1] == 0x8b && s->magic[2] == 8)
		s->form = GZIP;
	else if (s->n_magic == 4 && is_zstd(s->magic))
		s->form = ZSTD;
	if (s->form != PLAIN) {
		s->buf = malloc(OUT_BYTES);
		if (!s->buf)
			return err_no_memory(err);
		if ((s->form == GZIP ? open_gzip(s, err) : open_zstd(s, err)) < 0)
			return -err->code;
	}
	return feed(s, s->magic, s->n_magic, err);
}

int stream_feed(struct stream *s, const uint8_t *data, size_t len, struct err *err)
{
	while (s->form == UNKNOWN && len > 0) {
		s->magic[s->n_magic++] = *data++;
		len--;
		if (s->n_magic == sizeof(s->magic) && start(s, err) < 0)
			return -err->code;
	}
	return len ? feed(s, data, len, err) : 0;
}

bool stream_is_compressed(const struct stream *s)
{
	return s->form == GZIP || s->form == ZSTD;
}

bool stream_is_known(const struct stream *s)
{
	return s->form != UNKNOWN;
}

int stream_finish(struct stream *s, struct err *err)
{
	if (s->form == UNKNOWN && start(s, err) < 0)
		return -err->code;
	if (stream_is_compressed(s) && !s->between)
		return err_set(err, ERR_INVALID, "the compressed data ends too early");
	return 0;
}
