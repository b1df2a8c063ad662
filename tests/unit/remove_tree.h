/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_REMOVE_TREE_H
#define TESTS_REMOVE_TREE_H

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Delete @name below @at, whatever it is, as far as it goes. */
static inline void remove_tree(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			remove_tree(fd, e->d_name);
	if (dir)
		(void)closedir(dir);
	(void)unlinkat(at, name, fd < 0 ? 0 : AT_REMOVEDIR);
}

#endif /* TESTS_REMOVE_TREE_H */
