/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_HOST_CLOCK_H
#define SANDBOX_HOST_CLOCK_H

#include "base/loop.h"

/*
 * Tells when the host's wall clock was set, or went on after a suspend.  The kernel wakes us then; until
 * then nothing runs.
 */
struct host_clock {
	struct loop *loop; /* borrowed */
	loop_id id;
	int fd; /* owned timerfd */
	void (*changed)(void *user);
	void *user;
};

MUST_CHECK int host_clock_init(struct host_clock *c, struct loop *loop, void (*changed)(void *user),
			       void *user);
void host_clock_done(struct host_clock *c);

#endif /* SANDBOX_HOST_CLOCK_H */
