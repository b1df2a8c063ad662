/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include "virtio/memory.h"

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
