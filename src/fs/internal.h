/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_INTERNAL_H
#define FS_INTERNAL_H

#include <linux/fuse.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/err.h"
#include "fs/fs.h"

/*
 * Inside the file server.  The server (server.c, names.c, files.c, attr.c) speaks FUSE and
 * keeps the tables of what the guest knows (nodes.c).  Back ends know no FUSE: they serve
 * `struct fs_ops` on objects and files.  There are two: the synthetic root (synth.c) and the
 * folder of the host (passthrough.c, host_*.c, owner.c).
 */

#define FS_NAME_LEN_MAX 255  /* bytes of one name, Linux NAME_MAX */
#define FS_MAX_IOV	1024 /* vectors of one request, IOV_MAX */

/* ---- back ends ---- */

struct fs_ops;

/* One mount. */
struct fs_backend {
	const struct fs_ops *ops;
	bool read_only; /* the server refuses every change before it calls a back end */
};

/* An object of a back end, pinned: it stays the same object whatever happens to its names. */
struct fs_obj {
	struct fs_backend *backend;  /* borrowed */
	uint64_t dev, ino, btime_ns; /* identity within the backend */
	int fd;			     /* passthrough: O_PATH, owned; -1 in other back ends */
};

/* An open file or folder; embedded first in the back end's own struct. */
struct fs_file {
	struct fs_backend *backend; /* borrowed */
};

/* What is to be made. */
struct fs_new {
	mode_t mode; /* with type; umask already applied */
	dev_t rdev;
	uint32_t uid, gid;
	const char *target; /* symlink; borrowed */
};

enum fs_set_what {
	FS_SET_MODE = 1,
	FS_SET_UID = 2,
	FS_SET_GID = 4,
	FS_SET_SIZE = 8,
	FS_SET_TIMES = 16,
	FS_SET_KILL_PRIV = 32, /* with SIZE: the caller may not keep set-id bits */
};

struct fs_set {
	unsigned what; /* FS_SET_*, or-ed */
	mode_t mode;
	uint32_t uid, gid;
	uint64_t size;
	struct timespec times[2]; /* access, modification; UTIME_NOW, UTIME_OMIT allowed */
};

enum fs_write_how {
	FS_WRITE_APPEND = 1,
	FS_WRITE_KILL_PRIV = 2,
};

/* One entry of a folder. Return: false when there is no room for it. */
typedef bool (*fs_emit_fn)(void *user, const char *name, size_t len, uint64_t ino, uint32_t type,
			   uint64_t next);

/*
 * A back end.  All are leaf functions (-errno), on any thread, several at once.  `st` is what
 * the guest shall see.  An entry that is NULL is EOPNOTSUPP.  Names are checked already: one
 * part, 1 to 255 bytes, not "." or "..".
 */
