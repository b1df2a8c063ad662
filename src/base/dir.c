/* SPDX-License-Identifier: Apache-2.0 */
#include "base/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int dir_open(int dir_fd, const char *name, DIR **ret_dir)
{
	AUTO_CLOSE int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir)
		return -errno;
	(void)TAKE_FD(fd);
	*ret_dir = dir;
	return 0;
}

int dir_clear(int dir_fd)
{
	AUTO(closedir) DIR *dir = NULL;
	struct dirent *e;
	int r = dir_open(dir_fd, ".", &dir);

	if (!dir)
		return r;
	while ((e = readdir(dir)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			(void)unlinkat(dir_fd, e->d_name, 0);
	return 0;
}
