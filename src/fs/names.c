/* SPDX-License-Identifier: Apache-2.0 */
/* Requests about names: look up, make, remove, rename, list. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "fs/internal.h"

#define READDIR_MAX (128u << 10) /* bytes of one reply */

/* The fixed part of a request, of @len bytes, and the name behind it. */
static int take_with_name(struct fs_req *req, void *in, size_t len, char *name)
{
	int r = req_take(req, in, len);

	return r < 0 ? r : req_take_name(req, name);
}

static int reply_entry(struct fs_req *req, struct fs_obj *obj, const struct stat *st)
{
	struct fuse_entry_out e;
	int r = entry_fill(req->fs, &req->node->obj, obj, st, &e);

	return r < 0 ? r : req_reply(req, &e, sizeof(e));
}

int do_lookup(struct fs_req *req)
{
	const struct fs_obj *dir = &req->node->obj;
	char name[FS_NAME_LEN_MAX + 1];
	struct fs_obj obj;
	struct stat st;
	int r = req_take_name(req, name);

	if (r < 0)
		return r;
	r = dir->backend->ops->lookup(dir, name, &obj, &st);
	return r < 0 ? r : reply_entry(req, &obj, &st);
}

int do_readlink(struct fs_req *req)
{
	const struct fs_obj *o = &req->node->obj;
	char text[PATH_MAX];
	ssize_t n;

	if (!o->backend->ops->readlink)
		return -EINVAL;
	n = o->backend->ops->readlink(o, text, sizeof(text));
	if (n < 0)
		return (int)n;
	if ((size_t)n > req->out_room)
		return -ENAMETOOLONG;
	return req_reply(req, text, (size_t)n);
}

static int make(struct fs_req *req, const char *name, const struct fs_new *args)
{
	const struct fs_obj *dir = &req->node->obj;
	struct fs_obj obj;
	struct stat st;
	int r;

	if (!dir->backend->ops->make)
		return -EOPNOTSUPP;
	r = dir->backend->ops->make(dir, name, args, &obj, &st);
	return r < 0 ? r : reply_entry(req, &obj, &st);
}

int do_symlink(struct fs_req *req)
{
	struct fs_new args = { .mode = S_IFLNK | 0777, .uid = req->h.uid, .gid = req->h.gid };
	char name[FS_NAME_LEN_MAX + 1], target[PATH_MAX] = "";
	int r = req_take_name(req, name);

	if (r == 0)
		r = req_take_text(req, target, sizeof(target));
	if (r < 0)
		return r;
	args.target = target;
	return target[0] ? make(req, name, &args) : -EIO;
}

int do_mknod(struct fs_req *req)
{
	struct fs_new args = { .uid = req->h.uid, .gid = req->h.gid };
	char name[FS_NAME_LEN_MAX + 1];
	struct fuse_mknod_in in;
	int r = take_with_name(req, &in, sizeof(in), name);

	if (r < 0)
		return r;
	args.mode = in.mode & (S_IFMT | 07777);
	args.rdev = rdev_from_wire(in.rdev);
	if ((args.mode & S_IFMT) == 0)
		args.mode |= S_IFREG;
	if (S_ISDIR(args.mode) || S_ISLNK(args.mode))
		return -EPERM;
	return make(req, name, &args);
}

int do_mkdir(struct fs_req *req)
{
	struct fs_new args = { .uid = req->h.uid, .gid = req->h.gid };
	char name[FS_NAME_LEN_MAX + 1];
	struct fuse_mkdir_in in;
	int r = take_with_name(req, &in, sizeof(in), name);

	if (r < 0)
		return r;
	args.mode = S_IFDIR | (in.mode & 07777);
	return make(req, name, &args);
}

static int remove_name(struct fs_req *req, bool folder)
{
	const struct fs_obj *dir = &req->node->obj;
	char name[FS_NAME_LEN_MAX + 1];
	int r = req_take_name(req, name);

	if (r < 0)
		return r;
	if (!dir->backend->ops->unlink)
		return -EOPNOTSUPP;
	return dir->backend->ops->unlink(dir, name, folder);
}

int do_unlink(struct fs_req *req)
{
	return remove_name(req, false);
}

int do_rmdir(struct fs_req *req)
{
	return remove_name(req, true);
}

static int rename_to(struct fs_req *req, uint64_t new_dir_id, unsigned flags)
{
	char name[FS_NAME_LEN_MAX + 1], new_name[FS_NAME_LEN_MAX + 1];
	const struct fs_obj *dir = &req->node->obj;
	struct fs_node *new_dir;
	int r = req_take_name(req, name);

	if (r == 0)
		r = req_take_name(req, new_name);
	if (r < 0)
		return r;
	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
		return -EINVAL;
	if (!dir->backend->ops->rename)
		return -EOPNOTSUPP;
	new_dir = node_get(req->fs, new_dir_id);
	if (!new_dir)
		return -ESTALE;
	r = new_dir->obj.backend == dir->backend
		    ? dir->backend->ops->rename(dir, name, &new_dir->obj, new_name, flags)
		    : -EXDEV;
	node_put(req->fs, new_dir);
	return r;
}

int do_rename(struct fs_req *req)
{
	struct fuse_rename_in in;
	int r = req_take(req, &in, sizeof(in));

	return r < 0 ? r : rename_to(req, in.newdir, 0);
}

int do_rename2(struct fs_req *req)
{
	struct fuse_rename2_in in;
	int r = req_take(req, &in, sizeof(in));

	return r < 0 ? r : rename_to(req, in.newdir, in.flags);
}

