/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "hostclock.h"

#define SLACK_NS   ((int64_t)(100 * NS_PER_MS)) /* what is left alone */
#define CERTAIN_NS ((int64_t)(10 * NS_PER_S))	/* no message is that old when it is read */
#define DOUBTS	   4 /* messages in a row that must agree below CERTAIN_NS */

int64_t hostclock_judge(struct hostclock *h, int64_t ahead_ns)
{
	int64_t step = 0;

	if (ahead_ns <= SLACK_NS) {
		*h = (struct hostclock){ 0 };
		return ahead_ns < -SLACK_NS ? -ahead_ns : 0;
	}
	if (h->n_ahead == 0 || ahead_ns < h->min_ahead_ns)
		h->min_ahead_ns = ahead_ns;
	h->n_ahead++;
	if (ahead_ns > CERTAIN_NS)
		step = -ahead_ns;
	else if (h->n_ahead >= DOUBTS)
		step = -h->min_ahead_ns;
	if (step)
		*h = (struct hostclock){ 0 };
	return step;
}
