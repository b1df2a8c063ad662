/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_REPORT_H
#define SANDBOX_REPORT_H

#include <stdbool.h>

#include "proto/agent.h"

/*
 * The ready pipe: pushes progress to the client, then ready or failed, then is closed.  A client
 * that is gone or does not read delays nothing: what does not fit the pipe is dropped.
 */
struct report {
	int fd;				/* owned; -1 once the result was told */
	char stage[PROGRESS_STAGE_MAX]; /* the last one that was passed */
};

void report_init(struct report *r, int fd);
/* Stage @stage was passed. */
void report_progress(struct report *r, const char *stage);
void report_ready(struct report *r);
void report_failed(struct report *r, const struct failure *why);
void report_done(struct report *r);
static inline bool report_open(const struct report *r)
{
	return r->fd >= 0;
}

#endif /* SANDBOX_REPORT_H */
