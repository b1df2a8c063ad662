/* SPDX-License-Identifier: Apache-2.0 */
#include "image/room.h"

#include <errno.h>
#include <sys/statvfs.h>

#include "image/limits.h"

/* Left free for others: max(1 GiB, 2 %). */
#define RESERVE_BYTES	(1 * GIB)
#define RESERVE_PERCENT 2

/* @need: bytes, 0: not known */
static int disk_full(uint64_t need, uint64_t available, uint64_t reserve, struct err *err)
{
	uint64_t room = available > reserve ? available - reserve : 0;
	char needed[64] = "";

	if (need > 0)
		(void)snprintf(needed, sizeof(needed), "%llu MiB needed, ",
			       (unsigned long long)(need / MIB + 1));
	err_set(err, ERR_UNAVAILABLE,
		"disk-full: not enough space for the image store: %s%llu MiB free above the reserve of "
		"%llu MiB\nsee what can go: msb image prune --dry-run",
		needed, (unsigned long long)(room / MIB), (unsigned long long)(reserve / MIB));
	(void)err_reason(err, "disk-full");
	return err_detail(err, ERR_NR_NO_SPACE, NULL);
}

static int look(struct store *s, uint64_t *ret_available, uint64_t *ret_reserve)
{
	struct statvfs v;
	uint64_t total;

	if (fstatvfs(s->dir_fd, &v) < 0)
		return -errno;
	total = (uint64_t)v.f_blocks * v.f_frsize;
	*ret_available = (uint64_t)v.f_bavail * v.f_frsize;
	*ret_reserve = total / 100 * RESERVE_PERCENT;
	if (*ret_reserve < RESERVE_BYTES)
		*ret_reserve = RESERVE_BYTES;
	return 0;
}

int store_check_room(struct store *s, uint64_t need, struct err *err)
{
	uint64_t available = 0, reserve = 0;
	int r = look(s, &available, &reserve);

	if (r < 0)
		return err_sys(err, -r, "looking at the file system of the image store");
	if (available >= reserve && need <= available - reserve)
		return 0;
	return disk_full(need, available, reserve, err);
}

int store_write_failed(struct store *s, int sys, const char *what, struct err *err)
{
	uint64_t available = 0, reserve = 0;

	if (sys != ENOSPC && sys != EDQUOT)
		return err_sys(err, sys, "writing %s", what);
	IGNORE_RESULT(look(s, &available, &reserve)); /* the numbers are for the message only */
	return disk_full(0, available, reserve, err);
}
