/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest sends to a client of the agent, as the monitor looks at it. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>

#include "sandbox/log_queue.h"
#include "sandbox/tap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct log_queue *log;
	struct taps *taps = NULL;
	struct vsock_tap *tap;

	if (!log) {
		char top[] = "/dev/shm/fuzz_tap_XXXXXX";
		int dir = mkdtemp(top) ? open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

		if (log_queue_new(dir, &log) < 0)
			abort();
	}
	if (taps_new(log, CAPTURE_ALL, &taps) < 0)
		abort();
	tap = tap_new(taps);
	for (size_t done = 0; tap && done < size;) {
		size_t n = 1 + data[done] % 64;

		n = n < size - done ? n : size - done;
		tap_feed(tap, data + done, n);
		done += n;
	}
	if (tap)
		tap->end(tap);
	taps_free(taps);
	return 0;
}
