/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: the FUSE server
 *
 * fs_server_handle() copies the header out of the guest's memory, finds the node, checks what
 * the table below says for the operation, and calls it.  An operation takes its arguments by
 * req_take*(), each byte once, and appends to the reply by req_reply().  The table names the
 * room that a reply needs: it is checked first, so that nothing is done whose result cannot
 * be told.
 *
 * ENOSYS is for operations that are in no way known: the driver stops asking then, for all
 * mounts.  What one back end cannot do is EOPNOTSUPP.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/iov.h"
#include "base/log.h"
#include "fs/internal.h"

#define MINOR_MIN   31 /* FUSE 7.31: Linux 5.3 */
#define MINOR_MAX   38 /* FUSE 7.38: Linux 6.1, the guest's */
#define MAX_WRITE   (1u << 20)
#define MAX_PAGES   (MAX_WRITE / 4096) /* 256, what the driver takes at most */
#define BACKGROUND  64	 /* read-ahead and asynchronous requests that the driver keeps in flight */
#define BATCH_BYTES 4096 /* part of a batch forget that is copied at once */

/* What is announced, of what the driver offers. */
#define FLAGS                                                                                      \
	((uint64_t)FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_ATOMIC_O_TRUNC |                       \
	 FUSE_AUTO_INVAL_DATA | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO |     \
	 FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS | FUSE_SUBMOUNTS |            \
	 FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT | FUSE_INIT_EXT)

int req_take(struct fs_req *req, void *buf, size_t len)
{
	char *to = buf;

	if (len > req->in_left)
		return -EIO;
	req->in_left -= len;
	while (len > 0) {
		size_t part = req->in->iov_len - req->in_skip;

		if (part > len)
			part = len;
		memcpy(to, (const char *)req->in->iov_base + req->in_skip, part);
		to += part;
		len -= part;
		req->in_skip += part;
		if (req->in_skip == req->in->iov_len) {
			req->in++;
			req->n_in--;
			req->in_skip = 0;
		}
	}
	return 0;
}

int req_take_text(struct fs_req *req, char *buf, size_t size)
{
	size_t len = 0;

	/* Byte by byte: where it ends is known from the copy only. */
	do {
		if (len == size)
			return -ENAMETOOLONG;
		if (req_take(req, buf + len, 1) < 0)
			return -EIO;
	} while (buf[len++] != '\0');
	return 0;
}

int req_take_name(struct fs_req *req, char *buf)
{
	int r = req_take_text(req, buf, FS_NAME_LEN_MAX + 1);

	if (r < 0)
		return r;
	if (buf[0] == '\0' || strchr(buf, '/') || strcmp(buf, ".") == 0 || strcmp(buf, "..") == 0)
		return -EIO;
	return 0;
}

int req_reply(struct fs_req *req, const void *data, size_t len)
{
	if (len > req->out_room - req->out_len)
		return -EIO;
	/* All of it: the room was checked. */
	IGNORE_RESULT(iov_copy_in(req->out, (size_t)req->n_out,
				  sizeof(struct fuse_out_header) + req->out_len, data, len));
	req->out_len += len;
	return 0;
}

dev_t rdev_from_wire(uint32_t wire)
{
	return makedev((wire >> 8) & 0xfff, (wire & 0xff) | ((wire >> 12) & 0xfff00));
}

static uint32_t rdev_to_wire(dev_t dev)
{
	unsigned ma = major(dev), mi = minor(dev);

	return (mi & 0xff) | ((ma & 0xfff) << 8) | ((mi & 0xfff00) << 12);
}

void attr_from_stat(const struct stat *st, struct fuse_attr *attr)
{
	*attr = (struct fuse_attr){
		.ino = st->st_ino,
		.size = (uint64_t)st->st_size,
		.blocks = (uint64_t)st->st_blocks,
		.atime = (uint64_t)st->st_atim.tv_sec,
		.mtime = (uint64_t)st->st_mtim.tv_sec,
		.ctime = (uint64_t)st->st_ctim.tv_sec,
		.atimensec = (uint32_t)st->st_atim.tv_nsec,
		.mtimensec = (uint32_t)st->st_mtim.tv_nsec,
		.ctimensec = (uint32_t)st->st_ctim.tv_nsec,
		.mode = st->st_mode,
		.nlink = (uint32_t)st->st_nlink,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.rdev = rdev_to_wire(st->st_rdev),
		.blksize = (uint32_t)st->st_blksize,
	};
}

