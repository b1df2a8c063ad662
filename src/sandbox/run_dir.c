/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/run_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/defer.h"

/* Delete what lies in the folder; it has files only. */
static int empty(int dir_fd, struct err *err)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *e;
	DIR *dir;

	if (fd < 0)
		return err_sys(err, errno, "read the run folder");
	dir = fdopendir(fd);
	if (!dir) {
		(void)close(fd);
		return err_sys(err, ENOMEM, "read the run folder");
	}
	while ((e = readdir(dir)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			(void)unlinkat(dir_fd, e->d_name, 0); /* rmdir tells if it failed */
	(void)closedir(dir);
	return 0;
}

int run_dir_remove(int dir_fd, const char *name, struct err *err)
{
	AUTO_CLOSE int parent = openat(dir_fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat ours, named;
	int r;

	if (parent < 0)
		return err_sys(err, errno, "open the parent of the run folder");
	if (fstat(dir_fd, &ours) < 0 || fstatat(parent, name, &named, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, errno, "find the run folder '%s'", name);
	if (ours.st_dev != named.st_dev || ours.st_ino != named.st_ino)
		return err_set(err, ERR_NOT_FOUND, "'%s' is another folder by now", name);
	r = empty(dir_fd, err);
	if (r < 0)
		return r;
	if (unlinkat(parent, name, AT_REMOVEDIR) < 0)
		return err_sys(err, errno, "remove the run folder '%s'", name);
	return 0;
}
