/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_STREAM_H
#define AGENT_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/loop.h"
#include "proto/agent.h"
#include "proto/frame.h"

/*
 * One stream of frames to the host, non-blocking, with a bounded buffer each way.
 *
 * Callbacks never run inside of the caller's own stream_ call: `lost` and the frames that
 * waited during a pause come from the loop.  `lost` may end the stream; the others may not.
 */
struct stream_ops {
	/* A whole frame; borrowed for the call. */
	void (*frame)(void *user, const struct frame *f);
	/* The buffer is empty again after the socket had been full. */
	void (*drained)(void *user);
	/* The peer is gone, or was refused (and told). Once. */
	void (*lost)(void *user);
};

struct stream {
	struct loop *loop; /* borrowed */
	int fd;		   /* owned */
	loop_id id, soon;
	struct buf in, out;
	const struct stream_ops *ops;
	void *user;
	bool paused;  /* frames wait */
	bool blocked; /* the socket was full: drained() is owed */
	bool dead;    /* lost() was told or is under way */
	bool broken;  /* lost() when out is empty: the peer was refused */
};

/* Most bytes that wait to be sent. An empty buffer has room for any data frame. */
#define STREAM_OUT_MAX (1u << 20) /* bytes */

/* Take over a non-blocking @fd, also on failure. */
MUST_CHECK int stream_init(struct stream *s, struct loop *loop, int fd,
			   const struct stream_ops *ops, void *user);
void stream_done(struct stream *s);
/* Bytes that were read from @fd before; as if they came now. */
MUST_CHECK int stream_feed(struct stream *s, const void *data, size_t len);

/* Append frames by x_encode(&s->out, ...) or frame_add(), then say stream_push(). */
void stream_push(struct stream *s);
/* All is sent; false also says: send no more data now, `drained` will come. */
static inline bool stream_idle(const struct stream *s)
{
	return s->out.len == 0;
}

void stream_pause(struct stream *s);
void stream_resume(struct stream *s);

/* Send FRAME_ERROR @code about a frame of @type, then lose the stream. */
void stream_refuse(struct stream *s, const char *code, uint16_t type);
/* Send FRAME_ERROR @code about a frame of @type; the stream goes on. */
void stream_answer(struct stream *s, const char *code, uint16_t type);
/* The same with `unsupported`. */
void stream_unsupported(struct stream *s, uint16_t type);

#endif /* AGENT_STREAM_H */
