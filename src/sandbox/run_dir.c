/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/run_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/dir.h"

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
	r = dir_clear(dir_fd); /* it has files only */
	if (r < 0)
		return err_sys(err, -r, "read the run folder");
	if (unlinkat(parent, name, AT_REMOVEDIR) < 0)
		return err_sys(err, errno, "remove the run folder '%s'", name);
	return 0;
}
