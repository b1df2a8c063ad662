/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes of host entries: owner and mode by records, times, sizes, extended attributes. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/clock.h"
#include "fs/host.h"

#define HIDDEN_PREFIX "user.msb."
#define KEPT_PREFIX   "user.msb.x." /* in front of the name that the guest gave */
#define CAPABILITY    KEPT_PREFIX "security.capability"
#define LIST_MAX      (64u << 10) /* Linux XATTR_LIST_MAX, bytes */

static struct timespec time_of(const struct statx_timestamp *t)
{
	return (struct timespec){ .tv_sec = t->tv_sec, .tv_nsec = t->tv_nsec };
}

static int stat_host(int fd, struct host_stat *ret)
{
	struct statx x;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &x) < 0)
		return -errno;
	ret->host = (struct stat){
		.st_dev = makedev(x.stx_dev_major, x.stx_dev_minor),
		.st_ino = x.stx_ino,
		.st_mode = x.stx_mode,
		.st_nlink = x.stx_nlink,
		.st_uid = x.stx_uid,
		.st_gid = x.stx_gid,
		.st_rdev = makedev(x.stx_rdev_major, x.stx_rdev_minor),
		.st_size = (off_t)x.stx_size,
		.st_blksize = (blksize_t)x.stx_blksize,
		.st_blocks = (blkcnt_t)x.stx_blocks,
		.st_atim = time_of(&x.stx_atime),
		.st_mtim = time_of(&x.stx_mtime),
		.st_ctim = time_of(&x.stx_ctime),
	};
	ret->btime_ns = x.stx_mask & STATX_BTIME
				? (uint64_t)x.stx_btime.tv_sec * NS_PER_S + x.stx_btime.tv_nsec
				: 0;
	return 0;
}

static struct owner_key key_of(const struct host_stat *st)
{
	return (struct owner_key){ st->host.st_dev, st->host.st_ino, st->btime_ns };
}

/* Others cannot have user attributes (Linux, xattr(7)). */
static bool has_xattrs(const struct stat *st)
{
	return S_ISREG(st->st_mode) || S_ISDIR(st->st_mode);
}

static bool read_record(struct host *h, int fd, const struct host_stat *st,
			struct owner_record *ret)
{
	uint8_t buf[OWNER_RECORD_SIZE];
	struct owner_key key = key_of(st);
	ssize_t n;

	/* Passed through: only devices have one, and they are empty files. */
	if (h->map.pass && (!S_ISREG(st->host.st_mode) || st->host.st_size > 0))
		return false;
	if (has_xattrs(&st->host)) {
		n = getxattr(fd_path(fd).s, OWNER_XATTR, buf, sizeof(buf));
		if (n >= 0)
			return owner_decode(buf, (size_t)n, ret) == 0;
		if (errno != EOPNOTSUPP)
			return false;
	}
	return owner_mem_get(&h->mem, &key, ret);
}

int host_stat(struct host *h, int fd, struct host_stat *ret)
{
	struct owner_record rec;
	bool found;
	int r = stat_host(fd, ret);

	if (r < 0)
		return r;
	found = read_record(h, fd, ret, &rec);
	ret->view = ret->host;
	owner_view(&h->map, found ? &rec : NULL, &ret->view);
	return 0;
}

/* setxattr(), or removexattr() if @value is NULL, also of what the host user may not write. */
static int change_xattr(struct host *h, int fd, const char *name, const void *value, size_t size,
			int flags)
{
	struct lift l = { .fd = -1 };
	int r;

	do {
		r = value ? setxattr(fd_path(fd).s, name, value, size, flags)
			  : removexattr(fd_path(fd).s, name);
		if (r < 0)
			r = -errno;
	} while (r == -EACCES && lift(h, fd, S_IRUSR | S_IWUSR, &l));
	lift_end(h, &l);
	return r;
}

static int write_record(struct host *h, int fd, const struct host_stat *st,
			const struct owner_record *rec)
{
	uint8_t buf[OWNER_RECORD_SIZE];
	struct owner_key key = key_of(st);
	int r;

	if (has_xattrs(&st->host)) {
		if (rec)
			owner_encode(rec, buf);
		r = change_xattr(h, fd, OWNER_XATTR, rec ? buf : NULL, sizeof(buf), 0);
		if (r == -ENODATA && !rec)
			return 0;
		if (r != -EOPNOTSUPP)
			return r;
	}
	return owner_mem_set(&h->mem, &key, rec);
}

