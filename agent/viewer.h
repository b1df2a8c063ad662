/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_VIEWER_H
#define AGENT_VIEWER_H

#include "client.h"
#include "session.h"

/* A client that sees a session: by an exec of its own, or attached. */
struct viewer {
	struct viewer *next;
	struct client *client;	 /* borrowed; it ends us */
	struct session *session; /* borrowed, NULL: none any more */
	uint64_t at[2];		 /* offset of the next byte of each output to send */
	int turn;		 /* the output that comes first next time */
	bool started;		 /* FRAME_STARTED was said */
};

/* What the first message of a client asks for. */
void viewer_exec(struct client *c, const struct frame *f);
void viewer_attach(struct client *c, const struct frame *f);

/* Tell all viewers of a session: the frame without payload, STARTED, or FAILED as the last one. */
void viewers_say(struct session *s, uint16_t type);
void viewers_started(struct session *s);
void viewers_failed(struct session *s, const struct failure *f);
/* Send what the sockets take, and the end if that is all. */
void viewers_pump(struct session *s);
/* The program took @bytes of its input. */
void viewers_input_taken(struct session *s, uint64_t bytes);
/* The program closed its input. */
void viewers_input_closed(struct session *s);

#endif /* AGENT_VIEWER_H */
