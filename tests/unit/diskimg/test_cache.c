/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <sys/file.h>
#include <sys/stat.h>

#include "diskimg/diskimg.h"

#define N 8192 /* bytes of a file */

static int make(int dir, const char *name)
{
	char bytes[N] = "x";
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	ASSERT(fd >= 0);
	ASSERT_EQ(write(fd, bytes, sizeof(bytes)), N);
	return fd;
}

static bool there(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, 0) == 0;
}

TEST(what_is_locked_stays)
{
	char path[] = "/tmp/msb-cache-XXXXXX";
	uint64_t would = 0, did = 0;
	int dir, used, making;

	ASSERT(mkdtemp(path));
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	used = make(dir, "1.raw");
	making = make(dir, "2.raw.new");
	ASSERT_EQ(close(make(dir, "3.raw")), 0);
	ASSERT_EQ(close(make(dir, "4.raw.new")), 0);
	ASSERT_EQ(flock(used, LOCK_SH), 0);
	ASSERT_EQ(flock(making, LOCK_EX), 0);
	ASSERT_EQ(disk_cache_prune(dir, 1000, false, &did), 0); /* all were used after 1970 */
	ASSERT_EQ(did, 0);
	ASSERT_EQ(disk_cache_prune(dir, UINT64_MAX, true, &would), 0);
	ASSERT_EQ(would, 2 * N);
	ASSERT(there(dir, "3.raw"));
	ASSERT_EQ(disk_cache_prune(dir, UINT64_MAX, false, &did), 0);
	ASSERT_EQ(did, 2 * N);
	ASSERT(there(dir, "1.raw") && there(dir, "2.raw.new"));
	ASSERT(!there(dir, "3.raw") && !there(dir, "4.raw.new"));
	ASSERT_EQ(close(used), 0);
	ASSERT_EQ(close(making), 0);
	ASSERT_EQ(disk_cache_prune(dir, UINT64_MAX, false, &did), 0);
	ASSERT_EQ(did, 2 * N);
	ASSERT_EQ(close(dir), 0);
	ASSERT_EQ(rmdir(path), 0);
}

TAP_MAIN()
