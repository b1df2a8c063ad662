/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: a folder of the host
 *
 * Every object is a pinned O_PATH descriptor.  A name is opened relative to its parent's by
 * openat2(), one part at a time, and no link is followed: the guest cannot name what it was
 * not shown, nor get out by swapping a folder for a link.  Only regular files and folders are
 * opened for I/O, again through their pinned descriptor (/proc/self/fd), so that what is
 * opened is what was looked at.
 *
 * One folder may be hidden (MSB_HOME), by identity, whatever name it has.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "fs/host.h"

struct fd_name fd_name(int fd)
{
	struct fd_name n;

	snprintf(n.s, sizeof(n.s), "%d", fd);
	return n;
}

struct fd_name fd_path(int fd)
{
	struct fd_name n;

	snprintf(n.s, sizeof(n.s), "/proc/self/fd/%d", fd);
	return n;
}

bool lift(struct host *h, int fd, mode_t need, struct lift *l)
{
	struct stat st;

	if (l->fd >= 0 || h->map.host_uid == 0)
		return false;
	pthread_mutex_lock(&h->lift_lock);
	if (fstat(fd, &st) < 0 || st.st_uid != h->map.host_uid || (st.st_mode & need) == need ||
	    (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) ||
	    fchmodat(h->proc_fd, fd_name(fd).s, (st.st_mode & 07777) | need, 0) < 0) {
		pthread_mutex_unlock(&h->lift_lock);
		return false;
	}
	l->fd = fd;
	l->mode = st.st_mode & 07777;
	return true;
}

void lift_end(struct host *h, struct lift *l)
{
	if (l->fd < 0)
		return;
	IGNORE_RESULT(fchmodat(h->proc_fd, fd_name(l->fd).s, l->mode, 0)); /* or it stays */
	l->fd = -1;
	pthread_mutex_unlock(&h->lift_lock);
}

static bool is_hidden(const struct host *h, uint64_t dev, uint64_t ino)
{
	return h->hide_set && dev == h->hide_dev && ino == h->hide_ino;
}

