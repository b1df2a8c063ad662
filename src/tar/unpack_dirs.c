/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tar/unpack_internal.h"

void unpack_meta_of(const struct tar_unpack *u, const struct tar_entry *e, struct unpack_meta *ret)
{
	*ret = (struct unpack_meta){
		.mode = e->mode,
		.uid = u->o->chown   ? u->o->uid
		       : u->o->owner ? e->uid
				     : (uid_t)-1,
		.gid = u->o->chown   ? u->o->gid
		       : u->o->owner ? e->gid
				     : (gid_t)-1,
		.mtime = e->mtime,
		.mtime_ns = e->mtime_ns,
	};
	if (u->o->tame && (e->mode & (S_ISUID | S_ISGID))) {
		ret->mode &= ~(mode_t)(S_ISUID | S_ISGID);
		unpack_warn(u, "loses its setuid and setgid bits");
	}
}

int unpack_set_meta(struct tar_unpack *u, int fd, const struct unpack_meta *m, struct err *err)
{
	struct timespec times[2] = {
		{ .tv_nsec = UTIME_OMIT },
		{ .tv_sec = m->mtime, .tv_nsec = m->mtime_ns },
	};

	/* chown() takes setuid bits away, so the mode comes behind it. */
	if ((m->uid != (uid_t)-1 || m->gid != (gid_t)-1) && fchown(fd, m->uid, m->gid) < 0)
		return unpack_failed(u, errno, "set the owner of", err);
	if (fchmod(fd, m->mode) < 0)
		return unpack_failed(u, errno, "set the mode of", err);
	if (futimens(fd, times) < 0)
		return unpack_failed(u, errno, "set the time of", err);
	return 0;
}

int unpack_push_dir(struct tar_unpack *u, const struct tar_entry *e, struct err *err)
{
	struct unpack_dir *d;

	if (u->n_dirs == u->cap_dirs) {
		size_t cap = u->cap_dirs ? 2 * u->cap_dirs : 16;

		d = reallocarray(u->dirs, cap, sizeof(*d));
		if (!d)
			return err_no_memory(err);
		u->dirs = d;
		u->cap_dirs = cap;
	}
	d = &u->dirs[u->n_dirs];
	d->path = strdup((const char *)u->path.data);
	if (!d->path)
		return err_no_memory(err);
	unpack_meta_of(u, e, &d->meta);
	u->n_dirs++;
	return 0;
}

static bool lies_in(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

int unpack_pop_dirs(struct tar_unpack *u, const char *path, struct err *err)
{
	while (u->n_dirs > 0) {
		struct unpack_dir *d = &u->dirs[u->n_dirs - 1];
		AUTO_CLOSE int fd = -1;
		int r = 0;

		if (path && lies_in(path, d->path))
			return 0;
		fd = unpack_open(u, d->path, O_RDONLY | O_DIRECTORY);
		if (fd >= 0)
			r = unpack_set_meta(u, fd, &d->meta, err);
		/* One that somebody took away or replaced needs none. */
		free(d->path);
		u->n_dirs--;
		if (r < 0)
			return r;
	}
	return 0;
}
