/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "image/compress.h"
#include "image/stream.h"

#define BLOCK (2u << 20) /* of compress.c */

struct run {
	const uint8_t *in;
	size_t len, at;
	size_t fail_at; /* reading fails there; 0: never */
	struct buf out;
};

static ssize_t give(void *user, void *buf, size_t len, struct err *err)
{
	struct run *r = user;
	size_t n = r->len - r->at < len ? r->len - r->at : len;

	if (r->fail_at && r->at >= r->fail_at)
		return err_set(err, ERR_CANCELLED, "enough");
	memcpy(buf, r->in + r->at, n);
	r->at += n;
	return (ssize_t)n;
}

static int take(void *user, const void *data, size_t len, struct err *err)
{
	struct run *r = user;

	return buf_add(&r->out, data, len) < 0 ? err_no_memory(err) : 0;
}

static int unpacked(void *user, const uint8_t *data, size_t len, struct err *err)
{
	return buf_add(user, data, len) < 0 ? err_no_memory(err) : 0;
}

static void fill(uint8_t *p, size_t len)
{
	uint32_t x = 1;

	for (size_t i = 0; i < len; i++) {
		x = x * 1664525u + 1013904223u;
		/* runs of text with noise between them */
		p[i] = (uint8_t)((i / 5000) % 3 == 0 ? x >> 24 : 'a' + (i / 7) % 13);
	}
}

static void check(enum compress_kind kind, const uint8_t *in, size_t len)
{
	struct run one = { .in = in, .len = len }, four = one;
	const struct compress_io io1 = { give, take, &one }, io4 = { give, take, &four };
	struct err err = ERR_INIT;
	struct stream *s = NULL;
	struct buf back;

	buf_init(&one.out, 64u << 20);
	buf_init(&four.out, 64u << 20);
	buf_init(&back, 64u << 20);
	ASSERT_EQ(compress_run(kind, 1, &io1, &err), 0);
	ASSERT_EQ(compress_run(kind, 4, &io4, &err), 0);
	ASSERT_EQ(one.out.len, four.out.len);
	ASSERT_EQ(memcmp(one.out.data, four.out.data, one.out.len), 0);
	ASSERT_EQ(stream_new(unpacked, &back, 1u << 30, &s), 0);
	ASSERT_EQ(stream_feed(s, one.out.data, one.out.len, &err), 0);
	ASSERT_EQ(stream_finish(s, &err), 0);
	ASSERT_EQ(back.len, len);
	ASSERT(len == 0 || memcmp(back.data, in, len) == 0);
	stream_free(s);
	buf_done(&one.out);
	buf_done(&four.out);
	buf_done(&back);
}

TEST(same_bytes_with_any_number_of_threads)
{
	static const size_t lens[] = { 1, 511, BLOCK - 1, BLOCK, BLOCK + 1, 9 * BLOCK + 12345 };
	size_t max = 10 * BLOCK;
	uint8_t *in = malloc(max);

	ASSERT(in != NULL);
	fill(in, max);
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		check(COMPRESS_GZIP, in, lens[i]);
		check(COMPRESS_ZSTD, in, lens[i]);
	}
	check(COMPRESS_GZIP, in, 0);
	free(in);
}

TEST(noise_does_not_overflow)
{
	uint8_t *in = malloc(BLOCK);
	uint64_t x = 88172645463325252ull;

	ASSERT(in != NULL);
	for (size_t i = 0; i < BLOCK; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		in[i] = (uint8_t)x;
	}
	check(COMPRESS_GZIP, in, BLOCK);
	check(COMPRESS_ZSTD, in, BLOCK);
	free(in);
}

TEST(a_failed_read_ends_it)
{
	size_t len = 8 * BLOCK;
	uint8_t *in = calloc(1, len);
	struct run r = { .in = in, .len = len, .fail_at = 5 * BLOCK };
	const struct compress_io io = { give, take, &r };
	struct err err = ERR_INIT;

	ASSERT(in != NULL);
	buf_init(&r.out, 64u << 20);
	ASSERT(compress_run(COMPRESS_GZIP, 2, &io, &err) < 0);
	ASSERT_EQ(err.code, ERR_CANCELLED);
	buf_done(&r.out);
	free(in);
}

TAP_MAIN()
