/* SPDX-License-Identifier: Apache-2.0 */
#include "path.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/defer.h"

int path_open(int root, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.mode = mode,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

bool path_is_target(const char *path)
{
	bool some = false;

	if (*path != '/')
		return false;
	while (*path) {
		size_t len;

		path += strspn(path, "/");
		len = strcspn(path, "/");
		if ((len == 1 && path[0] == '.') || (len == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		some |= len > 0;
		path += len;
	}
	return some;
}

/* Make the last component of @path, whose parents exist. */
static int make_last(int root, char *path, bool is_dir)
{
	char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	AUTO_CLOSE int parent = -1;

	if (slash)
		*slash = '\0';
	parent = path_open(root, slash && *path ? path : "/", O_PATH | O_DIRECTORY, 0);
	if (slash)
		*slash = '/';
	if (parent < 0)
		return parent;
	if (is_dir)
		return mkdirat(parent, name, 0755) < 0 && errno != EEXIST ? -errno : 0;
	return mknodat(parent, name, S_IFREG | 0644, 0) < 0 && errno != EEXIST ? -errno : 0;
}

static int make(int root, const char *path, bool is_dir)
{
	AUTO_FREE char *copy = strdup(path);
	int fd = path_open(root, path, is_dir ? O_PATH | O_DIRECTORY : O_PATH, 0);
	size_t len = strlen(path);
	int r;

	if (fd != -ENOENT)
		return fd;
	if (!copy)
		return -ENOMEM;
	while (len > 1 && copy[len - 1] == '/')
		copy[--len] = '\0';
	for (size_t i = 1; i <= len; i++) {
		bool last = i == len;

		if (!last && (copy[i] != '/' || copy[i - 1] == '/'))
			continue;
		copy[i] = '\0';
		r = make_last(root, copy, is_dir || !last);
		if (!last)
			copy[i] = '/';
		if (r < 0)
			return r;
	}
	return path_open(root, path, is_dir ? O_PATH | O_DIRECTORY : O_PATH, 0);
}

int path_make_dir(int root, const char *path)
{
	return make(root, path, true);
}

int path_make_file(int root, const char *path)
{
	return make(root, path, false);
}

int mount_clone(const char *path)
{
	int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path,
			      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);

	return fd < 0 ? -errno : fd;
}

int mount_take(const char *path)
{
	int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int mount_put(int tree_fd, int target_fd)
{
	long r = syscall(SYS_move_mount, tree_fd, "", target_fd, "",
			 MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);

	return r < 0 ? -errno : 0;
}

int mount_flags(int tree_fd, uint64_t attr_set)
{
	struct mount_attr attr = { .attr_set = attr_set };
	long r = syscall(SYS_mount_setattr, tree_fd, "", AT_EMPTY_PATH, &attr, sizeof(attr));

	return r < 0 ? -errno : 0;
}
