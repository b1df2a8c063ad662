/* SPDX-License-Identifier: Apache-2.0 */
#include "tar/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "tar/limits.h"
#include "tar/unpack_internal.h"

#define PATH_BYTES_MAX 4096u /* PATH_MAX of Linux: more cannot be opened */

/* Make way for what is no folder. */
static int make_way(struct tar_unpack *u, int parent, const char *name, struct err *err)
{
	if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
		return 0;
	return unpack_failed(u, errno, "replace", err);
}

static int take_dir(struct tar_unpack *u, const struct tar_entry *e, int parent, const char *name,
		    struct err *err)
{
	bool made = mkdirat(parent, name, 0700) == 0;
	AUTO_CLOSE int fd = -1;

	if (!made && errno != EEXIST)
		return unpack_failed(u, errno, "make the folder", err);
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno != EACCES)
		return unpack_failed(u, errno, "make the folder", err);
	if (!made && !u->o->owner && !u->o->chown)
		return 0; /* the folder of somebody else: it is only filled */
	if (unpack_keep_xattrs(u, e, err) < 0)
		return -(int)err->code;
	unpack_set_xattrs(u, fd);
	return unpack_push_dir(u, e, err);
}

/* Owner and time of what is never opened. */
static int set_meta_at(struct tar_unpack *u, const struct tar_entry *e, int parent,
		       const char *name, struct err *err)
{
	struct timespec times[2] = {
		{ .tv_nsec = UTIME_OMIT },
		{ .tv_sec = e->mtime, .tv_nsec = e->mtime_ns },
	};
	struct unpack_meta m;

	unpack_meta_of(u, e, &m);
	if ((m.uid != (uid_t)-1 || m.gid != (gid_t)-1) &&
	    fchownat(parent, name, m.uid, m.gid, AT_SYMLINK_NOFOLLOW) < 0)
		return unpack_failed(u, errno, "set the owner of", err);
	if (utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return unpack_failed(u, errno, "set the time of", err);
	return 0;
}

static int take_symlink(struct tar_unpack *u, const struct tar_entry *e, int parent,
			const char *name, struct err *err)
{
	if (symlinkat(e->link, parent, name) < 0)
		return unpack_failed(u, errno, "make the link", err);
	return set_meta_at(u, e, parent, name, err);
}

/* Both ends lie below the folder. */
static int take_link(struct tar_unpack *u, const struct tar_entry *e, struct err *err)
{
	AUTO_CLOSE int from = -1;
	const char *first = "", *name = "";
	int parent = -1, r = unpack_name(u, e->link, &u->target, err);

	if (r == 0)
		r = unpack_parent(u, (const char *)u->target.data, &parent, &first, err);
	if (r < 0)
		return r;
	from = fcntl(parent, F_DUPFD_CLOEXEC, 0);
	if (from < 0)
		return unpack_failed(u, errno, "make the link", err);
	r = unpack_parent(u, (const char *)u->path.data, &parent, &name, err);
	if (r < 0)
		return r;
	if (strcmp((char *)u->path.data, (char *)u->target.data) == 0)
		return 0;
	if (make_way(u, parent, name, err) < 0)
		return -(int)err->code;
	if (linkat(from, first, parent, name, 0) < 0)
		return unpack_failed(u, errno, "make the link", err);
	return 0;
}

static int take_special(struct tar_unpack *u, const struct tar_entry *e, int parent,
			const char *name, struct err *err)
{
	mode_t type = e->type == TAR_FIFO ? S_IFIFO : e->type == TAR_CHAR ? S_IFCHR : S_IFBLK;

	/* Less what the umask takes: it must not be opened, and fchmodat() would follow a link. */
	if (mknodat(parent, name, type | (e->mode & 0777), makedev(e->major, e->minor)) < 0)
		return unpack_failed(u, errno, "make", err);
	return set_meta_at(u, e, parent, name, err);
}

static int on_entry(void *user, const struct tar_entry *e, struct err *err)
{
	struct tar_unpack *u = user;
	const char *path, *name;
	int parent, r = unpack_name(u, e->name, &u->path, err);

	path = (const char *)u->path.data;
	if (r == 0)
		r = unpack_pop_dirs(u, path, err);
	if (r < 0)
		return r;
	if (!*path) /* the folder itself */
		return e->type == TAR_DIR ? 0 : unpack_failed(u, EISDIR, "replace", err);
	if (u->o->tame && (e->type == TAR_CHAR || e->type == TAR_BLOCK)) {
		unpack_warn(u, "is a device and is left out");
		return 0;
	}
	if (e->type == TAR_LINK)
		return take_link(u, e, err);
	r = unpack_parent(u, path, &parent, &name, err);
	if (r < 0)
		return r;
	if (e->type == TAR_DIR)
		return take_dir(u, e, parent, name, err);
	if (make_way(u, parent, name, err) < 0)
		return -(int)err->code;
	if (e->type == TAR_FILE)
		return unpack_file_begin(u, e, parent, name, err);
	return e->type == TAR_SYMLINK ? take_symlink(u, e, parent, name, err)
				      : take_special(u, e, parent, name, err);
}

static int on_data(void *user, const uint8_t *data, size_t len, struct err *err)
{
	return unpack_file_data(user, data, len, err);
}

static int on_end(void *user, struct err *err)
{
	return unpack_file_end(user, err);
}

static const struct tar_handler handler = { .entry = on_entry, .data = on_data, .end = on_end };

int tar_unpack_new(int dir_fd, const struct tar_unpack_options *o, struct tar_unpack **ret,
		   struct err *err)
{
	AUTO(tar_unpack_free) struct tar_unpack *u = calloc(1, sizeof(*u));

	if (!u)
		return err_no_memory(err);
	u->dir_fd = dir_fd;
	u->o = o;
	u->fd = u->parent_fd = -1;
	buf_init(&u->path, PATH_BYTES_MAX);
	buf_init(&u->target, PATH_BYTES_MAX);
	buf_init(&u->parent, PATH_BYTES_MAX);
	buf_init(&u->xattrs, 2 * (size_t)XATTR_BYTES_MAX);
	if (tar_new(&handler, u, INT64_MAX, &u->tar) < 0)
		return err_no_memory(err);
	*ret = TAKE_PTR(u);
	return 0;
}

int tar_unpack_feed(struct tar_unpack *u, const uint8_t *data, size_t len, struct err *err)
{
	int r = tar_feed(u->tar, data, len, err);

	if (r < 0 && err->code == ERR_INVALID && !err->reason[0])
		(void)err_reason(err, "bad-archive");
	return r;
}

int tar_unpack_finish(struct tar_unpack *u, struct err *err)
{
	int r = tar_finish(u->tar, err);

	return r < 0 ? r : unpack_pop_dirs(u, NULL, err);
}

void tar_unpack_free(struct tar_unpack *u)
{
	if (!u)
		return;
	if (u->fd >= 0 && u->parent_fd >= 0) {
		const char *slash = strrchr((const char *)u->path.data, '/');

		(void)unlinkat(u->parent_fd, slash ? slash + 1 : (const char *)u->path.data, 0);
	}
	close_auto(&u->fd);
	close_auto(&u->parent_fd);
	while (u->n_dirs > 0)
		free(u->dirs[--u->n_dirs].path);
	free(u->dirs);
	free(u->chunks);
	buf_done(&u->path);
	buf_done(&u->target);
	buf_done(&u->parent);
	buf_done(&u->xattrs);
	tar_free(u->tar);
	free(u);
}
