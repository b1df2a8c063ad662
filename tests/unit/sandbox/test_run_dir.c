/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/defer.h"
#include "sandbox/run_dir.h"

TEST(removes_its_own_folder_only)
{
	char top[] = "/tmp/run_dir_XXXXXX", path[64];
	AUTO_CLOSE int top_fd = -1;
	AUTO_CLOSE int fd = -1;
	struct err err = ERR_INIT;

	ASSERT(mkdtemp(top));
	top_fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_EQ(mkdirat(top_fd, "a", 0700), 0);
	ASSERT_EQ(mkdirat(top_fd, "b", 0700), 0);
	fd = openat(top_fd, "a", O_PATH | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof(path), "%s/a/file", top);
	ASSERT_EQ(close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
	ASSERT(run_dir_remove(fd, "b", &err) < 0);
	ASSERT_EQ(err.code, ERR_NOT_FOUND);
	ASSERT_EQ(faccessat(top_fd, "a/file", F_OK, 0), 0);
	ASSERT_EQ(run_dir_remove(fd, "a", &err), 0);
	ASSERT(faccessat(top_fd, "a", F_OK, 0) < 0);
	ASSERT_EQ(unlinkat(top_fd, "b", AT_REMOVEDIR), 0);
	ASSERT_EQ(rmdir(top), 0);
}

TAP_MAIN()
