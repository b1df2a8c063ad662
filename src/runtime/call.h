/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_CALL_H
#define RUNTIME_CALL_H

#include <stdbool.h>

#include "base/cancel.h"

struct progress;

/* Options of a call that waits.  NULL: nothing ends it early, and nobody wants to see it work. */
struct call {
	struct cancel *cancel;	   /* borrowed; fired by the caller or the call's deadline */
	struct progress *progress; /* borrowed; NULL: nobody looks */
	bool has_deadline;	   /* the caller gave one, or said "none": no default applies */
};

static inline struct cancel *call_cancel(const struct call *call)
{
	return call ? call->cancel : NULL;
}

static inline struct progress *call_progress(const struct call *call)
{
	return call ? call->progress : NULL;
}

#endif /* RUNTIME_CALL_H */
