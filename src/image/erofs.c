/* SPDX-License-Identifier: Apache-2.0 */
#include "image/erofs.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#include "base/cancel.h"
#include "base/io.h"
#include "image/digest.h"
#include "image/erofs_format.h"
#include "image/erofs_plan.h"
#include "image/limits.h"

/*
 * DOC: EROFS writer
 *
 * erofs_plan() has given each inode and each body its place.  Here they are written in the same
 * order, front to back through one buffer, and each place is asserted.
 */
struct out {
	int fd;
	uint64_t pos; /* of the next byte */
	uint8_t *buf;
	size_t used;
	struct digest *digest;
	int error; /* first failure of a write; sticks */
};

static void flush(struct out *o)
{
	if (o->used == 0)
		return;
	digest_add(o->digest, o->buf, o->used);
	if (o->error == 0)
		o->error = io_pwrite_full(o->fd, o->buf, o->used, o->pos - o->used);
	o->used = 0;
}

static void put(struct out *o, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len > 0) {
		size_t n = COPY_BYTES - o->used < len ? COPY_BYTES - o->used : len;

		memcpy(o->buf + o->used, p, n);
		o->used += n;
		o->pos += n;
		p += n;
		len -= n;
		if (o->used == COPY_BYTES)
			flush(o);
	}
}

static void put_zeros(struct out *o, uint64_t to)
{
	static const uint8_t zeros[EROFS_BLOCK];

	assert(to >= o->pos);
	while (o->pos < to) {
		uint64_t n = to - o->pos;

		put(o, zeros, n < sizeof(zeros) ? (size_t)n : sizeof(zeros));
	}
}

static uint32_t new_encode_dev(uint32_t major, uint32_t minor)
{
	return (minor & 0xff) | major << 8 | (minor & ~0xffu) << 12;
}

static uint64_t disk_address(const struct plan *p, const struct tree_inode *i, uint64_t data_offset)
{
	return p->data_start[i->layer] + data_offset;
}

static uint32_t inode_u(const struct plan *p, const struct tree_inode *i)
{
	switch (i->mode & S_IFMT) {
	case S_IFCHR:
	case S_IFBLK:
		return new_encode_dev(i->rdev_major, i->rdev_minor);
	case S_IFREG:
		if (i->sparse)
			return i->chunk_bits - (uint32_t)EROFS_BLOCK_BITS;
		return i->size ? (uint32_t)(disk_address(p, i, i->data_offset) / EROFS_BLOCK) : 0;
	case S_IFDIR:
	case S_IFLNK:
		return i->inlined ? 0 : (uint32_t)(i->block / EROFS_BLOCK);
	default:
		return 0;
	}
}

static unsigned layout_of(const struct tree_inode *i)
{
	if (S_ISREG(i->mode) && i->sparse)
		return EROFS_CHUNKED;
	return i->inlined ? EROFS_FLAT_INLINE : EROFS_FLAT_PLAIN;
}

static void put_xattr(struct out *o, const struct tree_xattr *x)
{
	const struct erofs_prefix *prefix = erofs_prefix_of(x->name);
	size_t name_len = strlen(x->name) - strlen(prefix->text);
	struct erofs_xattr_entry e = {
		.name_len = (uint8_t)name_len,
		.prefix = prefix->number,
		.value_len = htole16((uint16_t)x->len),
	};

	put(o, &e, sizeof(e));
	put(o, x->name + strlen(prefix->text), name_len);
	put(o, x->value, x->len);
	put_zeros(o, (o->pos + 3) & ~3ull);
}

static void put_xattrs(struct out *o, const struct tree_inode *i)
{
	struct erofs_xattr_header h = { 0 };
	uint64_t end = o->pos + i->xattr_size;

	if (!i->xattrs)
		return;
	for (const struct tree_xattr *x = i->xattrs; x; x = x->next)
		h.shared_count = (uint8_t)(h.shared_count + (x->shared != 0));
	put(o, &h, sizeof(h));
	for (const struct tree_xattr *x = i->xattrs; x; x = x->next) {
		uint32_t id = htole32(x->shared - 1);

		if (x->shared)
			put(o, &id, sizeof(id));
	}
	for (const struct tree_xattr *x = i->xattrs; x; x = x->next) {
		if (!x->shared)
			put_xattr(o, x);
	}
	assert(o->pos == end);
}

