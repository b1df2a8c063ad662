/* SPDX-License-Identifier: Apache-2.0 */
#include "hostclock.h"

#include <time.h>

#include "agent.h"
#include "base/clock.h"

void hostclock_told(struct agent *a, uint64_t time_ns)
{
	uint64_t now = clock_wall_ns();
	struct timespec t;
	int64_t step;

	if (time_ns == 0)
		return;
	step = hostclock_judge(&a->hostclock, (int64_t)(now - time_ns));
	if (step == 0)
		return;
	now += (uint64_t)step;
	t = (struct timespec){ .tv_sec = (time_t)(now / NS_PER_S),
			       .tv_nsec = (long)(now % NS_PER_S) };
	(void)clock_settime(CLOCK_REALTIME, &t);
}
