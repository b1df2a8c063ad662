/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_REQUESTS_H
#define AGENT_REQUESTS_H

#include "client.h"

/* Serve the requests of proto/request.h to a client. -ENOMEM. */
MUST_CHECK int requests_begin(struct client *c);

/*
 * The requests that are answered at once: PING, CLOCK, DRAIN.  The host's control stream takes
 * them as well.  false: it is none of them.
 */
bool requests_quick(struct agent *a, struct stream *s, const struct frame *f);

#endif /* AGENT_REQUESTS_H */