static uint8_t dirent_type(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return 1;
	case S_IFDIR:
		return 2;
	case S_IFCHR:
		return 3;
	case S_IFBLK:
		return 4;
	case S_IFIFO:
		return 5;
	case S_IFLNK:
		return 7;
	default:
		return 0;
	}
}

/* One block of a directory: the entries from @at that fit; returns their number. */
static size_t put_dir_block(struct out *o, const struct tree_inode *dir, size_t at, uint64_t end)
{
	uint64_t start = o->pos;
	size_t n = plan_dir_block(dir, at);
	uint16_t offset = (uint16_t)(n * sizeof(struct erofs_dirent));

	for (size_t i = at; i < at + n; i++) {
		const struct tree_dentry *d = dir->sorted[i];
		struct erofs_dirent e = {
			.nid = htole64(d->inode->nid),
			.name_offset = htole16(offset),
			.type = dirent_type(d->inode->mode),
		};

		put(o, &e, sizeof(e));
		offset = (uint16_t)(offset + d->len);
	}
	for (size_t i = at; i < at + n; i++)
		put(o, dir->sorted[i]->name, dir->sorted[i]->len);
	if (at + n < dir->n_kids)
		put_zeros(o, start + EROFS_BLOCK);
	assert(o->pos <= end);
	return n;
}

static void put_dir(struct out *o, const struct tree_inode *dir)
{
	uint64_t end = o->pos + dir->body;

	for (size_t at = 0; at < dir->n_kids;)
		at += put_dir_block(o, dir, at, end);
	assert(o->pos == end);
}

static void put_map(struct out *o, const struct plan *p, const struct tree_inode *i)
{
	struct chunk_walk w;
	uint64_t copied = i->block;

	plan_chunks_start(&w, i);
	while (plan_chunks_next(&w)) {
		uint32_t address = EROFS_HOLE;

		if (w.kind == CHUNK_DIRECT) {
			address = (uint32_t)(disk_address(p, i, w.data_offset) / EROFS_BLOCK);
		} else if (w.kind == CHUNK_COPY) {
			address = (uint32_t)(copied / EROFS_BLOCK);
			copied += 1ull << i->chunk_bits;
		}
		address = htole32(address);
		put(o, &address, sizeof(address));
	}
}

static void put_inode(struct out *o, const struct plan *p, const struct tree_inode *i)
{
	struct erofs_inode e = {
		.format = htole16((uint16_t)(EROFS_EXTENDED | layout_of(i) << 1)),
		.mode = htole16((uint16_t)i->mode),
		.size = htole64(S_ISDIR(i->mode) ? i->body : i->size),
		.u = htole32(inode_u(p, i)),
		.ino = htole32(i->ino),
		.uid = htole32(i->uid),
		.gid = htole32(i->gid),
		.mtime = htole64((uint64_t)i->mtime),
		.mtime_ns = htole32(i->mtime_ns),
		.nlink = htole32(i->nlink),
	};

	put_zeros(o, i->nid * EROFS_SLOT);
	if (i->xattr_size)
		e.xattr_count = htole16(
			(uint16_t)((i->xattr_size - sizeof(struct erofs_xattr_header)) / 4 + 1));
	put(o, &e, sizeof(e));
	put_xattrs(o, i);
	if (S_ISREG(i->mode) && i->sparse)
		put_map(o, p, i);
	else if (i->inlined && S_ISDIR(i->mode))
		put_dir(o, i);
	else if (i->inlined)
		put(o, i->text, i->size);
}

static int read_piece(const struct plan *p, const struct tree_inode *i, const struct tree_chunk *c,
		      uint64_t delta, uint8_t *to, size_t len)
{
	const struct erofs_layer *l = &p->layers[i->layer];
	int fd = c->copied ? l->tree_fd : l->data_fd;
	ssize_t n;

	assert(fd >= 0);
	n = io_pread_full(fd, to, len, c->data_offset + delta);
	if (n >= 0 && (size_t)n != len)
		return -EIO;
	return n < 0 ? (int)n : 0;
}

