/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_LIMITS_H
#define SANDBOX_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "proto/launch.h"
#include "sandbox/ending.h"

/*
 * The limits of a spec on how long a sandbox lives: at most so long, so long without use, so long after
 * its last session.  Whether it is in use is judged by what the host sees.  Without limits there is no timer.
 */
#define IDLE_CPU_PERCENT 5     /* of one CPU: an idle guest under TCG takes less */
#define LINGER_FIRST_MS	 30000 /* for the first session, which is on its way */

/* What the host sees of the guest's doings. */
struct limits_usage {
	bool attached;	 /* a client has a stream */
	uint64_t cpu_ns; /* of the guest's CPUs */
	uint64_t
		io_ns; /* of the threads that serve its disks and folders: they run for requests only */
};

struct limits_events {
	struct limits_usage (*usage)(void *user);
	void (*due)(void *user, enum end_event event); /* EVENT_MAX_DURATION or EVENT_IDLE */
};

struct limits {
	struct loop *loop;		    /* borrowed */
	const struct limits_events *events; /* borrowed */
	void *user;
	uint64_t idle_ns, linger_ns; /* 0: none */
	loop_id max_id, idle_id, linger_id;
	int max_fd; /* owned; timer of the boot-time clock; -1 */
	bool had_session, has_session;
	struct limits_usage last; /* at the last look */
	uint64_t looked_ns, active_ns;
};

/* The guest is ready: all times begin. 0 or -errno. */
MUST_CHECK int limits_start(struct limits *l, struct loop *loop, const struct launch_spec *spec,
			    const struct limits_events *events, void *user);
/* Sessions began or ended; so many are live. */
void limits_sessions(struct limits *l, unsigned n_live);
/* A client says that it is in use. */
void limits_touch(struct limits *l);
/* Also of zeroes. */
void limits_done(struct limits *l);

/* Is the sandbox in use, by two looks @elapsed_ns apart? */
bool limits_active(const struct limits_usage *before, const struct limits_usage *now,
		   uint64_t elapsed_ns);

#endif /* SANDBOX_LIMITS_H */
