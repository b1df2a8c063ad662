/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include "proto/frame.h"
#include "sandbox/control.h"

TEST(requests_byte_by_byte)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct stop_request want = { .how = STOP_KILL, .grace_ms = 7 };
	struct control_request got = { 0 };
	size_t used = 99;

	buf_init(&b, 4096);
	ASSERT_EQ(stop_request_encode(&b, &want), 0);
	for (size_t n = 0; n < b.len; n++)
		ASSERT_EQ(control_parse(b.data, n, &got, &used), 0);
	ASSERT_EQ(used, 99);
	ASSERT_EQ(control_parse(b.data, b.len, &got, &used), 1);
	ASSERT_EQ(used, b.len);
	ASSERT_EQ(got.type, FRAME_STOP);
	ASSERT_EQ(got.stop.how, STOP_KILL);
	ASSERT_EQ(got.stop.grace_ms, 7);
	buf_clear(&b);
	ASSERT_EQ(frame_add(&b, FRAME_WATCH, 0, NULL, 0), 0);
	ASSERT_EQ(control_parse(b.data, b.len, &got, &used), 1);
	ASSERT_EQ(got.type, FRAME_WATCH);
}

TEST(what_is_no_request)
{
	static const struct {
		const char *name;
		uint8_t bytes[16];
		size_t len;
	} cases[] = {
		{ "another frame", { 1, 0, 0, 0, 0, 0, 0, 0 }, 8 },
		{ "a watch with words", { FRAME_WATCH, 0, 0, 0, 1, 0, 0, 0, 0 }, 9 },
		{ "no CBOR", { FRAME_STOP, 0, 0, 0, 1, 0, 0, 0, 0xff }, 9 },
		{ "how is unknown", { FRAME_STOP, 0, 0, 0, 3, 0, 0, 0, 0xa1, 1, 9 }, 11 },
		{ "length out of bounds", { FRAME_STOP, 0, 0, 0, 0, 0, 0, 0xff }, 8 },
	};
	struct control_request got;
	uint8_t full[CONTROL_MAX_BYTES] = { FRAME_STOP, 0, 0, 0, 0, 0x20 };
	size_t used;

	for_cases(c, cases)
		ASSERT_EQ(control_parse(c->bytes, c->len, &got, &used), -EPROTO);
	ASSERT_EQ(control_parse(full, sizeof(full), &got, &used), -EPROTO);
}

TAP_MAIN()
