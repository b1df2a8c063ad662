/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_TCP_H
#define AGENT_TCP_H

#include "client.h"

/* Join the client to a TCP port of the guest's loopback, as its FRAME_OPEN_TCP asks. */
void tcp_open(struct client *c, const struct frame *f);

#endif /* AGENT_TCP_H */
