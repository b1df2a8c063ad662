/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include "registry/retry.h"

TEST(doubles_with_jitter)
{
	static const uint64_t full[] = { 500, 1000, 2000, 4000 };
	struct retry low = { 0 }, high = { 0 };

	for (size_t i = 0; i < 4; i++) {
		ASSERT_EQ(retry_next(&low, &registry_times, 0, -1, 0), full[i] / 2);
		ASSERT_EQ(retry_next(&high, &registry_times, 0, -1, (uint32_t)(full[i] / 2)),
			  full[i]);
	}
	ASSERT_EQ(retry_next(&low, &registry_times, 0, -1, 0), -1);
}

TEST(has_a_top)
{
	struct registry_times times = registry_times;
	struct retry r = { 0 };

	times.retry_max_ms = 700;
	ASSERT_EQ(retry_next(&r, &times, 0, -1, 250), 500);
	ASSERT_EQ(retry_next(&r, &times, 0, -1, 350), 700);
	ASSERT_EQ(retry_next(&r, &times, 0, -1, 350), 700);
}

TEST(progress_starts_the_count_anew)
{
	struct retry r = { 0 };
	uint64_t done = 0;

	for (int i = 0; i < 4; i++)
		ASSERT(retry_next(&r, &registry_times, done, -1, 0) > 0);
	done += RETRY_PROGRESS;
	for (int i = 0; i < 4; i++)
		ASSERT(retry_next(&r, &registry_times, done, -1, 0) > 0);
	done += RETRY_PROGRESS - 1;
	ASSERT_EQ(retry_next(&r, &registry_times, done, -1, 0), -1);
}

TEST(the_server_says_when)
{
	struct retry r = { 0 };

	ASSERT_EQ(retry_next(&r, &registry_times, 0, 60, 0), 60000);
	ASSERT_EQ(retry_next(&r, &registry_times, 0, 0, 0), 500); /* ours, if that is longer */
	ASSERT_EQ(retry_next(&r, &registry_times, 0, 300, 0), 300000);
	ASSERT_EQ(retry_next(&r, &registry_times, 0, 301, 0), -1);
	r = (struct retry){ 0 };
	ASSERT_EQ(retry_next(&r, &registry_times, 0, INT64_MAX, 0), -1);
}

TEST(which_status)
{
	ASSERT(retry_status(429) && retry_status(408) && retry_status(500) && retry_status(504));
	ASSERT(!retry_status(404) && !retry_status(401) && !retry_status(501) &&
	       !retry_status(200));
}

TAP_MAIN()
