/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <poll.h>
#include <sys/timerfd.h>

#include "sandbox/host_clock.h"

static void count(void *user)
{
	++*(int *)user;
}

TEST(nothing_happens_while_the_clock_is_not_set)
{
	struct loop *loop = NULL;
	struct host_clock c;
	struct pollfd p;
	int n = 0;

	ASSERT_EQ(loop_new(&loop), 0);
	ASSERT_EQ(host_clock_init(&c, loop, count, &n), 0);
	p = (struct pollfd){ .fd = c.fd, .events = POLLIN };
	ASSERT_EQ(poll(&p, 1, 0), 0);
	host_clock_done(&c);
	host_clock_done(&c);
	loop_free(loop);
}

static void stop(void *user)
{
	loop_stop(user);
}

/* The clock of this machine is not ours to set: a timer that is due wakes just as one that is cancelled. */
TEST(what_wakes_it_is_told_once_and_it_waits_again)
{
	struct itimerspec soon = { .it_value = { .tv_nsec = 1 } };
	struct loop *loop = NULL;
	struct host_clock c;
	struct pollfd p;

	ASSERT_EQ(loop_new(&loop), 0);
	ASSERT_EQ(host_clock_init(&c, loop, stop, loop), 0);
	ASSERT_EQ(timerfd_settime(c.fd, 0, &soon, NULL), 0);
	ASSERT_EQ(loop_run(loop), 0);
	p = (struct pollfd){ .fd = c.fd, .events = POLLIN };
	ASSERT_EQ(poll(&p, 1, 0), 0);
	host_clock_done(&c);
	loop_free(loop);
}

TAP_MAIN()
