/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include "base/buf.h"

TEST(never_past_its_maximum)
{
	struct buf b;

	buf_init(&b, 10);
	ASSERT_EQ(buf_add(&b, "12345678", 8), 0);
	ASSERT_EQ(buf_add(&b, "abc", 3), -ENOBUFS);
	ASSERT_EQ(b.len, 8);
	ASSERT_EQ(buf_add(&b, "ab", 2), 0);
	ASSERT_STR(buf_cstr(&b), "12345678ab");
	buf_done(&b);
}

/* Against a plain model: bytes added at the end and taken from the front. */
TEST(behaves_as_a_queue)
{
	struct buf b;
	uint8_t next_in = 0, next_out = 0;
	unsigned seed = 1;

	buf_init(&b, 5000);
	for (int i = 0; i < 20000; i++) {
		size_t n = (seed = seed * 1103515245 + 12345) >> 16 & 0x1ff;

		if (seed & 0x8000) {
			n = n < b.len ? n : b.len;
			for (size_t k = 0; k < n; k++)
				ASSERT_EQ(b.data[k], next_out++);
			buf_take(&b, n);
		} else if (b.len + n <= b.max) {
			uint8_t *p = buf_room(&b, n);

			ASSERT(p);
			for (size_t k = 0; k < n; k++)
				p[k] = next_in++;
			buf_grew(&b, n);
		}
	}
	buf_done(&b);
}

TAP_MAIN()
