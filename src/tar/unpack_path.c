/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tar/unpack_internal.h"

#define NAME_BYTES_MAX 255u /* NAME_MAX of Linux */

int unpack_open(const struct tar_unpack *u, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	int fd = (int)syscall(SYS_openat2, u->dir_fd, *path ? path : ".", &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

static int outside(const char *name, const char *what, struct err *err)
{
	err_set(err, ERR_INVALID, "'%.200s' in the archive %s", name, what);
	(void)err_detail(err, ERR_NR_NONE, name);
	return err_reason(err, "outside");
}

int unpack_name(struct tar_unpack *u, const char *name, struct buf *to, struct err *err)
{
	const char *p = name;

	buf_clear(to);
	if (*p == '/' || *p == '\0')
		return outside(name, *p ? "is an absolute name" : "is an empty name", err);
	while (*p) {
		size_t len = strcspn(p, "/");
		bool first = to->len == 0;

		if (len == 2 && p[0] == '.' && p[1] == '.')
			return outside(name, "leads out of the folder by '..'", err);
		if (len > NAME_BYTES_MAX)
			return outside(name, "has a part of more than 255 bytes", err);
		if (len > 0 && !(len == 1 && p[0] == '.')) {
			if (first && u->o->top &&
			    (strlen(u->o->top) != len || memcmp(u->o->top, p, len) != 0))
				return outside(name, "is not what was asked for", err);
			int r = first ? 0 : buf_add_u8(to, '/');

			if (r >= 0)
				r = buf_add(to, p, len);
			if (r == -ENOBUFS)
				return outside(name, "is longer than a path can be", err);
			if (r < 0)
				return err_no_memory(err);
		}
		p += len;
		p += strspn(p, "/");
	}
	return buf_cstr(to) ? 0 : outside(name, "is longer than a path can be", err);
}

int unpack_failed(struct tar_unpack *u, int sys, const char *what, struct err *err)
{
	const char *path = (const char *)u->path.data;

	if (sys == ELOOP || sys == EXDEV)
		return outside(path, "leads through a link", err);
	err_sys(err, sys, "cannot %s '%.300s'", what, path);
	return err_detail(err, ERR_NR_NONE, path);
}

/* mkdir -p: @path is checked; each step is below the one before. */
static int make_dirs(struct tar_unpack *u, char *path, struct err *err)
{
	for (char *p = path;; p++) {
		AUTO_CLOSE int up = -1;
		char *slash, end = *p;
		int r;

		if (end != '/' && end != '\0')
			continue;
		*p = '\0';
		slash = strrchr(path, '/');
		if (slash)
			*slash = '\0';
		up = unpack_open(u, slash ? path : "", O_PATH | O_DIRECTORY);
		if (slash)
			*slash = '/';
		r = up < 0 ? up : 0;
		if (r == 0 && mkdirat(up, slash ? slash + 1 : path, 0755) < 0 && errno != EEXIST)
			r = -errno;
		*p = end;
		if (r < 0)
			return unpack_failed(u, -r, "make the folder of", err);
		if (end == '\0')
			return 0;
	}
}

int unpack_parent(struct tar_unpack *u, const char *path, int *ret_fd, const char **ret_name,
		  struct err *err)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;

	*ret_name = slash ? slash + 1 : path;
	if (u->parent_fd < 0 || u->parent.len != len ||
	    (len && memcmp(u->parent.data, path, len) != 0)) {
		close_auto(&u->parent_fd);
		buf_clear(&u->parent);
		if (buf_add(&u->parent, path, len) < 0 || !buf_cstr(&u->parent))
			return err_no_memory(err);
		u->parent_fd = unpack_open(u, (char *)u->parent.data, O_PATH | O_DIRECTORY);
		if (u->parent_fd == -ENOENT) {
			if (make_dirs(u, (char *)u->parent.data, err) < 0)
				return -(int)err->code;
			u->parent_fd = unpack_open(u, (char *)u->parent.data, O_PATH | O_DIRECTORY);
		}
		if (u->parent_fd < 0)
			return unpack_failed(u, -TAKE_FD(u->parent_fd), "enter the folder of", err);
	}
	*ret_fd = u->parent_fd;
	return 0;
}
