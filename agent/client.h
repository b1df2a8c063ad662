/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_CLIENT_H
#define AGENT_CLIENT_H

#include "agent.h"
#include "stream.h"

/*
 * A connection of a client.  After the hellos its first message says what it is for and sets
 * its ops: an exec, an attach, a TCP stream, requests.
 */
#define CLIENTS_MAX 1024

struct client;

struct client_ops {
	void (*frame)(struct client *c, const struct frame *f);
	/* The socket takes bytes again. */
	void (*drained)(struct client *c);
	/* It is gone, or its last frame is sent. The client is freed afterwards; @user is not. */
	void (*lost)(struct client *c);
};

struct client {
	struct client *next;
	struct agent *agent; /* borrowed */
	struct stream stream;
	const struct client_ops *ops; /* NULL until it is open */
	void *user;		      /* of the ops */
	bool hello, ending;
	loop_id soon;
};

/* Take over a connection. */
void client_accept(struct agent *a, int fd);

/* It takes frames: not gone, not refused, its last frame is not said. */
bool client_usable(const struct client *c);

/* Say FRAME_FAILED as the last frame, with a message like fail()'s. */
void client_fail(struct client *c, const char *kind, int sys, const char *subject,
		 const char *what);
/* The last frame is in the stream's buffer: send it, then lose the client. */
void client_finish(struct client *c);

#endif /* AGENT_CLIENT_H */
