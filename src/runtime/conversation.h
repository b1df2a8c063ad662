/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_CONVERSATION_H
#define RUNTIME_CONVERSATION_H

#include <stdint.h>

#include "base/buf.h"
#include "base/cancel.h"
#include "base/err.h"
#include "proto/frame.h"

struct sandbox;

/* A connection to the agent that a call has for itself, and what ends a wait for it. */
struct conversation {
	const struct sandbox *sb; /* borrowed */
	int fd;			  /* borrowed; non-blocking */
	struct cancel *cancel;	  /* borrowed */
	uint64_t deadline_ns;	  /* 0: none */
};

/* The sandbox went away: NOT_RUNNING. */
int conversation_lost(const struct conversation *c, struct err *err);
/* Until the socket is ready. TIMEOUT, CANCELLED. */
MUST_CHECK int conversation_wait(const struct conversation *c, short events, struct err *err);
/* Send and take all of @b. */
MUST_CHECK int conversation_send(const struct conversation *c, struct buf *b, struct err *err);
/* The next frame; it lies in @in until the caller takes *ret_len bytes off. */
MUST_CHECK int conversation_next(const struct conversation *c, struct buf *in, struct frame *ret,
				 size_t *ret_len, struct err *err);

#endif /* RUNTIME_CONVERSATION_H */
