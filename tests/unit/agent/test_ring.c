/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include "ring.h"

static void put(struct ring *r, const char *text)
{
	size_t left = strlen(text);

	while (left > 0) {
		size_t len = left;
		void *p = ring_room(r, &len);

		memcpy(p, text, len);
		ring_grew(r, len);
		text += len;
		left -= len;
	}
}

/* All that is kept from @from on. */
static const char *kept(const struct ring *r, uint64_t from, char out[64])
{
	size_t n = 0;

	while (from < r->end) {
		size_t len;
		const void *p = ring_at(r, from, &len);

		memcpy(out + n, p, len);
		n += len;
		from += len;
	}
	out[n] = '\0';
	return out;
}

TEST(new_bytes_take_the_place_of_the_oldest)
{
	struct ring r = { 0 };
	char out[64];

	ASSERT_EQ(ring_resize(&r, 8), 0);
	put(&r, "abcde");
	ASSERT_STR(kept(&r, 0, out), "abcde");
	ASSERT_STR(kept(&r, 3, out), "de");
	put(&r, "fghij");
	ASSERT_EQ(r.start, 2);
	ASSERT_EQ(r.end, 10);
	ASSERT_STR(kept(&r, r.start, out), "cdefghij");
	ring_done(&r);
	ASSERT_EQ(ring_kept(&r), 0);
	ASSERT_EQ(r.end, 10);
}

TEST(another_size_keeps_the_newest_at_their_offsets)
{
	static const size_t sizes[] = { 0, 1, 2, 4, 8, 16, 64 };
	struct ring r = { 0 };
	char out[64], want[64] = "cdefghij";

	ASSERT_EQ(ring_resize(&r, 8), 0);
	put(&r, "abcdefghij");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t size = sizes[i];
		struct ring copy = { 0 };

		ASSERT_EQ(ring_resize(&copy, 8), 0);
		put(&copy, "abcdefghij");
		ASSERT_EQ(ring_resize(&copy, size), 0);
		ASSERT_EQ(copy.end, 10);
		ASSERT_STR(kept(&copy, copy.start, out), size < 8 ? want + 8 - size : want);
		ring_done(&copy);
	}
	ASSERT_EQ(ring_resize(&r, 16), 0);
	put(&r, "0123456789");
	ASSERT_STR(kept(&r, r.start, out), "efghij0123456789");
	ring_done(&r);
}

TAP_MAIN()
