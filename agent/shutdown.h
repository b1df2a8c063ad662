/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_SHUTDOWN_H
#define AGENT_SHUTDOWN_H

#include "agent.h"

/*
 * The end of the guest: TERM to all (main may want another signal), KILL after the grace, disks clean,
 * "flushed", power off.  It goes on from step to step as soon as nothing runs any more.  A second
 * request may shorten the grace.
 */
void shutdown_begin(struct agent *a, const struct shutdown_request *request);
/* A process ended; the last one may have. */
void shutdown_check(struct agent *a);

#endif /* AGENT_SHUTDOWN_H */
