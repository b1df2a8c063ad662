/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_CONTROL_H
#define AGENT_CONTROL_H

#include "agent.h"
#include "base/buf.h"

/* The control stream to the host, once the guest is set up. Its loss ends the machine. */

/**
 * control_start() - Serve the connected stream @fd from the loop
 * @fd:		Taken over
 * @early:	Bytes that were read behind the boot message
 */
MUST_CHECK int control_start(struct agent *a, int fd, const struct buf *early);

void control_session(struct agent *a, const struct session_event *e);

/* Say "ready". */
void control_ready(struct agent *a);

/*
 * Say "flushed" and give the host a moment to take it and to cut the power. Blocks; the last
 * words of the agent.
 */
void control_flushed(struct agent *a);

#endif /* AGENT_CONTROL_H */
