/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_SESSION_H
#define AGENT_SESSION_H

#include <sys/types.h>

#include "agent.h"

/* Streams of clients, and the programs that they run. */
#define SESSIONS_MAX 1024 /* streams and lingering sessions */

/* Take over a connection. */
void session_accept(struct agent *a, int fd);
/* A child of the agent ended. */
void session_reaped(struct agent *a, pid_t pid, int status);
/* Some process ended: forget what has nothing left in it. */
void session_sweep(struct agent *a);
/* HUP to those on a terminal: a shell there ignores TERM. */
void session_hang_up_terminals(struct agent *a);
/* Some session has output or its end still to tell. */
bool session_any_open(const struct agent *a);

#endif /* AGENT_SESSION_H */
