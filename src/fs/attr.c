/* SPDX-License-Identifier: Apache-2.0 */
/* Requests about attributes: owner, mode, times, sizes, extended attributes. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "fs/internal.h"

#define XATTR_SIZE_LIMIT (64u << 10) /* Linux XATTR_SIZE_MAX and XATTR_LIST_MAX, bytes */

static int reply_attr(struct fs_req *req, const struct stat *st)
{
	struct fuse_attr_out out = { .attr_valid = 1 }; /* seconds */

	attr_from_stat(st, &out.attr);
	return req_reply(req, &out, sizeof(out));
}

int do_getattr(struct fs_req *req)
{
	const struct fs_obj *o = &req->node->obj;
	struct fuse_getattr_in in;
	struct stat st;
	int r = req_take(req, &in, sizeof(in)); /* the handle says nothing that the node does not */

	if (r == 0)
		r = o->backend->ops->getattr(o, &st);
	return r < 0 ? r : reply_attr(req, &st);
}

static struct timespec set_time(uint32_t valid, uint32_t set, uint32_t now, uint64_t s, uint32_t ns)
{
	if (!(valid & set))
		return (struct timespec){ .tv_nsec = UTIME_OMIT };
	if (valid & now)
		return (struct timespec){ .tv_nsec = UTIME_NOW };
	return (struct timespec){ .tv_sec = (time_t)s, .tv_nsec = (long)ns };
}

static int set_from_wire(const struct fuse_setattr_in *in, struct fs_set *set)
{
	*set = (struct fs_set){
		.mode = in->mode, .uid = in->uid, .gid = in->gid, .size = in->size
	};
	if (in->valid & FATTR_MODE)
		set->what |= FS_SET_MODE;
	if (in->valid & FATTR_UID)
		set->what |= FS_SET_UID;
	if (in->valid & FATTR_GID)
		set->what |= FS_SET_GID;
	if (in->valid & FATTR_SIZE)
		set->what |= FS_SET_SIZE;
	if (in->valid & FATTR_KILL_SUIDGID)
		set->what |= FS_SET_KILL_PRIV;
	if (in->valid & (FATTR_ATIME | FATTR_MTIME))
		set->what |= FS_SET_TIMES;
	set->times[0] = set_time(in->valid, FATTR_ATIME, FATTR_ATIME_NOW, in->atime, in->atimensec);
	set->times[1] = set_time(in->valid, FATTR_MTIME, FATTR_MTIME_NOW, in->mtime, in->mtimensec);
	/* -1 is no id; it would mean "unchanged" to the host. */
	if (((set->what & FS_SET_UID) && set->uid == UINT32_MAX) ||
	    ((set->what & FS_SET_GID) && set->gid == UINT32_MAX) || in->size > INT64_MAX)
		return -EINVAL;
	return 0;
}

int do_setattr(struct fs_req *req)
{
	const struct fs_obj *o = &req->node->obj;
	struct fs_handle *handle = NULL;
	struct fuse_setattr_in in;
	struct fs_set set;
	struct stat st;
	int r = req_take(req, &in, sizeof(in));

	if (r == 0)
		r = set_from_wire(&in, &set);
	if (r < 0)
		return r;
	if (!o->backend->ops->setattr)
		return -EOPNOTSUPP;
	if (in.valid & FATTR_FH) {
		handle = handle_get(req->fs, req->node, in.fh, false);
		if (!handle)
			return -EBADF;
	}
	r = o->backend->ops->setattr(o, handle ? handle->file : NULL, &set, &st);
	handle_put(req->fs, handle);
	return r < 0 ? r : reply_attr(req, &st);
}

int do_statfs(struct fs_req *req)
{
	const struct fs_obj *o = &req->node->obj;
	struct fuse_statfs_out out = { 0 };
	struct statfs s;
	int r = o->backend->ops->statfs(o, &s);

	if (r < 0)
		return r;
	out.st = (struct fuse_kstatfs){
		.blocks = s.f_blocks,
		.bfree = s.f_bfree,
		.bavail = s.f_bavail,
		.files = s.f_files,
		.ffree = s.f_ffree,
		.bsize = (uint32_t)s.f_bsize,
		.namelen = FS_NAME_LEN_MAX,
		.frsize = (uint32_t)(s.f_frsize ? s.f_frsize : s.f_bsize),
	};
	return req_reply(req, &out, sizeof(out));
}

