/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_CONTROL_H
#define SANDBOX_CONTROL_H

#include "base/buf.h"
#include "base/loop.h"
#include "proto/launch.h"
#include "sandbox/listener.h"

/*
 * The control socket: clients that ask for the end, or want to be told of it.  A client is heard as
 * soon as its frame is whole; its connection then stays open until the monitor is gone.  All get the
 * exit record before that.
 */
#define CONTROL_MAX_CLIENTS 256
#define CONTROL_MAX_BYTES   4096 /* of a frame with its header */

struct control;

struct control_client {
	struct control *control; /* borrowed */
	int fd;			 /* owned; -1: free */
	loop_id id;
	bool watches; /* it wants to hear when the guest is ready */
	struct buf in;
};

struct control_events {
	void (*stop)(void *user, const struct stop_request *request);
	void (*touch)(void *user);
};

struct control {
	struct loop *loop; /* borrowed */
	struct listener listener;
	const struct control_events *events; /* borrowed */
	void *user;
	bool ready;
	struct control_client clients[CONTROL_MAX_CLIENTS];
};

MUST_CHECK int control_init(struct control *c, struct loop *loop, int listen_fd,
			    const struct control_events *events, void *user);
void control_done(struct control *c);
/* The guest is ready. */
void control_ready(struct control *c);
/* How it ended: the JSON of the exit record. */
void control_ended(struct control *c, const void *record, size_t len);

/* What a client may ask. */
struct control_request {
	uint16_t type; /* FRAME_STOP, FRAME_WATCH, FRAME_TOUCH */
	struct stop_request stop;
};
/*
 * Judge the bytes of a client: 1 with *ret filled and *ret_used bytes taken, 0 if there is no
 * whole frame, -EPROTO if they are no frame that a client may send.
 */
MUST_CHECK int control_parse(const void *data, size_t len, struct control_request *ret,
			     size_t *ret_used);

#endif /* SANDBOX_CONTROL_H */
