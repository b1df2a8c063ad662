/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include "proto/frame.h"

#define BIG (FRAME_HEADER + FRAME_MAX_PAYLOAD)

TEST(bytes_on_the_wire)
{
	static const uint8_t want[] = { 0x26, 0, 0x01, 0, 3, 0, 0, 0, 'a', 'b', 'c' };
	AUTO(buf_done) struct buf b = { .max = 64 };

	ASSERT_EQ(frame_add(&b, FRAME_STDOUT, FRAME_FLAG_MORE, "abc", 3), 0);
	ASSERT_EQ(b.len, sizeof(want));
	ASSERT(memcmp(b.data, want, sizeof(want)) == 0);
}

TEST(one_byte_at_a_time)
{
	AUTO(buf_done) struct buf b = { .max = 64 };
	struct frame f = { .type = 99 };

	ASSERT_EQ(frame_add(&b, FRAME_PING, 0, "xy", 2), 0);
	for (size_t i = 0; i < b.len; i++)
		ASSERT_EQ(frame_next(b.data, i, &f), 0);
	ASSERT_EQ(f.type, 99);
	ASSERT_EQ(frame_next(b.data, b.len, &f), FRAME_HEADER + 2);
	ASSERT_EQ(f.type, FRAME_PING);
	ASSERT_EQ(f.len, 2);
	ASSERT(f.payload == b.data + FRAME_HEADER);
}

TEST(four_mib_and_another)
{
	AUTO(buf_done) struct buf b = { .max = 2 * BIG };
	AUTO_FREE char *payload = calloc(1, FRAME_MAX_PAYLOAD + 1);
	struct frame f;

	ASSERT(payload);
	ASSERT_EQ(frame_add(&b, FRAME_STDIN, 0, payload, FRAME_MAX_PAYLOAD), 0);
	ASSERT_EQ(frame_add(&b, FRAME_PING, 0, NULL, 0), 0);
	ASSERT_EQ(frame_next(b.data, b.len, &f), BIG);
	ASSERT_EQ(frame_next(b.data + BIG, b.len - BIG, &f), FRAME_HEADER);
	ASSERT_EQ(f.type, FRAME_PING);
	ASSERT_EQ(frame_add(&b, FRAME_STDIN, 0, payload, FRAME_MAX_PAYLOAD + 1), -EMSGSIZE);
	b.data[6] = 0x40; /* of the length: 4 MiB */
	b.data[4] = 1;
	ASSERT_EQ(frame_next(b.data, b.len, &f), -EPROTO);
}

TEST(written_in_place)
{
	AUTO(buf_done) struct buf b = { .max = 2 * BIG };
	struct frame f;
	size_t at;

	ASSERT_EQ(buf_add(&b, "before", 6), 0);
	ASSERT_EQ(frame_begin(&b, FRAME_TTY, &at), 0);
	ASSERT_EQ(at, 6);
	ASSERT_EQ(buf_add(&b, "hello", 5), 0);
	ASSERT_EQ(frame_end(&b, at), 0);
	ASSERT_EQ(frame_next(b.data + at, b.len - at, &f), FRAME_HEADER + 5);
	ASSERT_EQ(frame_begin(&b, FRAME_TTY, &at), 0);
	ASSERT(buf_room(&b, FRAME_MAX_PAYLOAD + 1));
	memset(b.data + b.len, 0, FRAME_MAX_PAYLOAD + 1);
	buf_grew(&b, FRAME_MAX_PAYLOAD + 1);
	ASSERT_EQ(frame_end(&b, at), -EMSGSIZE);
	ASSERT_EQ(b.len, at);
}

TEST(a_full_buffer_is_left_as_it_was)
{
	AUTO(buf_done) struct buf b = { .max = 10 };

	ASSERT_EQ(frame_add(&b, FRAME_PING, 0, "abc", 3), -ENOBUFS);
	ASSERT_EQ(b.len, 0);
}

TAP_MAIN()
