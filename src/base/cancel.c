/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cancel.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"

struct cancel {
	int fd;		       /* owned: readable once it is on */
	int own, time;	       /* owned: eventfd and timerfd behind fd; -1: there is no deadline */
	uint64_t deadline_ns;  /* CLOCK_MONOTONIC; UINT64_MAX: none */
	struct cancel *parent; /* borrowed; NULL: none */
	atomic_bool fired;
};

int cancel_new(struct cancel **ret_cancel)
{
	struct cancel *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->deadline_ns = UINT64_MAX;
	c->own = c->time = -1;
	c->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->fd < 0) {
		r = -errno;
		free(c);
		return r;
	}
	*ret_cancel = c;
	return 0;
}

static int watch(const struct cancel *c, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };

	return fd >= 0 && epoll_ctl(c->fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

int cancel_new_within(struct cancel *parent, uint64_t deadline_ns, struct cancel **ret_cancel)
{
	AUTO(cancel_free) struct cancel *c = NULL;
	struct itimerspec at = { .it_value = { .tv_sec = (time_t)(deadline_ns / NS_PER_S),
					       .tv_nsec = (long)(deadline_ns % NS_PER_S) } };
	int r = cancel_new(&c);

	if (r < 0 || !c)
		return r;
	c->own = c->fd;
	c->parent = parent;
	c->deadline_ns = deadline_ns;
	c->fd = epoll_create1(EPOLL_CLOEXEC);
	c->time = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (c->fd < 0 || c->time < 0 || timerfd_settime(c->time, TFD_TIMER_ABSTIME, &at, NULL) < 0)
		return -errno;
	r = watch(c, c->own);
	if (r == 0)
		r = watch(c, c->time);
	if (r == 0)
		r = watch(c, cancel_fd(parent));
	if (r == 0)
		*ret_cancel = TAKE_PTR(c);
	return r;
}

void cancel_free(struct cancel *c)
{
	if (!c)
		return;
	close_auto(&c->fd);
	close_auto(&c->own);
	close_auto(&c->time);
	free(c);
}

void cancel_fire(struct cancel *c)
{
	int saved = errno;

	atomic_store(&c->fired, true);
	(void)eventfd_write(c->own >= 0 ? c->own : c->fd, 1);
	errno = saved;
}

static bool switched(const struct cancel *c)
{
	return c && (atomic_load(&c->fired) || switched(c->parent));
}

static bool late(const struct cancel *c)
{
	return c && c->deadline_ns != UINT64_MAX && clock_now_ns() >= c->deadline_ns;
}

bool cancel_fired(const struct cancel *c)
{
	return switched(c) || late(c);
}

int cancel_fd(const struct cancel *c)
{
	return c ? c->fd : -1;
}

int cancel_check(const struct cancel *c, struct err *err)
{
	if (switched(c))
		return err_set(err, ERR_CANCELLED, "cancelled");
	return late(c) ? err_set(err, ERR_TIMEOUT, "it took longer than the call may take") : 0;
}

int cancel_poll(const struct cancel *c, struct pollfd *fds, size_t n, int64_t timeout_ms,
		struct err *err)
{
	struct pollfd all[CANCEL_POLL_MAX + 1];
	uint64_t start = clock_now_ns();

	assert(n <= CANCEL_POLL_MAX);
	memcpy(all, fds, n * sizeof(*fds));
	all[n] = (struct pollfd){ .fd = cancel_fd(c), .events = POLLIN };
	for (;;) {
		int64_t spent = (int64_t)((clock_now_ns() - start) / NS_PER_MS);
		int64_t left = timeout_ms < 0 ? -1 : timeout_ms > spent ? timeout_ms - spent : 0;
		int r = poll(all, n + 1, left > INT_MAX ? INT_MAX : (int)left);

		if (r < 0 && errno != EINTR)
			return err_sys(err, errno, "wait");
		if (cancel_check(c, err) < 0)
			return -(int)err->code;
		memcpy(fds, all, n * sizeof(*fds));
		if (r > 0 && !all[n].revents)
			return r;
		if (r == 0 && left >= 0 && left <= INT_MAX)
			return 0;
	}
}
