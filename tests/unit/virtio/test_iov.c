/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include "virtio/iov.h"
#include "virtio/memory.h"

static char a[] = "abc", b[] = "", c3[] = "defgh";
static struct iovec iov[3] = { { a, 3 }, { b, 0 }, { c3, 5 } };

TEST(copies_across_elements)
{
	char buf[16] = { 0 };

	ASSERT_EQ(iov_copy_out(iov, 3, 0, buf, 8), 8);
	ASSERT_STR(buf, "abcdefgh");
	memset(buf, 0, sizeof(buf));
	ASSERT_EQ(iov_copy_out(iov, 3, 2, buf, 3), 3);
	ASSERT_STR(buf, "cde");
	ASSERT_EQ(iov_copy_out(iov, 3, 6, buf, 16), 2);
	ASSERT_EQ(iov_copy_out(iov, 3, 8, buf, 1), 0);
	ASSERT_EQ(iov_copy_in(iov, 3, 2, "XYZ", 3), 3);
	ASSERT_STR(a, "abX");
	ASSERT_STR(c3, "YZfgh");
}

TEST(slices)
{
	struct iovec out[3];

	ASSERT_EQ(iov_slice(iov, 3, 1, 4, out), 2);
	ASSERT(out[0].iov_base == a + 1 && out[0].iov_len == 2);
	ASSERT(out[1].iov_base == c3 && out[1].iov_len == 2);
	ASSERT_EQ(iov_slice(iov, 3, 9, 4, out), 0);
}

TEST(the_total_is_bounded)
{
	struct iovec big[3] = { { a, UINT32_MAX }, { a, 0 }, { a, SIZE_MAX } };
	size_t len = 1;

	ASSERT_EQ(iov_total(iov, 3, &len), 0);
	ASSERT_EQ(len, 8);
	ASSERT_EQ(iov_total(big, 2, &len), 0);
	ASSERT_EQ(len, UINT32_MAX);
	ASSERT_EQ(iov_total(big, 3, &len), -EOVERFLOW);
	big[1].iov_len = 1;
	ASSERT_EQ(iov_total(big, 2, &len), -EOVERFLOW);
	ASSERT_EQ(len, UINT32_MAX);
}

TEST(memory_is_found_by_region)
{
	static uint8_t low[4096], high[4096];
	const struct guest_mem mem = { .n_regions = 2,
				       .regions = { { low, 0, 4096 }, { high, 0x10000, 4096 } } };
	uint32_t hint = 7;

	ASSERT(mem_at(&mem, 0, 4096) == low);
	ASSERT(mem_at_hint(&mem, 0x10001, 4095, &hint) == high + 1);
	ASSERT_EQ(hint, 1);
	ASSERT(mem_at_hint(&mem, 5, 1, &hint) == low + 5);
	ASSERT_EQ(hint, 0);
	ASSERT(!mem_at(&mem, 1, 4096));
	ASSERT(!mem_at(&mem, 4096, 1));
	ASSERT(!mem_at(&mem, 0xffff, 2));
	ASSERT(!mem_at(&mem, 0x10000, UINT64_MAX));
}

TAP_MAIN()