int entry_fill(struct fs_server *fs, const struct fs_obj *dir, struct fs_obj *obj,
	       const struct stat *st, struct fuse_entry_out *ret)
{
	struct fuse_entry_out e = { .entry_valid = 1, .attr_valid = 1 }; /* seconds */
	bool submount =
		S_ISDIR(st->st_mode) && (obj->backend != dir->backend || obj->dev != dir->dev);
	int r = node_intern(fs, obj, &e.nodeid);

	if (r < 0)
		return r;
	attr_from_stat(st, &e.attr);
	if (submount)
		e.attr.flags |= FUSE_ATTR_SUBMOUNT;
	*ret = e;
	return 0;
}

static int do_init(struct fs_req *req)
{
	struct fuse_init_in in = { 0 };
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = MINOR_MAX,
		.max_background = BACKGROUND,
		.congestion_threshold = BACKGROUND * 3 / 4,
		.max_write = MAX_WRITE,
		.time_gran = 1, /* ns */
		.max_pages = MAX_PAGES,
	};
	uint64_t flags;
	int r = req_take(req, &in, offsetof(struct fuse_init_in, flags2));

	if (r < 0)
		return r;
	if (in.flags & FUSE_INIT_EXT) {
		r = req_take(req, &in.flags2, sizeof(in.flags2));
		if (r < 0)
			return r;
	}
	if (in.major < FUSE_KERNEL_VERSION ||
	    (in.major == FUSE_KERNEL_VERSION && in.minor < MINOR_MIN))
		return -EPROTO;
	if (in.major == FUSE_KERNEL_VERSION) {
		if (in.minor < out.minor)
			out.minor = in.minor;
		flags = (in.flags | (uint64_t)in.flags2 << 32) & FLAGS;
		out.max_readahead = in.max_readahead;
		out.flags = (uint32_t)flags;
		out.flags2 = (uint32_t)(flags >> 32);
		pthread_mutex_lock(&req->fs->lock);
		req->fs->minor = out.minor;
		req->fs->setxattr_ext = flags & FUSE_SETXATTR_EXT;
		pthread_mutex_unlock(&req->fs->lock);
	} /* else the driver comes again with our major version */
	return req_reply(req, &out, sizeof(out));
}

static int do_destroy(struct fs_req *req)
{
	fs_server_reset(req->fs);
	return 0;
}

static int do_ioctl(struct fs_req *req)
{
	return -ENOTTY;
}

static int do_forget(struct fs_req *req)
{
	struct fuse_forget_in in;
	int r = req_take(req, &in, sizeof(in));

	if (r == 0)
		node_forget(req->fs, req->h.nodeid, in.nlookup);
	return r;
}

static int do_batch_forget(struct fs_req *req)
{
	struct fuse_forget_one some[BATCH_BYTES / sizeof(struct fuse_forget_one)];
	struct fuse_batch_forget_in in;
	int r = req_take(req, &in, sizeof(in));
	size_t left = in.count;

	/* What is not there is not forgotten; the request is bounded by its descriptors. */
	while (r == 0 && left > 0) {
		size_t n = left < sizeof(some) / sizeof(some[0]) ? left
								 : sizeof(some) / sizeof(some[0]);

		if (n * sizeof(some[0]) > req->in_left)
			n = req->in_left / sizeof(some[0]);
		if (n == 0)
			break;
		r = req_take(req, some, n * sizeof(some[0]));
		for (size_t i = 0; r == 0 && i < n; i++)
			node_forget(req->fs, some[i].nodeid, some[i].nlookup);
		left -= n;
	}
	return r;
}

enum op_flags {
	OP_CHANGE = 1,	 /* EROFS on a read-only mount */
	OP_NO_NODE = 2,	 /* nodeid means nothing */
	OP_NO_REPLY = 4, /* and no room for one */
	OP_EARLY = 8,	 /* allowed before INIT */
};

