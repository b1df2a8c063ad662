/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: packing a tree
 *
 * Every step is relative to the descriptor of its folder, and what is opened is looked at again:
 * somebody who swaps a folder for a link meanwhile gets that link packed, or an entry left out.
 */
#include "tar/pack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "tar/pack_internal.h"

#define PATH_BYTES 65536u /* of a path in the archive */
#define DEPTH_MAX  512u	  /* folders in each other: each has a descriptor */
#define LINKS_MAX  65536u /* files with several names that are remembered */
#define END_BYTES  1024u  /* two blocks of zeros */

/* The folders that we are in. */
struct above {
	const struct above *up;
	dev_t dev;
	ino_t ino;
	unsigned depth;
};

static int put(void *user, const void *data, size_t len, struct err *err)
{
	struct packer *p = user;
	const uint8_t *from = data;

	while (len > 0) {
		size_t n = sizeof(p->out) - p->len;

		n = n < len ? n : len;
		memcpy(p->out + p->len, from, n);
		p->len += n;
		from += n;
		len -= n;
		if (p->len == sizeof(p->out) && pack_flush(p) < 0)
			return -(int)err->code;
	}
	return 0;
}

int pack_flush(struct packer *p)
{
	int r = p->len ? p->to->put(p->to->user, p->out, p->len, p->err) : 0;

	p->len = 0;
	return r;
}

void pack_warn(struct packer *p, const char *what)
{
	p->to->warn(p->to->user, (const char *)p->path.data, what);
}

void pack_entry(struct packer *p, enum tar_type type, const struct stat *st, struct tar_entry *e)
{
	*e = (struct tar_entry){
		.type = type,
		.name = (const char *)p->path.data,
		.mode = st->st_mode & 07777,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.mtime = st->st_mtim.tv_sec,
		.mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
		.major = major(st->st_rdev),
		.minor = minor(st->st_rdev),
	};
}

static struct pack_link *slot(struct pack_link *t, size_t cap, dev_t dev, ino_t ino)
{
	size_t i = (size_t)(ino * 0x9e3779b97f4a7c15ull >> 20) & (cap - 1);

	while (t[i].path && (t[i].ino != ino || t[i].dev != dev))
		i = (i + 1) & (cap - 1);
	return &t[i];
}

static int grow_links(struct packer *p)
{
	size_t cap = p->cap_links ? 2 * p->cap_links : 64;
	struct pack_link *t = calloc(cap, sizeof(*t));

	if (!t)
		return err_no_memory(p->err);
	for (size_t i = 0; i < p->cap_links; i++)
		if (p->links[i].path)
			*slot(t, cap, p->links[i].dev, p->links[i].ino) = p->links[i];
	free(p->links);
	p->links = t;
	p->cap_links = cap;
	return 0;
}

/* The name under which the file is in the archive already; else this one is remembered. */
static int known_link(struct packer *p, const struct stat *st, const char **ret_path)
{
	struct pack_link *l;

	*ret_path = NULL;
	if (st->st_nlink < 2)
		return 0;
	if (2 * p->n_links >= p->cap_links && grow_links(p) < 0)
		return -1;
	l = slot(p->links, p->cap_links, st->st_dev, st->st_ino);
	if (l->path || p->n_links == LINKS_MAX) {
		*ret_path = l->path;
		return 0;
	}
	*l = (struct pack_link){ .dev = st->st_dev,
				 .ino = st->st_ino,
				 .path = strdup((const char *)p->path.data) };
	if (!l->path)
		return err_no_memory(p->err);
	p->n_links++;
	return 0;
}

static int pack_symlink(struct packer *p, int dir, const char *name, const struct stat *st)
{
	char target[4097]; /* PATH_MAX and one more, to see that it was cut */
	struct tar_entry e;
	ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);

	if (n < 0 || n == sizeof(target) - 1) {
		pack_warn(p, "changed meanwhile and is left out");
		return 0;
	}
	target[n] = '\0';
	pack_entry(p, TAR_SYMLINK, st, &e);
	e.link = target;
	return pack_head(p, -1, &e);
}

static int pack_special(struct packer *p, const struct stat *st)
{
	struct tar_entry e;

	if (S_ISSOCK(st->st_mode)) {
		pack_warn(p, "is a socket and is left out");
		return 0;
	}
	pack_entry(p,
		   S_ISFIFO(st->st_mode)  ? TAR_FIFO
		   : S_ISCHR(st->st_mode) ? TAR_CHAR
					  : TAR_BLOCK,
		   st, &e);
	return pack_head(p, -1, &e);
}

static int pack_one(struct packer *p, int dir, const char *name, const struct above *up);

