/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cancel.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct cancel {
	int fd;
	atomic_bool fired;
};

int cancel_new(struct cancel **ret_cancel)
{
	struct cancel *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->fd < 0) {
		r = -errno;
		free(c);
		return r;
	}
	*ret_cancel = c;
	return 0;
}

void cancel_free(struct cancel *c)
{
	if (!c)
		return;
	(void)close(c->fd);
	free(c);
}

void cancel_fire(struct cancel *c)
{
	int saved = errno;

	atomic_store(&c->fired, true);
	(void)eventfd_write(c->fd, 1);
	errno = saved;
}

bool cancel_fired(const struct cancel *c)
{
	return c && atomic_load(&c->fired);
}

int cancel_fd(const struct cancel *c)
{
	return c ? c->fd : -1;
}

int cancel_check(const struct cancel *c, struct err *err)
{
	return cancel_fired(c) ? err_set(err, ERR_CANCELLED, "cancelled") : 0;
}