int host_set_view(struct host *h, int fd, const struct host_stat *now, const struct stat *want,
		  mode_t host_mode)
{
	struct owner_record rec;
	mode_t has = now->host.st_mode & 07777;
	bool need, had;
	int r = 0;

	/* A whiteout: nobody looks at more than its type, and there may be very many. */
	if (S_ISCHR(now->host.st_mode))
		return 0;
	if (S_ISLNK(now->host.st_mode))
		host_mode = has;
	/* chown by the host's root takes set-id bits away: they are put back. */
	if ((host_mode != has || (h->map.pass && (host_mode & 06000))) &&
	    !S_ISLNK(now->host.st_mode) && fchmodat(h->proc_fd, fd_name(fd).s, host_mode, 0) < 0)
		return -errno;
	need = owner_record_for(&h->map, &now->host, host_mode, want, &rec);
	if (need)
		r = write_record(h, fd, now, &rec);
	else {
		had = read_record(h, fd, now, &rec);
		if (had)
			r = write_record(h, fd, now, NULL);
	}
	return r;
}

int host_getattr(const struct fs_obj *o, struct stat *ret_st)
{
	struct host_stat st = { 0 };
	int r = host_stat(host_of(o), o->fd, &st);

	if (r == 0)
		*ret_st = st.view;
	return r;
}

/* The guest may change owner and mode of what the host user owns. */
static int set_owner_mode(struct host *h, int fd, const struct fs_set *set)
{
	mode_t host_mode;
	struct host_stat st = { 0 };
	struct stat want;
	int r = host_stat(h, fd, &st);

	if (r < 0)
		return r;
	want = st.view;
	host_mode = st.host.st_mode & 07777;
	if (set->what & FS_SET_UID)
		want.st_uid = set->uid;
	if (set->what & FS_SET_GID)
		want.st_gid = set->gid;
	if (set->what & (FS_SET_UID | FS_SET_GID))
		want.st_mode = owner_kill_priv(want.st_mode);
	if (set->what & FS_SET_MODE)
		want.st_mode = (want.st_mode & S_IFMT) | (set->mode & 07777);
	/* A mode that was kept as it is on the host stays so: chown changes nothing there. */
	if ((set->what & FS_SET_MODE) || want.st_mode != st.view.st_mode)
		host_mode = owner_host_mode(&h->map, want.st_mode);
	if (!h->map.pass && st.host.st_uid != h->map.host_uid)
		return want.st_uid == st.view.st_uid && want.st_gid == st.view.st_gid &&
				       want.st_mode == st.view.st_mode
			       ? 0
			       : -EPERM;
	if (h->map.pass && (set->what & (FS_SET_UID | FS_SET_GID)) &&
	    fchownat(fd, "", want.st_uid, want.st_gid, AT_EMPTY_PATH) < 0)
		return -errno;
	if (!h->map.pass && S_ISREG(st.host.st_mode) && (set->what & (FS_SET_UID | FS_SET_GID)))
		IGNORE_RESULT(change_xattr(h, fd, CAPABILITY, NULL, 0, 0)); /* mostly ENODATA */
	return host_set_view(h, fd, &st, &want, host_mode);
}

int host_kill_priv(struct host *h, int fd, bool set_id)
{
	struct host_stat st = { 0 };
	mode_t mode;
	int r = stat_host(fd, &st);

	if (r < 0)
		return r;
	/* Neither set-id bits nor capabilities mean anything on what cannot be executed. */
	if (!S_ISREG(st.host.st_mode) || !(st.host.st_mode & 0111))
		return 0;
	if (!h->map.pass)
		IGNORE_RESULT(change_xattr(h, fd, CAPABILITY, NULL, 0, 0)); /* mostly ENODATA */
	if (!set_id)
		return 0;
	r = host_stat(h, fd, &st);
	if (r < 0)
		return r;
	mode = owner_kill_priv(st.view.st_mode);
	if (mode == st.view.st_mode)
		return 0;
	st.view.st_mode = mode;
	return host_set_view(h, fd, &st, &st.view, owner_host_mode(&h->map, mode));
}

static int set_size(struct host *h, const struct fs_obj *o, struct host_file *f,
		    const struct fs_set *set)
{
	AUTO_CLOSE int own = -1;
	int fd, r;

	if (f) {
		fd = f->fd;
	} else {
		own = host_open_fd(h, o->fd, O_WRONLY);
		if (own < 0)
			return own;
		fd = own;
	}
	if (ftruncate(fd, (off_t)set->size) < 0)
		return -errno;
	r = host_kill_priv(h, fd, set->what & FS_SET_KILL_PRIV);
	return r;
}

int host_setattr(const struct fs_obj *o, struct fs_file *f, const struct fs_set *set,
		 struct stat *ret_st)
{
	struct host *h = host_of(o);
	int r = 0;

