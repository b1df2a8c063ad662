/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include "base/iov.h"

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

TAP_MAIN()
