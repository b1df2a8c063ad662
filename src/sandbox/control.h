/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_CONTROL_H
#define SANDBOX_CONTROL_H

#include "base/buf.h"
#include "base/loop.h"
#include "proto/launch.h"
#include "sandbox/listener.h"

/*
 * The control socket: clients that may ask for the end.  A client is heard as soon as its frame
 * is whole; its connection then stays open until the monitor is gone, which is its answer.
 */
#define CONTROL_MAX_CLIENTS 64
#define CONTROL_MAX_BYTES   4096 /* of a frame with its header */

struct control;

struct control_client {
	struct control *control; /* borrowed */
	int fd;			 /* owned; -1: free */
	loop_id id;
	struct buf in;
};

struct control {
	struct loop *loop; /* borrowed */
	struct listener listener;
	void (*stop)(void *user, const struct stop_request *request);
	void *user;
	struct control_client clients[CONTROL_MAX_CLIENTS];
};

MUST_CHECK int control_init(struct control *c, struct loop *loop, int listen_fd,
			    void (*stop)(void *user, const struct stop_request *request),
			    void *user);
void control_done(struct control *c);

/*
 * Judge the bytes of a client: 1 with *ret filled and *ret_used bytes taken, 0 if there is no
 * whole frame, -EPROTO if they are no frame that a client may send.
 */
MUST_CHECK int control_parse(const void *data, size_t len, struct stop_request *ret,
			     size_t *ret_used);

#endif /* SANDBOX_CONTROL_H */
