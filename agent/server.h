/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_SERVER_H
#define AGENT_SERVER_H

#include "agent.h"

/* Listen for clients on AGENT_PORT. Before the host hears "ready". */
MUST_CHECK int server_start(struct agent *a, struct failure *f);

#endif /* AGENT_SERVER_H */
