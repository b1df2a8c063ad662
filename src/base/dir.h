/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_DIR_H
#define BASE_DIR_H

#include <dirent.h>

#include "base/defer.h"
#include "base/err.h"

static inline void closedir_auto(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}

/**
 * dir_open() - List the folder @name below @dir_fd
 * @name:	"." for the folder itself; a symlink is refused
 * @ret_dir:	Owned by the caller: AUTO(closedir)
 *
 * Return: 0 or -errno. The position is the listing's own.
 */
MUST_CHECK int dir_open(int dir_fd, const char *name, DIR **ret_dir);

/* Delete the files of the folder at @dir_fd; folders in it stay. Return: 0 or -errno of listing. */
MUST_CHECK int dir_clear(int dir_fd);

#endif /* BASE_DIR_H */
