/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_PROGRESS_H
#define RUNTIME_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/defer.h"
#include "base/err.h"
#include "runtime/stream.h"

/*
 * What one call tells while it works: PROGRESS events with one JSON object each, then END.
 *
 * Any thread may put; one thread reads.  Changes of state are never lost.  Amounts come ten times a
 * second at most for each layer, the newest wins, and none comes behind a change of its layer.  A reader
 * that does not read costs bounded memory: an event takes the place of the unread one of the same
 * kind, layer and stage.
 */
struct progress;

struct progress_event {
	const char *type; /* "layer_download_progress"; static */
	bool amount;	  /* else a change of state */
	/* borrowed for the call; NULL: not known, not in the JSON */
	const char *reference, *digest, *stage, *message;
	unsigned layer, layers; /* from 1; how many; 0: not about layers */
	uint64_t done, total;	/* bytes; total 0: not known */
};

/* UNAVAILABLE. */
MUST_CHECK int progress_new(struct progress **ret_progress, struct err *err);
void progress_close(struct progress *p);
DEFINE_AUTO(struct progress *, progress_close);

/* For one call only. INVALID: another had it. */
MUST_CHECK int progress_begin(struct progress *p, struct err *err);
/* Does not wait. NULL is fine, here and below. */
void progress_put(struct progress *p, const struct progress_event *event);
/* @number: public error number of the call, 0: it succeeded; @message is borrowed for the call. */
void progress_end(struct progress *p, int number, const char *message);

/* A descriptor to poll for POLLIN. */
int progress_fd(const struct progress *p);
/* As exec_stream_next() and exec_stream_wait(). */
MUST_CHECK int progress_next(struct progress *p, struct stream_event *ret_ev, struct err *err);
MUST_CHECK int progress_wait(struct progress *p, int64_t timeout_ms, struct cancel *cancel,
			     struct stream_event *ret_ev, struct err *err);

#endif /* RUNTIME_PROGRESS_H */
