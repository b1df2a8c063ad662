/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_ENDS_H
#define AGENT_ENDS_H

#include "base/err.h"
#include "proto/agent.h"

/* Both ends of a program's standard descriptors; -1 where there is none. All are O_CLOEXEC. */
struct ends {
	int input, output[2]; /* ours, non-blocking; a terminal has one output */
	int status;	      /* ours: what struct child_args says of its status_fd */
	int child[3], child_status;
};
#define ENDS_NONE                                                                                  \
	(struct ends)                                                                              \
	{                                                                                          \
		.input = -1, .output = { -1, -1 }, .status = -1, .child = { -1, -1, -1 },          \
		.child_status = -1,                                                                \
	}

/*
 * Open what @req asks for: pipes or a terminal, and the status pipe.  @e is ENDS_NONE before;
 * the caller closes what is open, also after an error.  Return: 0 or -errno.
 */
MUST_CHECK int ends_open(struct ends *e, const struct exec_request *req);
/* Close the child's side. */
void ends_close_child(struct ends *e);

#endif /* AGENT_ENDS_H */
