/* SPDX-License-Identifier: Apache-2.0 */
#include "freezer.h"

#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "worker.h"

struct order {
	int fd;
	bool freeze;
};

static void work(const void *arg, int fd)
{
	const struct order *o = arg;
	int r = 0;

	if (o->freeze && syncfs(o->fd) < 0)
		r = -errno;
	if (r == 0 && ioctl(o->fd, o->freeze ? FIFREEZE : FITHAW, 0) < 0)
		r = -errno;
	if (!o->freeze && r == -EINVAL) /* it was not frozen */
		r = 0;
	IGNORE_RESULT(io_write_full(fd, &r, sizeof(r)) < 0); /* nobody waits any more */
}

static void tell(struct agent *a, int r)
{
	struct freezer *z = &a->freezer;
	freezer_fn done = z->done;

	z->done = NULL;
	if (done)
		done(z->user, r);
}

static int result_of(const void *result, size_t len)
{
	int r = -ECHILD;

	if (len == sizeof(r))
		memcpy(&r, result, sizeof(r));
	return r;
}

static void thaw_now(struct agent *a);

static void on_thawed(void *user, const void *result, size_t len)
{
	struct agent *a = user;
	int r = result_of(result, len);

	a->freezer.worker = NULL;
	if (r == 0)
		a->freezer.frozen = false;
	tell(a, r);
}

static void on_thaw_time(void *user)
{
	struct agent *a = user;

	a->freezer.thaw = 0;
	thaw_now(a);
}

static void thaw_now(struct agent *a)
{
	struct order o = { .fd = a->upper_fd };
	struct freezer *z = &a->freezer;
	int r;

	loop_remove(a->loop, &z->thaw);
	if (z->worker)
		return;
	r = worker_start(a, work, &o, on_thawed, a, &z->worker);
	if (r >= 0)
		return;
	/* No process can be made: rather wait for the disk here than leave it frozen. */
	r = ioctl(a->upper_fd, FITHAW, 0) < 0 ? -errno : 0;
	z->frozen = false;
	tell(a, r);
}

static void on_frozen(void *user, const void *result, size_t len)
{
	struct agent *a = user;
	struct freezer *z = &a->freezer;
	int r = result_of(result, len);

	z->worker = NULL;
	z->frozen = r == 0;
	if (r == 0 && (!z->done || loop_add_timer(a->loop, clock_now_ns() + FREEZE_NS, on_thaw_time,
						  a, &z->thaw) < 0)) {
		r = -ECANCELED;
		tell(a, r);
		thaw_now(a);
		return;
	}
	tell(a, r);
}

void freezer_freeze(struct agent *a, freezer_fn done, void *user)
{
	struct order o = { .fd = a->upper_fd, .freeze = true };
	struct freezer *z = &a->freezer;
	int r = a->upper_fd < 0 ? -EOPNOTSUPP : z->worker || z->frozen || a->stopping ? -EBUSY : 0;

	if (r == 0)
		r = worker_start(a, work, &o, on_frozen, a, &z->worker);
	if (r < 0) {
		done(user, r);
		return;
	}
	z->done = done;
	z->user = user;
}

void freezer_thaw(struct agent *a, freezer_fn done, void *user)
{
	struct freezer *z = &a->freezer;

	if (z->worker || !z->frozen) {
		done(user, z->worker ? -EBUSY : 0);
		return;
	}
	z->done = done;
	z->user = user;
	thaw_now(a);
}

void freezer_forget(struct agent *a, const void *user)
{
	if (a->freezer.user == user)
		a->freezer.done = NULL;
}

void freezer_end(struct agent *a)
{
	loop_remove(a->loop, &a->freezer.thaw);
	if (a->freezer.frozen || a->freezer.worker)
		(void)ioctl(a->upper_fd, FITHAW, 0);
	a->freezer.frozen = false;
}
