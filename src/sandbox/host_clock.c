/* SPDX-License-Identifier: Apache-2.0 */
/* #syscalls timerfd_create timerfd_settime */
#include "sandbox/host_clock.h"

#include <errno.h>
#include <stdint.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* A time that never comes: only the cancellation of the timer is of interest. */
static int arm(int fd)
{
	struct itimerspec never = { .it_value = { .tv_sec = INT64_MAX / 2000000000 } };

	return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) < 0
		       ? -errno
		       : 0;
}

static void clock_ready(void *user, uint32_t events)
{
	struct host_clock *c = user;
	uint64_t count;

	if (read(c->fd, &count, sizeof(count)) < 0 && errno == EAGAIN)
		return;
	/* ECANCELED: that is what we wait for. */
	if (arm(c->fd) < 0)
		loop_remove(c->loop, &c->id); /* programs that start still carry the time */
	c->changed(c->user);
}

int host_clock_init(struct host_clock *c, struct loop *loop, void (*changed)(void *user),
		    void *user)
{
	int r;

	*c = (struct host_clock){ .loop = loop, .changed = changed, .user = user };
	c->fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (c->fd < 0)
		return -errno;
	r = arm(c->fd);
	if (r == 0)
		r = loop_add_fd(loop, c->fd, EPOLLIN, clock_ready, c, &c->id);
	return r;
}

void host_clock_done(struct host_clock *c)
{
	if (!c->loop)
		return;
	loop_remove(c->loop, &c->id);
	if (c->fd >= 0)
		(void)close(c->fd);
	*c = (struct host_clock){ .fd = -1 };
}