static const struct op {
	req_fn fn;
	unsigned flags;
	size_t out; /* bytes of the reply, without its header; what a minimum is */
} ops[] = {
	[FUSE_LOOKUP] = { do_lookup, 0, sizeof(struct fuse_entry_out) },
	[FUSE_FORGET] = { do_forget, OP_NO_NODE | OP_NO_REPLY, 0 },
	[FUSE_GETATTR] = { do_getattr, 0, sizeof(struct fuse_attr_out) },
	[FUSE_SETATTR] = { do_setattr, OP_CHANGE, sizeof(struct fuse_attr_out) },
	[FUSE_READLINK] = { do_readlink, 0, 0 },
	[FUSE_SYMLINK] = { do_symlink, OP_CHANGE, sizeof(struct fuse_entry_out) },
	[FUSE_MKNOD] = { do_mknod, OP_CHANGE, sizeof(struct fuse_entry_out) },
	[FUSE_MKDIR] = { do_mkdir, OP_CHANGE, sizeof(struct fuse_entry_out) },
	[FUSE_UNLINK] = { do_unlink, OP_CHANGE, 0 },
	[FUSE_RMDIR] = { do_rmdir, OP_CHANGE, 0 },
	[FUSE_RENAME] = { do_rename, OP_CHANGE, 0 },
	[FUSE_LINK] = { do_link, OP_CHANGE, sizeof(struct fuse_entry_out) },
	[FUSE_OPEN] = { do_open, 0, sizeof(struct fuse_open_out) },
	[FUSE_READ] = { do_read, 0, 0 },
	[FUSE_WRITE] = { do_write, OP_CHANGE, sizeof(struct fuse_write_out) },
	[FUSE_STATFS] = { do_statfs, 0, sizeof(struct fuse_statfs_out) },
	[FUSE_RELEASE] = { do_release, 0, 0 },
	[FUSE_FSYNC] = { do_fsync, 0, 0 },
	[FUSE_SETXATTR] = { do_setxattr, OP_CHANGE, 0 },
	[FUSE_GETXATTR] = { do_getxattr, 0, 0 },
	[FUSE_LISTXATTR] = { do_listxattr, 0, 0 },
	[FUSE_REMOVEXATTR] = { do_removexattr, OP_CHANGE, 0 },
	[FUSE_FLUSH] = { do_flush, 0, 0 },
	[FUSE_INIT] = { do_init, OP_NO_NODE | OP_EARLY, sizeof(struct fuse_init_out) },
	[FUSE_OPENDIR] = { do_opendir, 0, sizeof(struct fuse_open_out) },
	[FUSE_READDIR] = { do_readdir, 0, 0 },
	[FUSE_RELEASEDIR] = { do_releasedir, 0, 0 },
	[FUSE_FSYNCDIR] = { do_fsyncdir, 0, 0 },
	[FUSE_CREATE] = { do_create, OP_CHANGE,
			  sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out) },
	[FUSE_DESTROY] = { do_destroy, OP_NO_NODE, 0 },
	[FUSE_IOCTL] = { do_ioctl, 0, 0 },
	[FUSE_BATCH_FORGET] = { do_batch_forget, OP_NO_NODE | OP_NO_REPLY, 0 },
	[FUSE_FALLOCATE] = { do_fallocate, OP_CHANGE, 0 },
	[FUSE_READDIRPLUS] = { do_readdirplus, 0, 0 },
	[FUSE_RENAME2] = { do_rename2, OP_CHANGE, 0 },
	[FUSE_LSEEK] = { do_lseek, 0, sizeof(struct fuse_lseek_out) },
	[FUSE_COPY_FILE_RANGE] = { do_copy_file_range, 0, sizeof(struct fuse_write_out) },
	[FUSE_SYNCFS] = { do_syncfs, 0, 0 },
};

static int serve(struct fs_req *req, const struct op *op)
{
	bool ready;
	int r;

	if (!op->fn)
		return -ENOSYS;
	pthread_mutex_lock(&req->fs->lock);
	ready = req->fs->minor != 0;
	pthread_mutex_unlock(&req->fs->lock);
	if ((!ready && !(op->flags & OP_EARLY)) || op->out > req->out_room)
		return -EIO;
	if (!(op->flags & OP_NO_NODE)) {
		req->node = node_get(req->fs, req->h.nodeid);
		if (!req->node)
			return -ESTALE;
		if ((op->flags & OP_CHANGE) && req->node->obj.backend->read_only) {
			node_put(req->fs, req->node);
			return -EROFS;
		}
	}
	r = op->fn(req);
	node_put(req->fs, req->node);
	/* Shortages of the server are no business of a guest program (docs/internals/fs.md, Rules). */
	if (r == -EMFILE || r == -ENFILE || r == -ENOMEM)
		return -EIO;
	return r == -ENOSYS ? -EOPNOTSUPP : r;
}

