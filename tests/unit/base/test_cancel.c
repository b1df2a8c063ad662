/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <poll.h>

#include "base/cancel.h"

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

TAP_MAIN()
