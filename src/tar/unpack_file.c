/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/io.h"
#include "tar/unpack_internal.h"

static int check_space(struct tar_unpack *u, const struct tar_entry *e, int parent, struct err *err)
{
	struct statvfs fs;

	if (e->stored_size == 0 || fstatvfs(parent, &fs) < 0)
		return 0; /* the write will tell */
	if (e->stored_size / fs.f_frsize >= fs.f_bavail)
		return unpack_failed(u, ENOSPC, "write", err);
	return 0;
}

static int keep_chunks(struct tar_unpack *u, const struct tar_entry *e, struct err *err)
{
	free(TAKE_PTR(u->chunks));
	u->n_chunks = u->chunk = 0;
	u->at = 0;
	u->size = e->size;
	u->sparse = e->sparse;
	if (!e->sparse || e->n_chunks == 0)
		return 0;
	u->chunks = calloc(e->n_chunks, sizeof(*u->chunks));
	if (!u->chunks)
		return err_no_memory(err);
	memcpy(u->chunks, e->chunks, e->n_chunks * sizeof(*u->chunks));
	u->n_chunks = e->n_chunks;
	return 0;
}

int unpack_keep_xattrs(struct tar_unpack *u, const struct tar_entry *e, struct err *err)
{
	buf_clear(&u->xattrs);
	for (size_t i = 0; u->o->xattrs && i < e->n_xattrs; i++) {
		const struct tar_xattr *x = &e->xattrs[i];
		uint32_t len = (uint32_t)x->len;

		if (x->kind != TAR_XATTR_BINARY ||
		    (u->o->tame && strncmp(x->name, "user.", 5) != 0))
			continue;
		if (buf_add(&u->xattrs, x->name, strlen(x->name) + 1) < 0 ||
		    buf_add(&u->xattrs, &len, sizeof(len)) < 0 ||
		    buf_add(&u->xattrs, x->value, x->len) < 0)
			return err_no_memory(err);
	}
	return 0;
}

void unpack_set_xattrs(struct tar_unpack *u, int fd)
{
	while (u->xattrs.len > 0) {
		const char *name = (const char *)u->xattrs.data;
		size_t name_len = strlen(name) + 1;
		uint32_t len;

		memcpy(&len, u->xattrs.data + name_len, sizeof(len));
		if (fsetxattr(fd, name, u->xattrs.data + name_len + sizeof(len), len, 0) < 0)
			unpack_warn(u, "cannot keep all of its attributes");
		buf_take(&u->xattrs, name_len + sizeof(len) + len);
	}
}

int unpack_file_begin(struct tar_unpack *u, const struct tar_entry *e, int parent, const char *name,
		      struct err *err)
{
	if (check_space(u, e, parent, err) < 0 || keep_chunks(u, e, err) < 0 ||
	    unpack_keep_xattrs(u, e, err) < 0)
		return -(int)err->code;
	unpack_meta_of(u, e, &u->meta);
	u->fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return u->fd < 0 ? unpack_failed(u, errno, "create", err) : 0;
}

int unpack_file_data(struct tar_unpack *u, const uint8_t *data, size_t len, struct err *err)
{
	if (u->fd < 0)
		return 0; /* an entry that was left out */
	while (len > 0) {
		uint64_t offset = u->at;
		size_t n = len;
		int r;

		if (u->sparse) {
			while (u->chunk < u->n_chunks && u->at == u->chunks[u->chunk].len) {
				u->chunk++;
				u->at = 0;
			}
			if (u->chunk == u->n_chunks)
				return 0; /* the reader has checked that the sums agree */
			offset = u->chunks[u->chunk].file_offset + u->at;
			if (n > u->chunks[u->chunk].len - u->at)
				n = (size_t)(u->chunks[u->chunk].len - u->at);
		}
		r = io_pwrite_full(u->fd, data, n, offset);
		if (r < 0)
			return unpack_failed(u, -r, "write", err);
		u->at += n;
		data += n;
		len -= n;
	}
	return 0;
}

int unpack_file_end(struct tar_unpack *u, struct err *err)
{
	int r = 0;

	if (u->fd < 0)
		return 0;
	if (u->sparse && ftruncate(u->fd, (off_t)u->size) < 0)
		return unpack_failed(u, errno, "set the size of", err);
	r = unpack_set_meta(u, u->fd, &u->meta, err);
	if (r < 0)
		return r;
	/* A write, and a change of the owner, take capabilities away. */
	unpack_set_xattrs(u, u->fd);
	close_auto(&u->fd);
	return 0;
}
