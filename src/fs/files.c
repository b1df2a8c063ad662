/* SPDX-License-Identifier: Apache-2.0 */
/* Requests about open files and folders. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/iov.h"
#include "fs/internal.h"

#define COPY_MAX (64u << 20) /* bytes of one COPY_FILE_RANGE: longer ones come again */

/* Of the guest's open flags, what concerns the host's descriptor. */
#define OPEN_FLAGS (O_ACCMODE | O_TRUNC | O_SYNC | O_DSYNC)

/*
 * Whether the guest may keep the pages it has of the file: it is unchanged since the last
 * open, and had been quiet for a second when that was noted (clocks of file systems tick
 * coarsely, so a second change may have the same time).
 */
static bool may_keep(struct fs_req *req, const struct stat *st)
{
	uint64_t ctime_ns = (uint64_t)st->st_ctim.tv_sec * NS_PER_S + (uint64_t)st->st_ctim.tv_nsec;
	uint64_t now_ns = clock_wall_ns();
	struct fs_node *node = req->node;
	bool keep;

	pthread_mutex_lock(&req->fs->lock);
	keep = node->kept_ctime_ns == ctime_ns && ctime_ns != 0 &&
	       node->kept_size == (uint64_t)st->st_size;
	node->kept_ctime_ns = now_ns > ctime_ns && now_ns - ctime_ns > NS_PER_S ? ctime_ns : 0;
	node->kept_size = (uint64_t)st->st_size;
	pthread_mutex_unlock(&req->fs->lock);
	return keep;
}

int do_open(struct fs_req *req)
{
	const struct fs_obj *o = &req->node->obj;
	struct fuse_open_out out = { .fh = 0 };
	struct fuse_open_in in;
	struct fs_file *file;
	struct stat st;
	int flags, r = req_take(req, &in, sizeof(in));

	if (r < 0)
		return r;
	flags = (int)in.flags & OPEN_FLAGS;
	if (o->backend->read_only && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC)))
		return -EROFS;
	if (!o->backend->ops->open)
		return -EOPNOTSUPP;
	r = o->backend->ops->open(o, flags, in.open_flags & FUSE_OPEN_KILL_SUIDGID, &file);
	if (r < 0)
		return r;
	if (o->backend->ops->getattr(o, &st) == 0 && may_keep(req, &st))
		out.open_flags = FOPEN_KEEP_CACHE;
	r = handle_add(req->fs, req->node, file, false, &out.fh);
	return r < 0 ? r : req_reply(req, &out, sizeof(out));
}

int do_opendir(struct fs_req *req)
{
	const struct fs_obj *o = &req->node->obj;
	struct fuse_open_out out = { .fh = 0 };
	struct fuse_open_in in;
	struct fs_file *file;
	int r = req_take(req, &in, sizeof(in));

	if (r < 0)
		return r;
	r = o->backend->ops->opendir(o, &file);
	if (r < 0)
		return r;
	r = handle_add(req->fs, req->node, file, true, &out.fh);
	return r < 0 ? r : req_reply(req, &out, sizeof(out));
}

static int release(struct fs_req *req, bool folder)
{
	struct fuse_release_in in;
	int r = req_take(req, &in, sizeof(in));

	return r < 0 ? r : handle_release(req->fs, req->node, in.fh, folder);
}

int do_release(struct fs_req *req)
{
	return release(req, false);
}

int do_releasedir(struct fs_req *req)
{
	return release(req, true);
}

int do_read(struct fs_req *req)
{
	const struct fs_ops *ops = req->node->obj.backend->ops;
	struct iovec iov[FS_MAX_IOV];
	struct fs_handle *handle;
	struct fuse_read_in in;
	size_t len;
	ssize_t n;
	int r = req_take(req, &in, sizeof(in));

	if (r < 0)
		return r;
	len = in.size < req->out_room ? in.size : req->out_room;
	if (in.offset > INT64_MAX - len)
		return -EINVAL;
	handle = handle_get(req->fs, req->node, in.fh, false);
	if (!handle)
		return -EBADF;
	n = ops->read(handle->file, iov,
		      (int)iov_slice(req->out, (size_t)req->n_out, sizeof(struct fuse_out_header),
				     len, iov),
		      in.offset);
	handle_put(req->fs, handle);
	if (n < 0)
		return (int)n;
	req->out_len = (size_t)n;
	return 0;
}