int do_syncfs(struct fs_req *req)
{
	const struct fs_obj *o = &req->node->obj;

	return o->backend->ops->syncfs ? o->backend->ops->syncfs(o) : 0;
}

/* Reply with @n bytes of @buf, or with the number alone if the guest asked for that. */
static int reply_xattr(struct fs_req *req, uint32_t asked, const void *buf, ssize_t n)
{
	struct fuse_getxattr_out out = { .size = 0 };

	if (n < 0)
		return (int)n;
	if (asked > 0)
		return (size_t)n > req->out_room ? -ERANGE : req_reply(req, buf, (size_t)n);
	out.size = (uint32_t)n;
	return req_reply(req, &out, sizeof(out));
}

static int take_xattr_args(struct fs_req *req, struct fuse_getxattr_in *in, char **ret_buf)
{
	int r = req_take(req, in, sizeof(*in));

	if (r < 0)
		return r;
	if (in->size > XATTR_SIZE_LIMIT)
		in->size = XATTR_SIZE_LIMIT;
	*ret_buf = malloc(in->size ? in->size : 1);
	return *ret_buf ? 0 : -ENOMEM;
}

int do_getxattr(struct fs_req *req)
{
	const struct fs_obj *o = &req->node->obj;
	char name[FS_NAME_LEN_MAX + 1];
	struct fuse_getxattr_in in;
	AUTO_FREE char *buf = NULL;
	int r = take_xattr_args(req, &in, &buf);

	if (r == 0)
		r = req_take_text(req, name, sizeof(name));
	if (r < 0)
		return r;
	if (!o->backend->ops->getxattr)
		return -EOPNOTSUPP;
	return reply_xattr(req, in.size, buf, o->backend->ops->getxattr(o, name, buf, in.size));
}

int do_listxattr(struct fs_req *req)
{
	const struct fs_obj *o = &req->node->obj;
	struct fuse_getxattr_in in;
	AUTO_FREE char *buf = NULL;
	int r = take_xattr_args(req, &in, &buf);

	if (r < 0)
		return r;
	if (!o->backend->ops->listxattr)
		return reply_xattr(req, in.size, buf, 0);
	return reply_xattr(req, in.size, buf, o->backend->ops->listxattr(o, buf, in.size));
}

int do_setxattr(struct fs_req *req)
{
	const struct fs_obj *o = &req->node->obj;
	char name[FS_NAME_LEN_MAX + 1];
	struct fuse_setxattr_in in = { 0 };
	AUTO_FREE char *value = NULL;
	bool ext;
	int r;

	pthread_mutex_lock(&req->fs->lock);
	ext = req->fs->setxattr_ext;
	pthread_mutex_unlock(&req->fs->lock);
	r = req_take(req, &in, ext ? sizeof(in) : FUSE_COMPAT_SETXATTR_IN_SIZE);
	if (r == 0)
		r = req_take_text(req, name, sizeof(name));
	if (r < 0)
		return r;
	if (in.size > XATTR_SIZE_LIMIT)
		return -E2BIG;
	if (in.size > req->in_left)
		return -EIO;
	value = malloc(in.size ? in.size : 1);
	if (!value)
		return -ENOMEM;
	r = req_take(req, value, in.size);
	if (r < 0)
		return r;
	if (!o->backend->ops->setxattr)
		return -EOPNOTSUPP;
	return o->backend->ops->setxattr(o, name, value, in.size, (int)in.flags);
}

int do_removexattr(struct fs_req *req)
{
	const struct fs_obj *o = &req->node->obj;
	char name[FS_NAME_LEN_MAX + 1];
	int r = req_take_text(req, name, sizeof(name));

	if (r < 0)
		return r;
	return o->backend->ops->removexattr ? o->backend->ops->removexattr(o, name) : -EOPNOTSUPP;
}
