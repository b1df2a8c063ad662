/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/dir.h"

static char top[] = "/tmp/test-dir-XXXXXX";

static int names(int fd, char *ret, size_t size)
{
	AUTO(closedir) DIR *dir = NULL;
	struct dirent *e;
	int n = 0;

	ASSERT_EQ(dir_open(fd, ".", &dir), 0);
	while ((e = readdir(dir)))
		if (e->d_name[0] != '.') {
			(void)snprintf(ret, size, "%s", e->d_name);
			n++;
		}
	return n;
}

TEST(clear_takes_files_and_leaves_folders)
{
	AUTO_CLOSE int fd = -1, file = -1;
	char name[256] = "";

	ASSERT(mkdtemp(top));
	fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	file = openat(fd, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ASSERT(fd >= 0 && file >= 0);
	ASSERT_EQ(mkdirat(fd, "folder", 0700), 0);
	ASSERT_EQ(symlinkat("folder", fd, "link"), 0);
	ASSERT_EQ(names(fd, name, sizeof(name)), 3);
	ASSERT_EQ(dir_clear(fd), 0);
	/* A second listing starts anew, and what a link named is untouched. */
	ASSERT_EQ(names(fd, name, sizeof(name)), 1);
	ASSERT_STR(name, "folder");
	ASSERT_EQ(unlinkat(fd, name, AT_REMOVEDIR), 0);
	ASSERT_EQ(rmdir(top), 0);
}

TEST(only_a_folder_is_opened)
{
	DIR *dir = NULL;

	ASSERT_EQ(dir_open(AT_FDCWD, "/dev/null", &dir), -ENOTDIR);
	ASSERT_EQ(dir_open(AT_FDCWD, "/proc/self/root", &dir), -ENOTDIR); /* a symlink */
	ASSERT_EQ(dir_open(AT_FDCWD, "/nothing/here", &dir), -ENOENT);
	ASSERT(!dir);
}

TAP_MAIN()
