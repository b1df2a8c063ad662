/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_CHILD_H
#define AGENT_CHILD_H

#include <sys/types.h>

#include "agent.h"

/* What the child of a session gets; all borrowed. */
struct child_args {
	const struct agent *agent;
	const struct exec_request *req;
	int fds[3];	    /* become 0, 1, 2; none of them is below 3 */
	int status_fd;	    /* O_CLOEXEC: a struct failure, or EOF once execve() went well */
	const char *cgroup; /* folder below agent->cgroup_fd; NULL: none */
};

/* fork(); the child sets itself up and becomes the program. Process id, or -errno. */
MUST_CHECK pid_t child_start(const struct child_args *args);

/* Limits that the agent has for itself and its children must not inherit. */
void child_set_agent_limits(void);

#endif /* AGENT_CHILD_H */
