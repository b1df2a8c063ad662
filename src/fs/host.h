/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_HOST_H
#define FS_HOST_H

#include "fs/internal.h"
#include "fs/owner.h"

/* The passthrough back end, shared by passthrough.c, host_attr.c and host_files.c. */
struct host {
	struct fs_backend base;
	struct owner_map map;
	int proc_fd; /* owned: /proc/self/fd, O_PATH; of this process, so not across fork() */
	bool hide_set;
	uint64_t hide_dev, hide_ino;
	struct owner_mem mem;
	pthread_mutex_t lift_lock; /* recursive; held from lift() to lift_end() */
};

struct host_file {
	struct fs_file base;
	int fd; /* owned */
	bool writable;
	pthread_mutex_t lock; /* folders: of what follows */
	char *buf;	      /* owned: entries read ahead; NULL for files */
	size_t pos, len;
	uint64_t next; /* offset of the entry at pos */
};

/* An entry as it is on the host and as the guest sees it. */
struct host_stat {
	struct stat host, view;
	uint64_t btime_ns;
};

static inline struct host *host_of(const struct fs_obj *o)
{
	return (struct host *)o->backend;
}

/* The decimal name of a descriptor, as in /proc/self/fd. */
struct fd_name {
	char s[32];
};
struct fd_name fd_name(int fd);
/* "/proc/self/fd/N": for the calls on attributes, which know no folder descriptor. */
struct fd_name fd_path(int fd);

/*
 * Guest root passes the mode bits of the host user's files: a call that failed by EACCES is
 * done again while the owner has the bits @need.
 *
 *	struct lift l = { .fd = -1 };
 *	do
 *		r = call();
 *	while (r == -EACCES && lift(h, fd, S_IWUSR, &l));
 *	lift_end(h, &l);
 *
 * One at a time: of two that lift the same bits, the later would restore the wrong ones.
 */
struct lift {
	int fd; /* borrowed; -1: nothing lifted */
	mode_t mode;
};
bool lift(struct host *h, int fd, mode_t need, struct lift *l);
void lift_end(struct host *h, struct lift *l);

/* host_attr.c */
MUST_CHECK int host_stat(struct host *h, int fd, struct host_stat *ret);
/* Let the guest see @want of the entry @fd, whose permission bits become @host_mode. */
MUST_CHECK int host_set_view(struct host *h, int fd, const struct host_stat *now,
			     const struct stat *want, mode_t host_mode);
/* A write to @fd, which is open: set-id bits if @set_id, and file capabilities go. */
MUST_CHECK int host_kill_priv(struct host *h, int fd, bool set_id);
int host_getattr(const struct fs_obj *o, struct stat *ret_st);
int host_setattr(const struct fs_obj *o, struct fs_file *f, const struct fs_set *set,
		 struct stat *ret_st);
int host_statfs(const struct fs_obj *o, struct statfs *ret);
int host_syncfs(const struct fs_obj *o);
ssize_t host_getxattr(const struct fs_obj *o, const char *name, void *buf, size_t size);
ssize_t host_listxattr(const struct fs_obj *o, char *buf, size_t size);
int host_setxattr(const struct fs_obj *o, const char *name, const void *value, size_t size,
		  int flags);
int host_removexattr(const struct fs_obj *o, const char *name);

/* host_files.c */
/* Open a regular file or folder for I/O; anything else is refused. -errno or a descriptor. */
MUST_CHECK int host_open_fd(struct host *h, int fd, int flags);
/* @fd is owned from the call on, also on failure. */
MUST_CHECK int host_file_new(struct host *h, int fd, int flags, bool folder,
			     struct fs_file **ret_file);
int host_open(const struct fs_obj *o, int flags, bool kill_priv, struct fs_file **ret_file);
int host_opendir(const struct fs_obj *o, struct fs_file **ret_file);
void host_close(struct fs_file *f);
ssize_t host_read(struct fs_file *f, const struct iovec *iov, int n, uint64_t off);
ssize_t host_write(struct fs_file *f, const struct iovec *iov, int n, uint64_t off, unsigned how);
int host_flush(struct fs_file *f);
int host_fsync(struct fs_file *f, bool data_only);
int host_fallocate(struct fs_file *f, int mode, uint64_t off, uint64_t len);
int64_t host_lseek(struct fs_file *f, uint64_t off, int whence);
ssize_t host_copy(struct fs_file *in, uint64_t off_in, struct fs_file *out, uint64_t off_out,
		  size_t len);
int host_readdir(struct fs_file *f, uint64_t off, fs_emit_fn emit, void *user);

#endif /* FS_HOST_H */
