/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_HOSTCLOCK_H
#define AGENT_HOSTCLOCK_H

#include <stdint.h>

/*
 * The guest's wall clock follows the host's.  A time that the host told is old when it is
 * read, nobody knows how much: a guest that is behind it is behind for certain, one that is
 * ahead may only be slow to read.
 */
struct hostclock {
	unsigned n_ahead;     /* messages in a row that said "ahead" */
	int64_t min_ahead_ns; /* the smallest of what they said */
};

/**
 * hostclock_judge() - What to do about a message that says the guest is @ahead_ns ahead
 * Return: nanoseconds to add to the guest's clock, 0 for nothing.
 */
int64_t hostclock_judge(struct hostclock *h, int64_t ahead_ns);

struct agent;
/* The host's clock showed @time_ns since the epoch when it wrote; 0: it did not say. */
void hostclock_told(struct agent *a, uint64_t time_ns);

#endif /* AGENT_HOSTCLOCK_H */
