/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_THREAD_H
#define SANDBOX_THREAD_H

#include <pthread.h>
#include <stdbool.h>

#include "base/loop.h"

/* A loop on a thread of its own, for a device whose requests block. */
struct loop_thread {
	const char *name;  /* borrowed; 15 bytes at most */
	struct loop *loop; /* owned */
	pthread_t thread;
	bool running;
};

/* Make the loop; the thread comes with start(). 0 or -errno. */
MUST_CHECK int loop_thread_init(struct loop_thread *t, const char *name);
/* Serve the loop, all signals blocked. 0 or -errno. */
MUST_CHECK int loop_thread_start(struct loop_thread *t);
/* CPU time that the thread has taken, ns; 0 if it does not run. */
uint64_t loop_thread_cpu_ns(const struct loop_thread *t);
/* End the thread: no handler runs after this. */
void loop_thread_stop(struct loop_thread *t);
/* Free the loop, of a stopped thread. */
void loop_thread_done(struct loop_thread *t);

#endif /* SANDBOX_THREAD_H */
