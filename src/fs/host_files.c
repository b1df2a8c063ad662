/* SPDX-License-Identifier: Apache-2.0 */
/* Open files and folders of the host. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "fs/host.h"

#define READ_AHEAD (32u << 10) /* bytes of entries that one getdents64() takes */

int host_open_fd(struct host *h, int pinned, int flags)
{
	int how = flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	struct lift l = { .fd = -1 };
	struct stat st;
	int r;

	/* A pinned object does not change its type. */
	if (fstat(pinned, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return S_ISLNK(st.st_mode) ? -ELOOP : -ENXIO;
	do {
		r = openat(h->proc_fd, fd_name(pinned).s, how);
		if (r < 0)
			r = -errno;
	} while (r == -EACCES && lift(h, pinned, S_IRUSR | S_IWUSR, &l));
	lift_end(h, &l);
	return r;
}

int host_file_new(struct host *h, int fd, int flags, bool folder, struct fs_file **ret_file)
{
	AUTO_CLOSE int own = fd;
	AUTO_FREE struct host_file *f = calloc(1, sizeof(*f));
	AUTO_FREE char *buf = folder ? malloc(READ_AHEAD) : NULL;
	int r;

	if (!f || (folder && !buf))
		return -ENOMEM;
	r = -pthread_mutex_init(&f->lock, NULL);
	if (r < 0)
		return r;
	f->base.backend = &h->base;
	f->buf = TAKE_PTR(buf);
	f->fd = TAKE_FD(own);
	f->writable = (flags & O_ACCMODE) != O_RDONLY;
	*ret_file = &TAKE_PTR(f)->base;
	return 0;
}

int host_open(const struct fs_obj *o, int flags, bool kill_priv, struct fs_file **ret_file)
{
	int how = flags & (O_ACCMODE | O_TRUNC | O_SYNC | O_DSYNC);
	struct host *h = host_of(o);
	AUTO_CLOSE int fd = host_open_fd(h, o->fd, how);
	int r = 0;

	if (fd < 0)
		return TAKE_FD(fd);
	if (how & O_TRUNC)
		r = host_kill_priv(h, fd, kill_priv);
	return r < 0 ? r : host_file_new(h, TAKE_FD(fd), flags, false, ret_file);
}

int host_opendir(const struct fs_obj *o, struct fs_file **ret_file)
{
	struct host *h = host_of(o);
	int fd = host_open_fd(h, o->fd, O_RDONLY | O_DIRECTORY);

	return fd < 0 ? fd : host_file_new(h, fd, O_RDONLY, true, ret_file);
}

void host_close(struct fs_file *file)
{
	struct host_file *f = (struct host_file *)file;

	(void)close(f->fd);
	(void)pthread_mutex_destroy(&f->lock);
	free(f->buf);
	free(f);
}

ssize_t host_read(struct fs_file *f, const struct iovec *iov, int n, uint64_t off)
{
	ssize_t len = preadv(((struct host_file *)f)->fd, iov, n, (off_t)off);

	return len < 0 ? -errno : len;
}

ssize_t host_write(struct fs_file *file, const struct iovec *iov, int n, uint64_t off, unsigned how)
{
	struct host_file *f = (struct host_file *)file;
	struct host *h = (struct host *)file->backend;
	ssize_t len;
	int r;

	if (!f->writable)
		return -EBADF;
	/* Passed through, the host's kernel takes capabilities away. */
	if (!h->map.pass || (how & FS_WRITE_KILL_PRIV)) {
		r = host_kill_priv(h, f->fd, how & FS_WRITE_KILL_PRIV);
		if (r < 0)
			return r;
	}
	len = pwritev2(f->fd, iov, n, (off_t)off, how & FS_WRITE_APPEND ? RWF_APPEND : 0);
	return len < 0 ? -errno : len;
}

int host_flush(struct fs_file *file)
{
	const struct host_file *f = (struct host_file *)file;
	int fd;

	if (!f->writable)
		return 0;
	/* Network file systems tell of failed writes at close. */
	fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	return close(fd) < 0 && errno != EINTR ? -errno : 0;
}

int host_fsync(struct fs_file *file, bool data_only)
{
	const struct host_file *f = (struct host_file *)file;

	return (data_only ? fdatasync(f->fd) : fsync(f->fd)) < 0 ? -errno : 0;
}

int host_fallocate(struct fs_file *f, int mode, uint64_t off, uint64_t len)
{
	int fd = ((struct host_file *)f)->fd;

	return fallocate(fd, mode, (off_t)off, (off_t)len) < 0 ? -errno : 0;
}

int64_t host_lseek(struct fs_file *f, uint64_t off, int whence)
{
	off_t at = lseek(((struct host_file *)f)->fd, (off_t)off, whence);

	return at < 0 ? -errno : at;
}

ssize_t host_copy(struct fs_file *in, uint64_t off_in, struct fs_file *out, uint64_t off_out,
		  size_t len)
{
	off_t from = (off_t)off_in, to = (off_t)off_out;
	ssize_t n = copy_file_range(((struct host_file *)in)->fd, &from,
				    ((struct host_file *)out)->fd, &to, len, 0);

	return n < 0 ? -errno : n;
}

/* The hidden folder is left out of listings. */
static bool listed(const struct host *h, int fd, const struct dirent64 *d)
{
	struct stat st;

	if (!h->hide_set || d->d_ino != h->hide_ino)
		return true;
	return fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != h->hide_dev ||
	       st.st_ino != h->hide_ino;
}

int host_readdir(struct fs_file *file, uint64_t off, fs_emit_fn emit, void *user)
{
	const struct host *h = (struct host *)file->backend;
	struct host_file *f = (struct host_file *)file;
	int r = 0;

	pthread_mutex_lock(&f->lock);
	if (off != f->next || off == 0) {
		f->pos = f->len = 0;
		f->next = off;
		if (lseek(f->fd, (off_t)off, SEEK_SET) < 0)
			r = -errno;
	}
	while (r == 0) {
		const struct dirent64 *d;

		if (f->pos == f->len) {
			ssize_t n = getdents64(f->fd, f->buf, READ_AHEAD);

			f->pos = 0;
			f->len = n > 0 ? (size_t)n : 0;
			if (n < 0)
				r = -errno;
			if (n <= 0)
				break;
		}
		d = (const struct dirent64 *)(const void *)(f->buf + f->pos);
		if (listed(h, f->fd, d) && !emit(user, d->d_name, strlen(d->d_name), d->d_ino,
						 DTTOIF(d->d_type), (uint64_t)d->d_off))
			break;
		f->pos += d->d_reclen;
		f->next = (uint64_t)d->d_off;
	}
	pthread_mutex_unlock(&f->lock);
	return r;
}