/* The pieces of a sparse file that no address can name. */
static int put_copies(struct out *o, const struct plan *p, const struct tree_inode *i)
{
	size_t size = (size_t)1 << i->chunk_bits;
	AUTO_FREE uint8_t *buf = NULL;
	struct chunk_walk w;

	plan_chunks_start(&w, i);
	while (plan_chunks_next(&w)) {
		uint64_t start = w.start, end = w.start + size;

		if (w.kind != CHUNK_COPY)
			continue;
		if (!buf)
			buf = malloc(size);
		if (!buf)
			return -ENOMEM;
		memset(buf, 0, size);
		for (size_t k = w.first; k < i->n_chunks && i->chunks[k].file_offset < end; k++) {
			const struct tree_chunk *c = &i->chunks[k];
			uint64_t from = c->file_offset > start ? c->file_offset : start;
			uint64_t to = c->file_offset + c->len < end ? c->file_offset + c->len : end;
			int r = from < to ? read_piece(p, i, c, from - c->file_offset,
						       buf + (from - start), (size_t)(to - from))
					  : 0;

			if (r < 0)
				return r;
		}
		put(o, buf, size);
	}
	return 0;
}

static int put_bodies(struct out *o, const struct plan *p)
{
	put_zeros(o, p->xattr_start);
	for (size_t k = 0; k < p->n_shared; k++)
		put_xattr(o, p->shared[k]);
	for (size_t k = 0; k < p->n_inodes; k++) {
		const struct tree_inode *i = p->inodes[k];

		if (i->inlined || !i->body || !(S_ISDIR(i->mode) || S_ISLNK(i->mode)))
			continue;
		put_zeros(o, i->block);
		if (S_ISDIR(i->mode))
			put_dir(o, i);
		else
			put(o, i->text, i->size);
	}
	put_zeros(o, p->copies_start);
	for (size_t k = 0; k < p->n_inodes; k++) {
		const struct tree_inode *i = p->inodes[k];

		if (S_ISREG(i->mode) && i->sparse) {
			int r;

			assert(i->block == 0 || o->pos == i->block);
			r = put_copies(o, p, i);
			if (r < 0)
				return r;
		}
	}
	put_zeros(o, p->meta_size);
	return 0;
}

static int write_super(struct out *o, const struct plan *p)
{
	uint8_t block[EROFS_BLOCK] = { 0 }, sha[SHA256_BYTES];
	struct erofs_super s = {
		.magic = htole32(EROFS_MAGIC),
		.feature_compat = htole32(EROFS_COMPAT_CHECKSUM),
		.block_bits = EROFS_BLOCK_BITS,
		.root_nid = htole16((uint16_t)p->inodes[0]->nid),
		.inodes = htole64(p->n_inodes),
		.blocks = htole32((uint32_t)(p->disk_size / EROFS_BLOCK)),
		.xattr_block = htole32((uint32_t)(p->xattr_start / EROFS_BLOCK)),
		.feature_incompat = htole32(p->any_sparse ? EROFS_INCOMPAT_CHUNKED : 0),
	};

	digest_add(o->digest, &s, sizeof(s));
	digest_end(o->digest, sha);
	memcpy(s.uuid, sha, sizeof(s.uuid));
	memcpy(block, &s, sizeof(s));
	s.checksum = htole32(erofs_crc32c(block, sizeof(block)));
	memcpy(block, &s, sizeof(s));
	return io_pwrite_full(o->fd, block, sizeof(block), EROFS_SUPER_OFFSET);
}

static int write_all(struct out *o, const struct plan *p)
{
	int r;

	put_zeros(o, EROFS_META_OFFSET);
	for (size_t k = 0; k < p->n_inodes; k++) {
		if (cancel_fired(p->cancel))
			return -ECANCELED;
		put_inode(o, p, p->inodes[k]);
	}
	r = put_bodies(o, p);
	if (r < 0)
		return r;
	flush(o);
	assert(o->pos == p->meta_size);
	return o->error < 0 ? o->error : write_super(o, p);
}

int erofs_write(struct tree *t, const struct erofs_layer *layers, size_t n_layers, bool marks,
		int out_fd, uint64_t *ret_disk, struct err *err)
{
	AUTO(plan_done) struct plan p = { 0 };
	AUTO(digest_free) struct digest *digest = NULL;
	AUTO_FREE uint8_t *buf = malloc(COPY_BYTES);
	struct out o = { .fd = out_fd, .buf = buf };
	int r;

	if (!buf || digest_new(&digest) < 0)
		return err_no_memory(err);
	o.digest = digest;
	if (erofs_plan(&p, t, layers, n_layers, marks, err) < 0)
		return -err->code;
	r = write_all(&o, &p);
	if (r < 0)
		return err_sys(err, -r, "writing a tree");
	*ret_disk = p.disk_size;
	return 0;
}
