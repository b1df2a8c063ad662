/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_WORKER_H
#define AGENT_WORKER_H

#include <stddef.h>

#include "agent.h"

/*
 * A process for what may block.  It writes its result to a pipe and ends; a worker that nobody
 * waits for any more sees that the pipe has no reader.
 */
#define WORKER_RESULT_MAX 4096 /* bytes; less than the pipe holds, so writing never blocks */

/**
 * worker_start() - Run @work in a child
 * @work:	Writes its result to @fd; its return ends the process
 * @arg:	Of @work; the child has a copy of all memory
 * @done:	With the result; empty: the child died
 *
 * Owned by the caller until @done is called, which frees it. -ENOMEM, -errno.
 */
MUST_CHECK int worker_start(struct agent *a, void (*work)(const void *arg, int fd), const void *arg,
			    void (*done)(void *user, const void *result, size_t len), void *user,
			    struct worker **ret_worker);
/* Nobody wants the result; NULL is fine. @done is not called. */
void worker_cancel(struct worker *w);

#endif /* AGENT_WORKER_H */
