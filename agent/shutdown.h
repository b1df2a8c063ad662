/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_SHUTDOWN_H
#define AGENT_SHUTDOWN_H

#include "agent.h"

/*
 * The end of the guest: TERM to all, KILL after the grace, disks clean, "flushed", power
 * off.  It goes on from step to step as soon as nothing runs any more.
 */
void shutdown_begin(struct agent *a, uint32_t grace_ms);
/* A process ended; the last one may have. */
void shutdown_check(struct agent *a);

#endif /* AGENT_SHUTDOWN_H */