/* -ENOENT if the name is that of the hidden folder. */
static int check_hidden(const struct host *h, const struct fs_obj *dir, const char *name)
{
	struct stat st;

	if (!h->hide_set || fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return is_hidden(h, st.st_dev, st.st_ino) ? -ENOENT : 0;
}

static int open_name(struct host *h, const struct fs_obj *dir, const char *name)
{
	struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	struct lift l = { .fd = -1 };
	int r;

	do {
		r = (int)syscall(SYS_openat2, dir->fd, name, &how, sizeof(how));
		if (r < 0)
			r = -errno;
	} while (r == -EACCES && lift(h, dir->fd, S_IXUSR, &l));
	lift_end(h, &l);
	return r;
}

/* @fd, owned from the call on, as an object. */
static int obj_from_fd(struct host *h, int fd, struct fs_obj *ret, struct host_stat *ret_st)
{
	AUTO_CLOSE int own = fd;
	int r = host_stat(h, fd, ret_st);

	if (r < 0)
		return r;
	if (is_hidden(h, ret_st->host.st_dev, ret_st->host.st_ino))
		return -ENOENT;
	*ret = (struct fs_obj){
		.backend = &h->base,
		.dev = ret_st->host.st_dev,
		.ino = ret_st->host.st_ino,
		.btime_ns = ret_st->btime_ns,
		.fd = TAKE_FD(own),
	};
	return 0;
}

static int lookup(const struct fs_obj *dir, const char *name, struct fs_obj *ret,
		  struct host_stat *ret_st)
{
	struct host *h = host_of(dir);
	int fd = open_name(h, dir, name);

	return fd < 0 ? fd : obj_from_fd(h, fd, ret, ret_st);
}

static int host_lookup(const struct fs_obj *dir, const char *name, struct fs_obj *ret,
		       struct stat *ret_st)
{
	struct host_stat st;
	int r = lookup(dir, name, ret, &st);

	if (r == 0)
		*ret_st = st.view;
	return r;
}

static void host_put(struct fs_obj *o)
{
	if (o->fd >= 0)
		(void)close(o->fd);
	o->fd = -1;
}

static ssize_t host_readlink(const struct fs_obj *o, char *buf, size_t size)
{
	ssize_t n = readlinkat(o->fd, "", buf, size);

	if (n < 0)
		return errno == ENOENT ? -EINVAL : -errno; /* ENOENT: not a link */
	return (size_t)n == size ? -ENAMETOOLONG : n;
}

/* What the guest shall see of a new entry: owner and mode, as a folder with set-gid has it. */
static int want_of(struct host *h, const struct fs_obj *dir, const struct fs_new *args,
		   struct stat *want)
{
	struct host_stat parent;
	int r = host_stat(h, dir->fd, &parent);

	if (r < 0)
		return r;
	*want = (struct stat){
		.st_mode = args->mode,
		.st_rdev = args->rdev,
		.st_uid = args->uid,
		.st_gid = args->gid,
	};
	if (parent.view.st_mode & S_ISGID) {
		want->st_gid = parent.view.st_gid;
		if (S_ISDIR(args->mode))
			want->st_mode |= S_ISGID;
	}
	return 0;
}

/* A new entry gets owner and mode. */
static int finish_new(struct host *h, int fd, const struct stat *want, struct host_stat *st)
{
	int r;

	if (h->map.pass && (want->st_uid != st->host.st_uid || want->st_gid != st->host.st_gid) &&
	    fchownat(fd, "", want->st_uid, want->st_gid, AT_EMPTY_PATH) < 0)
		return -errno;
	r = host_set_view(h, fd, st, want, owner_host_mode(&h->map, want->st_mode));
	return r < 0 ? r : host_stat(h, fd, st);
}

static int make_at(int dir_fd, const char *name, const struct fs_new *args, mode_t mode)
{
	mode_t type = args->mode & S_IFMT;
	int r;

	switch (type) {
	case S_IFDIR:
		r = mkdirat(dir_fd, name, mode);
		break;
	case S_IFLNK:
		r = symlinkat(args->target, dir_fd, name);
		break;
	case S_IFCHR:
	case S_IFBLK:
		/* 0:0 is a whiteout and can do no harm; others are an empty file with a record. */
		r = type == S_IFCHR && args->rdev == 0
			    ? mknodat(dir_fd, name, S_IFCHR | (args->mode & 0777), 0)
			    : mknodat(dir_fd, name, S_IFREG | mode, 0);
		break;
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK:
		r = mknodat(dir_fd, name, type | mode, 0);
		break;
	default:
		return -EINVAL;
	}
	return r < 0 ? -errno : 0;
}

static int host_make(const struct fs_obj *dir, const char *name, const struct fs_new *args,
		     struct fs_obj *ret, struct stat *ret_st)
{
	struct host *h = host_of(dir);
	struct lift l = { .fd = -1 };
	struct host_stat st;
	struct fs_obj obj;
	struct stat want;
	int r = want_of(h, dir, args, &want);

	if (r < 0)
		return r;
	do
		r = make_at(dir->fd, name, args, owner_host_mode(&h->map, args->mode) & 0777);
	while (r == -EACCES && lift(h, dir->fd, S_IWUSR | S_IXUSR, &l));
	lift_end(h, &l);
	if (r < 0)
		return r;
	r = lookup(dir, name, &obj, &st);
	if (r < 0)
		return r;
	r = finish_new(h, obj.fd, &want, &st);
	if (r < 0) {
		(void)unlinkat(dir->fd, name, S_ISDIR(args->mode) ? AT_REMOVEDIR : 0);
		host_put(&obj);
		return r;
	}
	*ret = obj;
	*ret_st = st.view;
	return 0;
}

/* The name exists: open it as LOOKUP and OPEN would. */
static int open_existing(const struct fs_obj *dir, const char *name, int flags, struct fs_obj *ret,
			 struct stat *ret_st, struct fs_file **ret_file)
{
	struct fs_obj obj;
	int r = host_lookup(dir, name, &obj, ret_st);

	if (r < 0)
		return r;
	r = host_open(&obj, flags & ~(O_CREAT | O_EXCL), false, ret_file);
	if (r == 0)
		r = host_getattr(&obj, ret_st); /* O_TRUNC changed it */
	if (r < 0)
		host_put(&obj);
	else
		*ret = obj;
	return r;
}

static int host_create(const struct fs_obj *dir, const char *name, const struct fs_new *args,
		       int flags, struct fs_obj *ret, struct stat *ret_st,
		       struct fs_file **ret_file)
{
	int how = (flags & (O_ACCMODE | O_SYNC | O_DSYNC)) | O_CREAT | O_EXCL | O_NOFOLLOW |
		  O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	struct host *h = host_of(dir);
	struct lift l = { .fd = -1 };
	AUTO_CLOSE int fd = -1;
	struct fs_obj obj = { .fd = -1 };
	struct host_stat st = { 0 };
	struct stat want;
	int r = want_of(h, dir, args, &want);

	if (r < 0)
		return r;
	do {
		fd = openat(dir->fd, name, how, owner_host_mode(&h->map, args->mode) & 0777);
		r = fd < 0 ? -errno : 0;
	} while (r == -EACCES && lift(h, dir->fd, S_IWUSR | S_IXUSR, &l));
	lift_end(h, &l);
	if (r == -EEXIST && !(flags & O_EXCL))
		return open_existing(dir, name, flags, ret, ret_st, ret_file);
	if (r < 0)
		return r;
	r = openat(h->proc_fd, fd_name(fd).s, O_PATH | O_CLOEXEC); /* the same, pinned */
	r = r < 0 ? -errno : obj_from_fd(h, r, &obj, &st);
	if (r < 0)
		return r;
	r = finish_new(h, obj.fd, &want, &st);
	if (r < 0)
		(void)unlinkat(dir->fd, name, 0);
	else
		r = host_file_new(h, TAKE_FD(fd), flags, false, ret_file);
	if (r < 0) {
		host_put(&obj);
		return r;
	}
	*ret = obj;
	*ret_st = st.view;
	return 0;
}

static int host_unlink(const struct fs_obj *dir, const char *name, bool folder)
{
	struct host *h = host_of(dir);
	struct lift l = { .fd = -1 };
	int r = check_hidden(h, dir, name);

	if (r < 0)
		return r;
	do
		r = unlinkat(dir->fd, name, folder ? AT_REMOVEDIR : 0) < 0 ? -errno : 0;
	while (r == -EACCES && lift(h, dir->fd, S_IWUSR | S_IXUSR, &l));
	lift_end(h, &l);
	return r;
}

static int host_rename(const struct fs_obj *dir, const char *name, const struct fs_obj *new_dir,
		       const char *new_name, unsigned flags)
{
	struct lift from = { .fd = -1 }, to = { .fd = -1 };
	struct host *h = host_of(dir);
	int r = check_hidden(h, dir, name);

	if (r == 0 && check_hidden(h, new_dir, new_name) < 0)
		r = -EBUSY;
	if (r < 0)
		return r;
	do
		r = renameat2(dir->fd, name, new_dir->fd, new_name, flags) < 0 ? -errno : 0;
	while (r == -EACCES && (lift(h, dir->fd, S_IWUSR | S_IXUSR, &from) ||
				lift(h, new_dir->fd, S_IWUSR | S_IXUSR, &to)));
	lift_end(h, &to);
	lift_end(h, &from);
	return r;
}

static int host_link(const struct fs_obj *o, const struct fs_obj *dir, const char *name,
		     struct stat *ret_st)
{
	struct host *h = host_of(dir);
	struct lift l = { .fd = -1 };
	int r;

	do
		r = linkat(h->proc_fd, fd_name(o->fd).s, dir->fd, name, AT_SYMLINK_FOLLOW) < 0
			    ? -errno
			    : 0;
	while (r == -EACCES && lift(h, dir->fd, S_IWUSR | S_IXUSR, &l));
	lift_end(h, &l);
	return r < 0 ? r : host_getattr(o, ret_st);
}

static void host_free(struct fs_backend *b)
{
	struct host *h = (struct host *)b;

	(void)close(h->proc_fd);
	owner_mem_done(&h->mem);
	(void)pthread_mutex_destroy(&h->lift_lock);
	free(h);
}

static const struct fs_ops passthrough_ops = {
	.free = host_free,
	.lookup = host_lookup,
	.put = host_put,
	.getattr = host_getattr,
	.setattr = host_setattr,
	.readlink = host_readlink,
	.make = host_make,
	.create = host_create,
	.unlink = host_unlink,
	.rename = host_rename,
	.link = host_link,
	.open = host_open,
	.opendir = host_opendir,
	.close = host_close,
	.read = host_read,
	.write = host_write,
	.flush = host_flush,
	.fsync = host_fsync,
	.fallocate = host_fallocate,
	.lseek = host_lseek,
	.copy = host_copy,
	.readdir = host_readdir,
	.statfs = host_statfs,
	.syncfs = host_syncfs,
	.getxattr = host_getxattr,
	.listxattr = host_listxattr,
	.setxattr = host_setxattr,
	.removexattr = host_removexattr,
};

static int init_recursive(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attr;
	int r = pthread_mutexattr_init(&attr);

	if (r != 0)
		return -r;
	r = pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	if (r == 0)
		r = pthread_mutex_init(lock, &attr);
	(void)pthread_mutexattr_destroy(&attr);
	return -r;
}

int passthrough_new(const struct fs_mount *mount, struct fs_backend **ret_backend,
		    struct fs_obj *ret_root)
{
	struct host *h = calloc(1, sizeof(*h));
	struct host_stat st = { 0 };
	int r;

	if (!h)
		return -ENOMEM;
	h->base.ops = &passthrough_ops;
	h->base.read_only = mount->read_only;
	h->map = owner_map_for(geteuid(), getegid(), mount->uid, mount->gid);
	h->hide_set = mount->hide_set;
	h->hide_dev = mount->hide_dev;
	h->hide_ino = mount->hide_ino;
	r = owner_mem_init(&h->mem);
	if (r < 0) {
		free(h);
		return r;
	}
	r = init_recursive(&h->lift_lock);
	if (r < 0) {
		owner_mem_done(&h->mem);
		free(h);
		return r;
	}
	h->proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = h->proc_fd < 0 ? -errno : host_stat(h, mount->dir_fd, &st);
	if (r == 0 && !S_ISDIR(st.host.st_mode))
		r = -ENOTDIR;
	if (r < 0) {
		host_free(&h->base);
		return r;
	}
	*ret_root = (struct fs_obj){
		.backend = &h->base,
		.dev = st.host.st_dev,
		.ino = st.host.st_ino,
		.btime_ns = st.btime_ns,
		.fd = mount->dir_fd,
	};
	*ret_backend = &h->base;
	return 0;
}
