/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include "base/num.h"
#include "proto/cbor.h"

static const char *hex_of(const struct buf *b)
{
	static char text[1024];

	hex_encode(b->data, b->len, text);
	return text;
}

/* Bytes are those of python3-cbor2's dumps(v, canonical=True). */
TEST(integers_match_cbor2)
{
	static const struct {
		const char *name, *hex;
		int64_t v;
	} cases[] = {
		{ "zero", "00", 0 },
		{ "largest in the head", "17", 23 },
		{ "one byte", "1818", 24 },
		{ "255", "18ff", 255 },
		{ "256", "190100", 256 },
		{ "65535", "19ffff", 65535 },
		{ "65536", "1a00010000", 65536 },
		{ "2^32 - 1", "1affffffff", 4294967295 },
		{ "2^32", "1b0000000100000000", 4294967296 },
		{ "largest", "1b7fffffffffffffff", INT64_MAX },
		{ "minus one", "20", -1 },
		{ "minus 24", "37", -24 },
		{ "minus 25", "3818", -25 },
		{ "minus 1000", "3903e7", -1000 },
		{ "least", "3b7fffffffffffffff", INT64_MIN },
	};

	for_cases(c, cases) {
		AUTO(buf_done) struct buf b = { .max = 64 };
		struct cbor r;
		int64_t v = 1;

		ASSERT_EQ(cbor_put_int(&b, c->v), 0);
		ASSERT_STR(hex_of(&b), c->hex);
		r = cbor_over(b.data, b.len);
		ASSERT_EQ(cbor_get_int(&r, &v), 0);
		ASSERT_EQ(v, c->v);
		ASSERT(r.p == r.end);
	}
}

/* dumps({1: [b"ab", "ü", True, None], 2: {}}) */
TEST(containers_match_cbor2)
{
	AUTO(buf_done) struct buf b = { .max = 64 };
	const char *text = NULL;
	const uint8_t *bytes = NULL;
	struct cbor r;
	uint64_t n, key;
	size_t len;
	bool yes = false;

	ASSERT_EQ(cbor_put_map(&b, 2), 0);
	ASSERT_EQ(cbor_put_uint(&b, 1), 0);
	ASSERT_EQ(cbor_put_array(&b, 4), 0);
	ASSERT_EQ(cbor_put_bytes(&b, "ab", 2), 0);
	ASSERT_EQ(cbor_put_text(&b, "\xc3\xbc"), 0);
	ASSERT_EQ(cbor_put_bool(&b, true), 0);
	ASSERT_EQ(buf_add_u8(&b, 0xf6), 0);
	ASSERT_EQ(cbor_put_uint(&b, 2), 0);
	ASSERT_EQ(cbor_put_map(&b, 0), 0);
	ASSERT_STR(hex_of(&b), "a20184426162"
			       "62c3bc"
			       "f5f6"
			       "02a0");
	r = cbor_over(b.data, b.len);
	ASSERT_EQ(cbor_get_map(&r, &n), 0);
	ASSERT_EQ(n, 2);
	ASSERT_EQ(cbor_get_uint(&r, 1, &key), 0);
	ASSERT_EQ(cbor_get_array(&r, &n), 0);
	ASSERT_EQ(cbor_get_bytes(&r, &bytes, &len), 0);
	ASSERT_EQ(len, 2);
	ASSERT_EQ(cbor_get_text(&r, &text, &len), 0);
	ASSERT_EQ(len, 2);
	ASSERT_EQ(cbor_get_bool(&r, &yes), 0);
	ASSERT(yes);
	ASSERT_EQ(cbor_peek(&r), CBOR_NULL);
	ASSERT_EQ(cbor_skip(&r), 0);
	ASSERT_EQ(cbor_skip(&r), 0);
	ASSERT_EQ(cbor_skip(&r), 0);
	ASSERT_EQ(cbor_skip(&r), -EPROTO);
}

TEST(foreign_forms_are_refused)
{
	static const struct {
		const char *name, *hex;
	} cases[] = {
		{ "nothing", "" },
		{ "head cut off", "19" },
		{ "argument cut off", "1901" },
		{ "longer form of 23", "1817" },
		{ "longer form of 255", "1900ff" },
		{ "longer form of 65535", "1a0000ffff" },
		{ "longer form of 2^32 - 1", "1b00000000ffffffff" },
		{ "negative below 64 bits", "3b8000000000000000" },
		{ "reserved length", "1c" },
		{ "indefinite bytes", "5f4161ff" },
		{ "indefinite array", "9f01ff" },
		{ "indefinite map", "bfff" },
		{ "break", "ff" },
		{ "tag", "c000" },
		{ "half float", "f93c00" },
		{ "float", "fa3f800000" },
		{ "undefined", "f7" },
		{ "simple value", "f820" },
		{ "bytes past the end", "42ff" },
		{ "bytes of 2^64 - 1", "5bffffffffffffffff" },
		{ "text with NUL", "6100" },
		{ "text cut in a character", "61c3" },
		{ "overlong text", "62c080" },
		{ "surrogate", "63eda080" },
		{ "above unicode", "64f4908080" },
		{ "array longer than the input", "820"
						 "0" },
		{ "array of 2^64 - 1", "9bffffffffffffffff" },
		{ "map longer than the input", "a10"
					       "0" },
		{ "map of 2^63", "bb8000000000000000" },
		{ "nine arrays deep", "81818181818181818100" },
	};

	for_cases(c, cases) {
		uint8_t data[64];
		size_t len = strlen(c->hex) / 2;
		struct cbor r = cbor_over(data, len);

		ASSERT_EQ(hex_decode(c->hex, 2 * len, data, len), 0);
		ASSERT_EQ(cbor_skip(&r), -EPROTO);
		ASSERT(r.p == data);
	}
}

TEST(eight_arrays_deep_are_fine)
{
	static const uint8_t data[] = { 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x00 };
	struct cbor r = cbor_over(data, sizeof(data));

	ASSERT_EQ(cbor_skip(&r), 0);
	ASSERT(r.p == r.end);
}

TEST(wrong_kind_and_limit_leave_all_as_it_was)
{
	static const uint8_t data[] = { 0x18, 0x64 }; /* 100 */
	struct cbor r = cbor_over(data, sizeof(data));
	uint64_t v = 7;
	bool b = true;

	ASSERT_EQ(cbor_get_uint(&r, 99, &v), -EPROTO);
	ASSERT_EQ(cbor_get_bool(&r, &b), -EPROTO);
	ASSERT_EQ(v, 7);
	ASSERT(b && r.p == data);
	ASSERT_EQ(cbor_get_uint(&r, 100, &v), 0);
	ASSERT_EQ(v, 100);
}

TEST(a_full_buffer_is_left_as_it_was)
{
	AUTO(buf_done) struct buf b = { .max = 4 };

	ASSERT_EQ(cbor_put_uint(&b, 1), 0);
	ASSERT_EQ(cbor_put_text(&b, "four"), -ENOBUFS);
	ASSERT_EQ(b.len, 1);
}

TAP_MAIN()