struct fs_ops {
	void (*free)(struct fs_backend *b);
	/* *ret is owned by the caller, given back by put(). */
	int (*lookup)(const struct fs_obj *dir, const char *name, struct fs_obj *ret,
		      struct stat *ret_st);
	void (*put)(struct fs_obj *o);
	int (*getattr)(const struct fs_obj *o, struct stat *ret_st);
	/* @f: open file of @o, or NULL */
	int (*setattr)(const struct fs_obj *o, struct fs_file *f, const struct fs_set *set,
		       struct stat *ret_st);
	ssize_t (*readlink)(const struct fs_obj *o, char *buf, size_t size);
	/* mkdir, mknod, symlink. */
	int (*make)(const struct fs_obj *dir, const char *name, const struct fs_new *args,
		    struct fs_obj *ret, struct stat *ret_st);
	/* open(O_CREAT) of a regular file; an existing one is opened unless O_EXCL. */
	int (*create)(const struct fs_obj *dir, const char *name, const struct fs_new *args,
		      int flags, struct fs_obj *ret, struct stat *ret_st,
		      struct fs_file **ret_file);
	int (*unlink)(const struct fs_obj *dir, const char *name, bool folder);
	int (*rename)(const struct fs_obj *dir, const char *name, const struct fs_obj *new_dir,
		      const char *new_name, unsigned flags);
	int (*link)(const struct fs_obj *o, const struct fs_obj *dir, const char *name,
		    struct stat *ret_st);
	int (*open)(const struct fs_obj *o, int flags, bool kill_priv, struct fs_file **ret_file);
	int (*opendir)(const struct fs_obj *o, struct fs_file **ret_file);
	void (*close)(struct fs_file *f);
	ssize_t (*read)(struct fs_file *f, const struct iovec *iov, int n, uint64_t off);
	ssize_t (*write)(struct fs_file *f, const struct iovec *iov, int n, uint64_t off,
			 unsigned how);
	int (*flush)(struct fs_file *f);
	int (*fsync)(struct fs_file *f, bool data_only);
	int (*fallocate)(struct fs_file *f, int mode, uint64_t off, uint64_t len);
	int64_t (*lseek)(struct fs_file *f, uint64_t off, int whence);
	ssize_t (*copy)(struct fs_file *in, uint64_t off_in, struct fs_file *out, uint64_t off_out,
			size_t len);
	/* Entries from @off on (0 or a `next` that was given), until emit() says no. */
	int (*readdir)(struct fs_file *f, uint64_t off, fs_emit_fn emit, void *user);
	int (*statfs)(const struct fs_obj *o, struct statfs *ret);
	int (*syncfs)(const struct fs_obj *o);
	/* size 0 asks for the length; too small is ERANGE. list: names, each with its NUL. */
	ssize_t (*getxattr)(const struct fs_obj *o, const char *name, void *buf, size_t size);
	ssize_t (*listxattr)(const struct fs_obj *o, char *buf, size_t size);
	int (*setxattr)(const struct fs_obj *o, const char *name, const void *value, size_t size,
			int flags);
	int (*removexattr)(const struct fs_obj *o, const char *name);
};

/* The synthetic root: entries "0", "1", ... lead to @backends (borrowed, as their roots). */
MUST_CHECK int synth_new(const struct fs_obj *roots, size_t n, struct fs_backend **ret_backend,
			 struct fs_obj *ret_root);

/* A folder of the host. @ret_root keeps mount->dir_fd, which is owned once this succeeds. */
MUST_CHECK int passthrough_new(const struct fs_mount *mount, struct fs_backend **ret_backend,
			       struct fs_obj *ret_root);

/* ---- tables (nodes.c) ---- */

struct fs_link {
	struct fs_link *next;
	uint64_t hash;
};

struct fs_table {
	struct fs_link **slots; /* owned; a power of two of them */
	size_t n_slots, n;
};

/* Something the guest has a number for. */
struct fs_node {
	struct fs_link by_id, by_key;
	uint64_t id;
	struct fs_obj obj; /* owned */
	/* under the server's lock */
	uint64_t n_lookup; /* how often the guest was told of it, less what it forgot */
	uint32_t refs;	   /* requests and handles that use it */
	/* contents as of the last open that may be kept; 0: none */
	uint64_t kept_ctime_ns, kept_size;
};

struct fs_handle {
	struct fs_link by_id;
	uint64_t id;
	struct fs_node *node; /* counted */
	struct fs_file *file; /* owned */
	bool folder;
	uint32_t refs; /* under the server's lock */
};

struct fs_server {
	struct fs_backend **backends; /* owned; the mounts */
	struct fs_obj *roots;	      /* owned; the mounts' folders */
	size_t n_mounts;
	struct fs_backend *synth; /* owned */
	struct fs_node *root;	  /* owned; node FUSE_ROOT_ID, never forgotten */

	pthread_mutex_t lock;
	/* under lock */
	struct fs_table by_id, by_key, handles;
	uint64_t next_id; /* never used again: 64 bits do not run out */
	uint32_t minor;	  /* protocol spoken; 0 before INIT */
	bool setxattr_ext;
};

/* Node by number, counted; NULL if the guest does not know it. */
struct fs_node *node_get(struct fs_server *fs, uint64_t id);
void node_put(struct fs_server *fs, struct fs_node *node);
/*
 * The node of an object the guest is now told of: n_lookup is one more. @obj is owned from
 * the call on, also on failure. Return: 0 or -ENOMEM.
 */
