/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_WATCH_H
#define RUNTIME_WATCH_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/cancel.h"
#include "base/defer.h"
#include "base/err.h"
#include "runtime/exit_record.h"

struct stop_request;

/*
 * A connection to the control socket of a monitor, the parent's or not.  It says when the guest is
 * ready and how the sandbox ended, and its end is the end of the monitor.
 */
struct watch {
	int fd;		 /* owned; -1: nobody listens */
	char id[17];	 /* of the sandbox */
	struct buf in;	 /* what came and is no frame yet */
	bool ready;	 /* the guest is ready */
	bool gone;	 /* the monitor has closed the connection */
	bool has_record; /* the monitor has said how it ended */
	struct exit_record record;
};

/**
 * watch_open() - Connect to the monitor of a run folder and ask to be told
 * @run_dir:	Borrowed
 * @request:	To be sent as well; NULL: none
 *
 * A monitor that is gone, or goes, is no error: @w is gone then.
 */
MUST_CHECK int watch_open(struct watch *w, int run_dir, const char *id,
			  const struct stop_request *request, struct err *err);
/* The sandbox is in use. Nothing to say to a monitor that goes. */
void watch_touch(struct watch *w);
void watch_close(struct watch *w);
static inline void watch_close_auto(struct watch *w)
{
	watch_close(w);
}
/**
 * watch_next() - Wait for news: @w->ready, has_record or gone
 * @timeout_ms:	-1: no limit
 *
 * Return: 1, 0 once the time is over, or negative as of cancel_poll().
 */
MUST_CHECK int watch_next(struct watch *w, struct cancel *cancel, int64_t timeout_ms,
			  struct err *err);

#endif /* RUNTIME_WATCH_H */
