/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/retry.h"

const struct registry_times registry_times = {
	.connect_ms = 30000,
	.stall_ms = 30000,
	.stall_bytes = 30720, /* 1 KiB a second */
	.retry_ms = 500,
	.retry_max_ms = 30000,
	.retry_after_max_ms = 300000,
	.helper_ms = 30000,
};

int64_t retry_next(struct retry *r, const struct registry_times *times, uint64_t done,
		   int64_t after_s, uint32_t random)
{
	uint64_t wait = times->retry_ms, spread;

	if (done >= r->mark && done - r->mark >= RETRY_PROGRESS) {
		r->failed = 0;
		r->mark = done;
	}
	if (++r->failed >= RETRY_TRIES)
		return -1;
	for (unsigned i = 1; i < r->failed && wait < times->retry_max_ms; i++)
		wait *= 2;
	if (wait > times->retry_max_ms)
		wait = times->retry_max_ms;
	spread = wait / 2;
	if (after_s >= 0) {
		if ((uint64_t)after_s > times->retry_after_max_ms / 1000)
			return -1;
		if ((uint64_t)after_s * 1000 > wait - spread)
			return (int64_t)((uint64_t)after_s * 1000 + random % (spread + 1));
	}
	return (int64_t)(wait - spread + random % (spread + 1));
}

bool retry_status(unsigned status)
{
	return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
	       status == 504;
}