MUST_CHECK int node_intern(struct fs_server *fs, struct fs_obj *obj, uint64_t *ret_id);
void node_forget(struct fs_server *fs, uint64_t id, uint64_t n);

/* @file is owned from the call on, also on failure. */
MUST_CHECK int handle_add(struct fs_server *fs, struct fs_node *node, struct fs_file *file,
			  bool folder, uint64_t *ret_id);
/* Handle by number, counted; NULL unless it is one of @node and of this kind. */
struct fs_handle *handle_get(struct fs_server *fs, const struct fs_node *node, uint64_t id,
			     bool folder);
void handle_put(struct fs_server *fs, struct fs_handle *handle);
/* The guest closed it. -EBADF if there is none. */
MUST_CHECK int handle_release(struct fs_server *fs, const struct fs_node *node, uint64_t id,
			      bool folder);
/* Drop all nodes but the root, and all handles. */
void tables_clear(struct fs_server *fs);
void tables_done(struct fs_server *fs);

/* ---- requests ---- */

struct fs_req {
	struct fs_server *fs;	 /* borrowed */
	struct fuse_in_header h; /* our copy */
	const struct iovec *in;	 /* borrowed; what is not yet read begins at in_skip of in[0] */
	int n_in;
	size_t in_skip, in_left;
	const struct iovec *out; /* borrowed */
	int n_out;
	size_t out_room;      /* bytes behind the reply's header */
	size_t out_len;	      /* bytes written there */
	struct fs_node *node; /* of h.nodeid; counted */
};

/* Copy the next @len bytes of the request out. -EIO if there are fewer. */
MUST_CHECK int req_take(struct fs_req *req, void *buf, size_t len);
/* Copy a name out, with its NUL: buf has FS_NAME_LEN_MAX + 1 bytes. -EIO, -ENAMETOOLONG. */
MUST_CHECK int req_take_name(struct fs_req *req, char *buf);
/* Any text up to its NUL; @size bytes at most, with the NUL. */
MUST_CHECK int req_take_text(struct fs_req *req, char *buf, size_t size);
/* Append to the reply. -EIO if there is no room. */
MUST_CHECK int req_reply(struct fs_req *req, const void *data, size_t len);

void attr_from_stat(const struct stat *st, struct fuse_attr *attr);
/* Tell the guest of @obj (owned from the call on), an entry of @dir. */
MUST_CHECK int entry_fill(struct fs_server *fs, const struct fs_obj *dir, struct fs_obj *obj,
			  const struct stat *st, struct fuse_entry_out *ret);
/* Device numbers on the wire: 12 bits of major, 20 of minor. */
dev_t rdev_from_wire(uint32_t wire);

typedef int (*req_fn)(struct fs_req *req);

/* names.c */
int do_lookup(struct fs_req *req);
int do_readlink(struct fs_req *req);
int do_symlink(struct fs_req *req);
int do_mknod(struct fs_req *req);
int do_mkdir(struct fs_req *req);
int do_unlink(struct fs_req *req);
int do_rmdir(struct fs_req *req);
int do_rename(struct fs_req *req);
int do_rename2(struct fs_req *req);
int do_link(struct fs_req *req);
int do_create(struct fs_req *req);
int do_readdir(struct fs_req *req);
int do_readdirplus(struct fs_req *req);

/* files.c */
int do_open(struct fs_req *req);
int do_opendir(struct fs_req *req);
int do_release(struct fs_req *req);
int do_releasedir(struct fs_req *req);
int do_read(struct fs_req *req);
int do_write(struct fs_req *req);
int do_flush(struct fs_req *req);
int do_fsync(struct fs_req *req);
int do_fsyncdir(struct fs_req *req);
int do_fallocate(struct fs_req *req);
int do_lseek(struct fs_req *req);
int do_copy_file_range(struct fs_req *req);

/* attr.c */
int do_getattr(struct fs_req *req);
int do_setattr(struct fs_req *req);
int do_statfs(struct fs_req *req);
int do_syncfs(struct fs_req *req);
int do_getxattr(struct fs_req *req);
int do_listxattr(struct fs_req *req);
int do_setxattr(struct fs_req *req);
int do_removexattr(struct fs_req *req);

#endif /* FS_INTERNAL_H */
