/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_LISTENER_H
#define SANDBOX_LISTENER_H

#include "base/loop.h"

/* A listening Unix socket whose clients must have our uid; others are closed at once. */
struct listener {
	struct loop *loop; /* borrowed */
	loop_id id;
	int fd;	      /* borrowed */
	int spare_fd; /* owned; given up to take and drop a client when there are no more fds */
	void (*accepted)(void *user, int fd); /* fd is the callee's */
	void *user;
};

MUST_CHECK int listener_init(struct listener *l, struct loop *loop, int fd,
			     void (*accepted)(void *user, int fd), void *user);
void listener_done(struct listener *l);

#endif /* SANDBOX_LISTENER_H */