int do_write(struct fs_req *req)
{
	const struct fs_ops *ops = req->node->obj.backend->ops;
	struct fuse_write_out out = { .size = 0 };
	struct iovec iov[FS_MAX_IOV];
	struct fs_handle *handle;
	struct fuse_write_in in;
	unsigned how = 0;
	ssize_t n;
	int r = req_take(req, &in, sizeof(in));

	if (r < 0)
		return r;
	if (in.size > req->in_left)
		return -EIO;
	if (in.offset > INT64_MAX - (uint64_t)in.size)
		return -EFBIG;
	/* Pages that were mapped come through whatever handle: their offset counts. */
	if ((in.flags & O_APPEND) && !(in.write_flags & FUSE_WRITE_CACHE))
		how |= FS_WRITE_APPEND;
	if (in.write_flags & FUSE_WRITE_KILL_SUIDGID)
		how |= FS_WRITE_KILL_PRIV;
	handle = handle_get(req->fs, req->node, in.fh, false);
	if (!handle)
		return -EBADF;
	n = ops->write(handle->file, iov,
		       (int)iov_slice(req->in, (size_t)req->n_in, req->in_skip, in.size, iov),
		       in.offset, how);
	handle_put(req->fs, handle);
	if (n < 0)
		return (int)n;
	out.size = (uint32_t)n;
	return req_reply(req, &out, sizeof(out));
}

int do_flush(struct fs_req *req)
{
	struct fs_handle *handle;
	struct fuse_flush_in in;
	int r = req_take(req, &in, sizeof(in));

	if (r < 0)
		return r;
	handle = handle_get(req->fs, req->node, in.fh, false);
	if (!handle)
		return -EBADF;
	r = handle->file->backend->ops->flush(handle->file);
	handle_put(req->fs, handle);
	return r;
}

static int sync_handle(struct fs_req *req, bool folder)
{
	struct fs_handle *handle;
	struct fuse_fsync_in in;
	int r = req_take(req, &in, sizeof(in));

	if (r < 0)
		return r;
	handle = handle_get(req->fs, req->node, in.fh, folder);
	if (!handle)
		return -EBADF;
	if (handle->file->backend->ops->fsync)
		r = handle->file->backend->ops->fsync(handle->file,
						      in.fsync_flags & FUSE_FSYNC_FDATASYNC);
	handle_put(req->fs, handle);
	return r;
}

int do_fsync(struct fs_req *req)
{
	return sync_handle(req, false);
}

int do_fsyncdir(struct fs_req *req)
{
	return sync_handle(req, true);
}

int do_fallocate(struct fs_req *req)
{
	struct fuse_fallocate_in in;
	struct fs_handle *handle;
	int r = req_take(req, &in, sizeof(in));

	if (r < 0)
		return r;
	if (in.length == 0 || in.offset > INT64_MAX || in.length > INT64_MAX - in.offset)
		return -EINVAL;
	if (in.mode &
	    ~(uint32_t)(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		return -EOPNOTSUPP;
	handle = handle_get(req->fs, req->node, in.fh, false);
	if (!handle)
		return -EBADF;
	r = handle->file->backend->ops->fallocate
		    ? handle->file->backend->ops->fallocate(handle->file, (int)in.mode, in.offset,
							    in.length)
		    : -EOPNOTSUPP;
	handle_put(req->fs, handle);
	return r;
}

int do_lseek(struct fs_req *req)
{
	struct fuse_lseek_out out = { .offset = 0 };
	struct fs_handle *handle;
	struct fuse_lseek_in in;
	int64_t at;
	int r = req_take(req, &in, sizeof(in));

	if (r < 0)
		return r;
	if ((in.whence != SEEK_DATA && in.whence != SEEK_HOLE) || in.offset > INT64_MAX)
		return -EINVAL;
	handle = handle_get(req->fs, req->node, in.fh, false);
	if (!handle)
		return -EBADF;
	at = handle->file->backend->ops->lseek
		     ? handle->file->backend->ops->lseek(handle->file, in.offset, (int)in.whence)
		     : -EOPNOTSUPP;
	handle_put(req->fs, handle);
	if (at < 0)
		return (int)at;
	out.offset = (uint64_t)at;
	return req_reply(req, &out, sizeof(out));
}

int do_copy_file_range(struct fs_req *req)
{
	struct fs_handle *from = NULL, *to = NULL;
	struct fuse_write_out out = { .size = 0 };
	struct fuse_copy_file_range_in in;
	struct fs_node *node;
	ssize_t n = -EBADF;
	int r = req_take(req, &in, sizeof(in));

	if (r < 0)
		return r;
	if (in.flags != 0 || in.off_in > INT64_MAX || in.off_out > INT64_MAX)
		return -EINVAL;
	node = node_get(req->fs, in.nodeid_out);
	if (!node)
		return -ESTALE;
	from = handle_get(req->fs, req->node, in.fh_in, false);
	to = handle_get(req->fs, node, in.fh_out, false);
	if (node->obj.backend->read_only)
		n = -EROFS;
	else if (from && to && from->file->backend != to->file->backend)
		n = -EXDEV;
	else if (from && to)
		n = from->file->backend->ops->copy
			    ? from->file->backend->ops->copy(from->file, in.off_in, to->file,
							     in.off_out,
							     in.len < COPY_MAX ? in.len : COPY_MAX)
			    : -EOPNOTSUPP;
	handle_put(req->fs, from);
	handle_put(req->fs, to);
	node_put(req->fs, node);
	if (n < 0)
		return (int)n;
	out.size = (uint32_t)n;
	return req_reply(req, &out, sizeof(out));
}
