/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <fcntl.h>
#include <poll.h>

#include "base/cancel.h"
#include "base/clock.h"

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

TEST(fired_stays_fired)
{
	AUTO(cancel_free) struct cancel *c = NULL;
	struct err err = ERR_INIT;

	ASSERT(cancel_new(&c) == 0);
	ASSERT(!cancel_fired(c) && !readable(cancel_fd(c)));
	ASSERT(cancel_check(c, &err) == 0);
	cancel_fire(c);
	cancel_fire(c);
	ASSERT(cancel_fired(c) && readable(cancel_fd(c)));
	ASSERT(cancel_check(c, &err) < 0 && err.code == ERR_CANCELLED);
}

TEST(nobody_fires_null)
{
	struct err err = ERR_INIT;

	ASSERT(!cancel_fired(NULL));
	ASSERT(cancel_fd(NULL) == -1);
	ASSERT(cancel_check(NULL, &err) == 0);
}

TEST(a_child_goes_with_its_parent)
{
	AUTO(cancel_free) struct cancel *parent = NULL;
	AUTO(cancel_free) struct cancel *c = NULL;
	AUTO(cancel_free) struct cancel *other = NULL;
	struct err err = ERR_INIT;

	ASSERT(cancel_new(&parent) == 0);
	ASSERT(cancel_new_within(parent, UINT64_MAX - 1, &c) == 0);
	ASSERT(cancel_new_within(NULL, UINT64_MAX - 1, &other) == 0);
	ASSERT(!cancel_fired(c) && !readable(cancel_fd(c)));
	cancel_fire(other);
	ASSERT(cancel_fired(other) && readable(cancel_fd(other)));
	ASSERT(!cancel_fired(parent));
	cancel_fire(parent);
	ASSERT(cancel_fired(c) && readable(cancel_fd(c)));
	ASSERT(cancel_check(c, &err) < 0 && err.code == ERR_CANCELLED);
}

TEST(time_fires_too)
{
	AUTO(cancel_free) struct cancel *c = NULL;
	struct err err = ERR_INIT;

	ASSERT(cancel_new_within(NULL, 1, &c) == 0);
	ASSERT(cancel_fired(c));
	ASSERT(cancel_check(c, &err) < 0 && err.code == ERR_TIMEOUT);
}

TEST(a_poll_ends_by_what_comes_first)
{
	AUTO(cancel_free) struct cancel *c = NULL;
	struct err err = ERR_INIT;
	struct pollfd p = { .events = POLLIN };
	int ends[2];

	ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
	p.fd = ends[0];
	ASSERT(cancel_new_within(NULL, UINT64_MAX - 1, &c) == 0);
	ASSERT_EQ(cancel_poll(c, &p, 1, 0, &err), 0);
	ASSERT_EQ(write(ends[1], "x", 1), 1);
	ASSERT_EQ(cancel_poll(c, &p, 1, -1, &err), 1);
	ASSERT(p.revents & POLLIN);
	ASSERT_EQ(cancel_poll(NULL, &p, 1, -1, &err), 1);
	cancel_fire(c);
	ASSERT(cancel_poll(c, &p, 1, -1, &err) < 0);
	ASSERT_EQ(err.code, ERR_CANCELLED);
	cancel_free(TAKE_PTR(c));
	ASSERT(cancel_new_within(NULL, clock_now_ns() + NS_PER_MS, &c) == 0);
	p.fd = -1;
	ASSERT(cancel_poll(c, &p, 1, -1, &err) < 0);
	ASSERT_EQ(err.code, ERR_TIMEOUT);
}

TAP_MAIN()
