/* SPDX-License-Identifier: Apache-2.0 */
#include <time.h>
#include <x86intrin.h>

#include "base/clock.h"
#include "engine/qemu/internal.h"

#define MEASURE_NS (4 * NS_PER_MS) /* an error of 50 ns at each end is 25 ppm */
#define TRIES	   5

/* A moment in both clocks: the reading of several that took least time, so was not interrupted. */
static void both_clocks(uint64_t *ret_ns, uint64_t *ret_ticks)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < TRIES; i++) {
		uint64_t before = __rdtsc(), ns = clock_now_ns(), after = __rdtsc();

		if (after - before >= best)
			continue;
		best = after - before;
		*ret_ns = ns;
		*ret_ticks = before + best / 2;
	}
}

uint64_t qemu_tsc_khz(void)
{
	struct timespec wait = { .tv_nsec = MEASURE_NS };
	uint64_t ns[2] = { 0 }, ticks[2] = { 0 };

	both_clocks(&ns[0], &ticks[0]);
	(void)nanosleep(&wait, NULL); /* if it ends early the result is less exact, not wrong */
	both_clocks(&ns[1], &ticks[1]);
	if (ns[1] <= ns[0] || ticks[1] <= ticks[0])
		return 0;
	return (uint64_t)((unsigned __int128)(ticks[1] - ticks[0]) * 1000000 / (ns[1] - ns[0]));
}