ssize_t fs_server_handle(struct fs_server *fs, const struct iovec *in, int n_in,
			 const struct iovec *out, int n_out)
{
	struct fs_req req = { .fs = fs, .in = in, .n_in = n_in, .out = out, .n_out = n_out };
	struct fuse_out_header oh = { .len = sizeof(oh) };
	static const struct op unknown;
	const struct op *op = &unknown;
	size_t room;
	int r;

	if (n_in < 0 || n_in > FS_MAX_IOV || n_out < 0 || n_out > FS_MAX_IOV)
		return -EPROTO;
	if (iov_total(in, (size_t)n_in, &req.in_left) < 0 ||
	    iov_total(out, (size_t)n_out, &room) < 0)
		return -EPROTO;
	if (req_take(&req, &req.h, sizeof(req.h)) < 0)
		return -EPROTO;
	if (req.h.opcode < sizeof(ops) / sizeof(ops[0]))
		op = &ops[req.h.opcode];
	if (room < sizeof(oh) && !(op->flags & OP_NO_REPLY))
		return -EPROTO;
	req.out_room = room < sizeof(oh) ? 0 : room - sizeof(oh);

	if (req.h.len < sizeof(req.h) || req.h.len - sizeof(req.h) > req.in_left) {
		r = -EIO;
	} else {
		req.in_left = req.h.len - sizeof(req.h);
		r = serve(&req, op);
	}
	if (r == -EIO)
		log_guest("fs: operation %u of node %llu: bad request or I/O error", req.h.opcode,
			  (unsigned long long)req.h.nodeid);
	if (op->flags & OP_NO_REPLY)
		return 0;
	oh.unique = req.h.unique;
	oh.error = r;
	if (r == 0)
		oh.len += (uint32_t)req.out_len;
	IGNORE_RESULT(iov_copy_in(out, (size_t)n_out, 0, &oh, sizeof(oh)));
	return oh.len;
}

/* The mounts' roots and back ends, one by one; on failure the descriptors stay outside. */
static int open_mounts(struct fs_server *fs, const struct fs_mount *mounts, size_t n)
{
	fs->backends = calloc(n ? n : 1, sizeof(struct fs_backend *));
	fs->roots = calloc(n ? n : 1, sizeof(fs->roots[0]));
	if (!fs->backends || !fs->roots)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		int r = passthrough_new(&mounts[i], &fs->backends[i], &fs->roots[i]);

		if (r < 0)
			return r;
		fs->n_mounts++;
	}
	return 0;
}

int fs_server_new(const struct fs_mount *mounts, size_t n, struct fs_server **ret_fs)
{
	struct fs_server *fs = calloc(1, sizeof(*fs));
	int r;

	if (!fs)
		return -ENOMEM;
	r = -pthread_mutex_init(&fs->lock, NULL);
	if (r < 0) {
		free(fs);
		return r;
	}
	fs->next_id = FUSE_ROOT_ID + 1;
	r = open_mounts(fs, mounts, n);
	if (r == 0) {
		fs->root = calloc(1, sizeof(*fs->root));
		r = fs->root ? 0 : -ENOMEM;
	}
	if (r == 0) {
		fs->root->id = FUSE_ROOT_ID;
		r = synth_new(fs->roots, n, &fs->synth, &fs->root->obj);
	}
	if (r < 0) {
		for (size_t i = 0; i < fs->n_mounts; i++)
			fs->roots[i].fd = -1; /* the caller's */
		fs_server_free(fs);
		return r;
	}
	*ret_fs = fs;
	return 0;
}

void fs_server_reset(struct fs_server *fs)
{
	pthread_mutex_lock(&fs->lock);
	fs->minor = 0;
	pthread_mutex_unlock(&fs->lock);
	tables_clear(fs);
}

void fs_server_free(struct fs_server *fs)
{
	if (!fs)
		return;
	tables_clear(fs);
	tables_done(fs);
	free(fs->root);
	if (fs->synth)
		fs->synth->ops->free(fs->synth);
	for (size_t i = 0; i < fs->n_mounts; i++) {
		fs->backends[i]->ops->put(&fs->roots[i]);
		fs->backends[i]->ops->free(fs->backends[i]);
	}
	free(fs->backends);
	free(fs->roots);
	(void)pthread_mutex_destroy(&fs->lock);
	free(fs);
}