	if (set->what & (FS_SET_UID | FS_SET_GID | FS_SET_MODE))
		r = set_owner_mode(h, o->fd, set);
	if (r == 0 && (set->what & FS_SET_SIZE))
		r = set_size(h, o, (struct host_file *)f, set);
	if (r == 0 && (set->what & FS_SET_TIMES) &&
	    utimensat(o->fd, "", set->times, AT_EMPTY_PATH) < 0)
		r = -errno;
	return r < 0 ? r : host_getattr(o, ret_st);
}

int host_statfs(const struct fs_obj *o, struct statfs *ret)
{
	return fstatfs(o->fd, ret) < 0 ? -errno : 0;
}

int host_syncfs(const struct fs_obj *o)
{
	AUTO_CLOSE int fd = host_open_fd(host_of(o), o->fd, O_RDONLY);

	if (fd < 0)
		return fd;
	return syncfs(fd) < 0 ? -errno : 0;
}

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

/* The name of a guest's attribute on the host; @kept: under the name in which we keep it. */
static int host_name(const struct host *h, const char *name, bool kept, char *buf, size_t size)
{
	int n;

	if (starts_with(name, HIDDEN_PREFIX))
		return -EPERM;
	if (starts_with(name, "user."))
		kept = false;
	else if (!starts_with(name, "trusted.") && !starts_with(name, "security.") &&
		 !starts_with(name, "system.posix_acl_"))
		return -EOPNOTSUPP;
	n = snprintf(buf, size, "%s%s", kept ? KEPT_PREFIX : "", name);
	return n < 0 || (size_t)n >= size ? -ERANGE : 0;
}

/* Whether to try the next of the two names. */
static bool other_name(const struct host *h, int r)
{
	return h->map.pass && (r == -EPERM || r == -EOPNOTSUPP || r == -ENODATA);
}

ssize_t host_getxattr(const struct fs_obj *o, const char *name, void *buf, size_t size)
{
	struct host *h = host_of(o);
	char real[FS_NAME_LEN_MAX + 1];
	ssize_t n = -ENODATA;

	for (int kept = !h->map.pass; kept < 2; kept++) {
		int r = host_name(h, name, kept, real, sizeof(real));

		if (r < 0)
			return r == -EPERM || r == -ERANGE ? -ENODATA : r;
		n = getxattr(fd_path(o->fd).s, real, buf, size);
		if (n < 0)
			n = -errno;
		if (n >= 0 || !other_name(h, (int)n))
			return n;
	}
	return n == -EPERM ? -ENODATA : n;
}

int host_setxattr(const struct fs_obj *o, const char *name, const void *value, size_t size,
		  int flags)
{
	struct host *h = host_of(o);
	char real[FS_NAME_LEN_MAX + 1];
	int r = -EOPNOTSUPP;

	for (int kept = !h->map.pass; kept < 2; kept++) {
		r = host_name(h, name, kept, real, sizeof(real));
		if (r < 0)
			return r;
		r = change_xattr(h, o->fd, real, value, size, flags);
		if (r != -EPERM && r != -EOPNOTSUPP)
			return r;
	}
	return r;
}

int host_removexattr(const struct fs_obj *o, const char *name)
{
	struct host *h = host_of(o);
	char real[FS_NAME_LEN_MAX + 1];
	int r = -ENODATA;

	for (int kept = !h->map.pass; kept < 2; kept++) {
		r = host_name(h, name, kept, real, sizeof(real));
		if (r < 0)
			return r;
		r = change_xattr(h, o->fd, real, NULL, 0, 0);
		if (!other_name(h, r))
			return r;
	}
	return r;
}

/* The name that the guest sees, NULL if it sees none. */
static const char *guest_name(const struct host *h, const char *name)
{
	if (starts_with(name, KEPT_PREFIX))
		return name + strlen(KEPT_PREFIX);
	if (starts_with(name, HIDDEN_PREFIX))
		return NULL;
	return h->map.pass || starts_with(name, "user.") ? name : NULL;
}

ssize_t host_listxattr(const struct fs_obj *o, char *buf, size_t size)
{
	AUTO_FREE char *all = malloc(LIST_MAX);
	struct host *h = host_of(o);
	size_t len = 0;
	ssize_t n;

	if (!all)
		return -ENOMEM;
	n = listxattr(fd_path(o->fd).s, all, LIST_MAX);
	if (n < 0)
		return errno == EOPNOTSUPP ? 0 : -errno;
	for (char *name = all; name < all + n; name += strlen(name) + 1) {
		const char *seen = guest_name(h, name);
		size_t part;

		if (!seen)
			continue;
		part = strlen(seen) + 1;
		if (size > 0 && part > size - len)
			return -ERANGE;
		if (size > 0)
			memcpy(buf + len, seen, part);
		len += part;
	}
	return (ssize_t)len;
}