int do_link(struct fs_req *req)
{
	const struct fs_obj *dir = &req->node->obj;
	char name[FS_NAME_LEN_MAX + 1];
	struct fuse_link_in in;
	struct fuse_entry_out e = { .nodeid = 0 };
	struct fs_node *old;
	struct fs_obj obj;
	struct stat st;
	int r = take_with_name(req, &in, sizeof(in), name);

	if (r < 0)
		return r;
	if (!dir->backend->ops->link)
		return -EOPNOTSUPP;
	old = node_get(req->fs, in.oldnodeid);
	if (!old)
		return -ESTALE;
	r = old->obj.backend == dir->backend ? dir->backend->ops->link(&old->obj, dir, name, &st)
					     : -EXDEV;
	node_put(req->fs, old);
	if (r == 0) /* the guest is told of what has the name now, and counts that */
		r = dir->backend->ops->lookup(dir, name, &obj, &st);
	if (r == 0)
		r = entry_fill(req->fs, dir, &obj, &st, &e);
	return r < 0 ? r : req_reply(req, &e, sizeof(e));
}

int do_create(struct fs_req *req)
{
	struct fs_new args = { .uid = req->h.uid, .gid = req->h.gid };
	const struct fs_obj *dir = &req->node->obj;
	struct fuse_open_out out = { .fh = 0 };
	char name[FS_NAME_LEN_MAX + 1];
	struct fs_node *node = NULL;
	struct fuse_create_in in;
	struct fuse_entry_out e;
	struct fs_file *file;
	struct fs_obj obj;
	struct stat st;
	int r = take_with_name(req, &in, sizeof(in), name);

	if (r < 0)
		return r;
	if (!dir->backend->ops->create)
		return -EOPNOTSUPP;
	args.mode = S_IFREG | (in.mode & 07777);
	r = dir->backend->ops->create(dir, name, &args, (int)in.flags, &obj, &st, &file);
	if (r < 0)
		return r;
	r = entry_fill(req->fs, dir, &obj, &st, &e);
	if (r == 0) {
		node = node_get(req->fs, e.nodeid);
		r = node ? 0 : -ESTALE;
	}
	if (r < 0) {
		dir->backend->ops->close(file);
		return r;
	}
	r = handle_add(req->fs, node, file, false, &out.fh);
	node_put(req->fs, node);
	if (r < 0) {
		node_forget(req->fs, e.nodeid, 1);
		return r;
	}
	r = req_reply(req, &e, sizeof(e));
	return r < 0 ? r : req_reply(req, &out, sizeof(out));
}

/* A reply to READDIR(PLUS) as it grows. */
struct listing {
	struct fs_req *req; /* borrowed */
	bool plus;
	char *buf; /* owned */
	size_t len, size;
};

/* Look the entry up for READDIRPLUS. Return: false if it has gone meanwhile. */
static bool entry_of(struct listing *l, const char *name, struct fuse_entry_out *ret)
{
	const struct fs_obj *dir = &l->req->node->obj;
	struct fs_obj obj;
	struct stat st;
	int r;

	/* Node 0: the guest takes the name only. */
	*ret = (struct fuse_entry_out){ .nodeid = 0 };
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return true;
	r = dir->backend->ops->lookup(dir, name, &obj, &st);
	if (r < 0)
		return r != -ENOENT;
	IGNORE_RESULT(entry_fill(l->req->fs, dir, &obj, &st, ret)); /* node 0 then */
	return true;
}

static bool add_entry(void *user, const char *name, size_t len, uint64_t ino, uint32_t type,
		      uint64_t next)
{
	struct listing *l = user;
	size_t head = l->plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;
	size_t size = FUSE_DIRENT_ALIGN(head + len);
	struct fuse_dirent d = {
		.ino = ino, .off = next, .namelen = (uint32_t)len, .type = type >> 12
	};
	char *to = l->buf + l->len;

	if (len > FS_NAME_LEN_MAX)
		return true;
	if (size > l->size - l->len)
		return false;
	if (l->plus) {
		struct fuse_entry_out e;

		if (!entry_of(l, name, &e))
			return true;
		memcpy(to, &e, sizeof(e));
	}
	memcpy(to + head - FUSE_NAME_OFFSET, &d, FUSE_NAME_OFFSET);
	memcpy(to + head, name, len);
	memset(to + head + len, 0, size - head - len);
	l->len += size;
	return true;
}

static int list(struct fs_req *req, bool plus)
{
	const struct fs_ops *ops = req->node->obj.backend->ops;
	struct listing l = { .req = req, .plus = plus };
	struct fs_handle *handle;
	AUTO_FREE char *buf = NULL;
	struct fuse_read_in in;
	int r = req_take(req, &in, sizeof(in));

	if (r < 0)
		return r;
	handle = handle_get(req->fs, req->node, in.fh, true);
	if (!handle)
		return -EBADF;
	l.size = in.size < req->out_room ? in.size : req->out_room;
	if (l.size > READDIR_MAX)
		l.size = READDIR_MAX;
	buf = malloc(l.size ? l.size : 1);
	l.buf = buf;
	r = buf ? ops->readdir(handle->file, in.offset, add_entry, &l) : -ENOMEM;
	handle_put(req->fs, handle);
	/* What was found before an error is told: its lookups are counted. */
	if (r < 0 && l.len == 0)
		return r;
	return req_reply(req, buf, l.len);
}

int do_readdir(struct fs_req *req)
{
	return list(req, false);
}

int do_readdirplus(struct fs_req *req)
{
	return list(req, true);
}