static int pack_names(struct packer *p, DIR *d, const struct above *here)
{
	size_t len = p->path.len;
	struct dirent *e;
	int r = 0;

	while (r >= 0 && (errno = 0, e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		r = buf_addf(&p->path, "/%s", e->d_name);
		if (r < 0 || !buf_cstr(&p->path))
			return err_sys(p->err, ENAMETOOLONG, "cannot read below '%s'",
				       (char *)p->path.data);
		r = pack_one(p, dirfd(d), e->d_name, here);
		p->path.len = len;
		(void)buf_cstr(&p->path);
	}
	if (r >= 0 && errno)
		return err_sys(p->err, errno, "cannot list '%s'", (char *)p->path.data);
	return r;
}

static int pack_dir(struct packer *p, int fd, const struct stat *st, const struct above *up)
{
	struct above here = { up, st->st_dev, st->st_ino, up ? up->depth + 1 : 0 };
	struct tar_entry e;
	DIR *d;
	int r;

	for (const struct above *a = up; a; a = a->up) {
		if (a->dev != here.dev || a->ino != here.ino)
			continue;
		pack_warn(p, "is a folder that it lies in itself, and is left out");
		(void)close(fd);
		return 0;
	}
	d = here.depth < DEPTH_MAX ? fdopendir(fd) : NULL;
	if (!d) {
		r = err_sys(p->err, here.depth < DEPTH_MAX ? errno : ENAMETOOLONG,
			    "cannot list '%s'", (char *)p->path.data);
		(void)close(fd);
		return r;
	}
	pack_entry(p, TAR_DIR, st, &e);
	r = pack_head(p, fd, &e);
	if (r >= 0)
		r = pack_names(p, d, &here);
	(void)closedir(d);
	return r;
}

/* What can be opened without harm; *st is of what was opened. */
static int open_it(struct packer *p, int dir, const char *name, struct stat *st, int *ret_fd)
{
	int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (p->o->follow ? 0 : O_NOFOLLOW);
	mode_t type = st->st_mode & S_IFMT;
	AUTO_CLOSE int fd = openat(dir, name, flags | (S_ISDIR(type) ? O_DIRECTORY : 0));

	if (fd < 0 && errno != ENOENT && errno != ELOOP && errno != ENOTDIR)
		return err_sys(p->err, errno, "cannot open '%s'", (char *)p->path.data);
	if (fd < 0 || fstat(fd, st) < 0 || (st->st_mode & S_IFMT) != type) {
		pack_warn(p, "changed meanwhile and is left out");
		return 0;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int pack_regular(struct packer *p, int fd, const struct stat *st)
{
	const char *first;
	struct tar_entry e;
	int r = known_link(p, st, &first);

	if (r < 0)
		return r;
	if (!first)
		return pack_file(p, fd, st);
	pack_entry(p, TAR_LINK, st, &e);
	e.link = first;
	return pack_head(p, -1, &e);
}

static int pack_one(struct packer *p, int dir, const char *name, const struct above *up)
{
	AUTO_CLOSE int fd = -1;
	struct stat st;
	int r;

	if (fstatat(dir, name, &st, p->o->follow ? 0 : AT_SYMLINK_NOFOLLOW) < 0) {
		/* The top must be there; in a folder at work names come and go. */
		if (!up || errno != ENOENT)
			return err_sys(p->err, errno, "cannot read '%s'",
				       up ? (char *)p->path.data : name);
		pack_warn(p, "is gone, or a link to nothing, and is left out");
		return 0;
	}
	if (S_ISLNK(st.st_mode))
		return pack_symlink(p, dir, name, &st);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return pack_special(p, &st);
	r = open_it(p, dir, name, &st, &fd);
	if (r < 0 || fd < 0)
		return r;
	return S_ISDIR(st.st_mode) ? pack_dir(p, TAKE_FD(fd), &st, up) : pack_regular(p, fd, &st);
}

int tar_pack(int dir_fd, const char *name, const struct tar_pack_options *o,
	     const struct tar_sink *sink, struct err *err)
{
	static const char zeros[END_BYTES];
	AUTO_FREE struct packer *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return err_no_memory(err);
	p->o = o;
	p->to = sink;
	p->sink = (struct tar_sink){ .put = put, .user = p };
	p->err = err;
	buf_init(&p->path, PATH_BYTES);
	r = buf_add(&p->path, o->as, strlen(o->as));
	if (r < 0 || !buf_cstr(&p->path))
		r = err_no_memory(err);
	if (r >= 0)
		r = pack_one(p, dir_fd, name, NULL);
	if (r >= 0)
		r = put(p, zeros, sizeof(zeros), err);
	if (r >= 0)
		r = pack_flush(p);
	for (size_t i = 0; i < p->cap_links; i++)
		free(p->links[i].path);
	free(p->links);
	buf_done(&p->path);
	return r < 0 ? r : 0;
}
