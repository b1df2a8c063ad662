/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cancel.h"
#include "base/io.h"
#include "image/erofs.h"
#include "image/erofs_format.h"
#include "image/limits.h"

/*
 * DOC: reader of our tree files
 *
 * Only what erofs.c writes.  The file may be damaged: each offset is checked.
 */
struct reader {
	const uint8_t *data;
	size_t size;
	uint64_t base; /* where the data file begins on the disk */
	uint32_t xattr_block;
	uint16_t layer;
	struct tree *t;
	/* Hard links: inodes by number; open addressing. */
	struct seen {
		uint64_t nid;
		struct tree_inode *inode;
	} * seen;
	size_t n_seen, cap_seen;
	uint32_t n_names;
};

static int check_super(const uint8_t block[EROFS_BLOCK], struct erofs_super *s)
{
	uint8_t copy[EROFS_BLOCK];
	uint32_t want;

	memcpy(copy, block, sizeof(copy));
	memcpy(s, block, sizeof(*s));
	want = le32toh(s->checksum);
	memset(copy + offsetof(struct erofs_super, checksum), 0, 4);
	if (le32toh(s->magic) != EROFS_MAGIC || s->block_bits != EROFS_BLOCK_BITS ||
	    want != erofs_crc32c(copy, sizeof(copy)))
		return -EINVAL;
	return 0;
}

int erofs_check(int fd, uint64_t size, uint64_t *ret_disk)
{
	uint8_t block[EROFS_BLOCK];
	struct erofs_super s;
	ssize_t n;

	if (size < EROFS_META_OFFSET || size % EROFS_BLOCK)
		return -EINVAL;
	n = io_pread_full(fd, block, sizeof(block), EROFS_SUPER_OFFSET);
	if (n < 0)
		return (int)n;
	if (n != sizeof(block) || check_super(block, &s) < 0)
		return -EINVAL;
	*ret_disk = (uint64_t)le32toh(s.blocks) * EROFS_BLOCK;
	return 0;
}

static const void *at(const struct reader *r, uint64_t offset, uint64_t len)
{
	if (offset > r->size || len > r->size - offset)
		return NULL;
	return r->data + offset;
}

static struct seen *slot(struct reader *r, uint64_t nid)
{
	size_t i = (nid * 0x9e3779b97f4a7c15ull) >> 20 & (r->cap_seen - 1);

	while (r->seen[i].inode && r->seen[i].nid != nid)
		i = (i + 1) & (r->cap_seen - 1);
	return &r->seen[i];
}

static int remember(struct reader *r, uint64_t nid, struct tree_inode *inode)
{
	if (2 * (r->n_seen + 1) > r->cap_seen) {
		struct seen *old = r->seen;
		size_t n = r->cap_seen, cap = n ? 2 * n : 1024;

		r->seen = calloc(cap, sizeof(*r->seen));
		if (!r->seen) {
			r->seen = old;
			return -ENOMEM;
		}
		r->cap_seen = cap;
		for (size_t i = 0; i < n; i++) {
			if (old[i].inode)
				*slot(r, old[i].nid) = old[i];
		}
		free(old);
	}
	*slot(r, nid) = (struct seen){ nid, inode };
	r->n_seen++;
	return 0;
}

/* ---- attributes ---------------------------------------------------------------------- */

static int one_xattr(struct reader *r, struct tree_inode *i, uint64_t offset, uint64_t *ret_len)
{
	char name[UINT8_MAX + 32];
	const struct erofs_xattr_entry *e = at(r, offset, sizeof(*e));
	const char *prefix = NULL;
	const uint8_t *p;
	uint16_t len;

	if (!e)
		return -EINVAL;
	len = le16toh(e->value_len);
	p = at(r, offset + sizeof(*e), (uint64_t)e->name_len + len);
	for (unsigned k = 0; k < erofs_n_prefixes; k++) {
		if (erofs_prefixes[k].number == e->prefix)
			prefix = erofs_prefixes[k].text;
	}
	if (!p || !prefix || memchr(p, '\0', e->name_len))
		return -EINVAL;
	(void)snprintf(name, sizeof(name), "%s%.*s", prefix, e->name_len, (const char *)p);
	p += e->name_len;
	*ret_len = (sizeof(*e) + e->name_len + len + 3ull) & ~3ull;
	if (strcmp(name, MARK_OPAQUE) == 0) {
		i->opaque = true;
	} else if (strcmp(name, MARK_IMPLIED) == 0) {
		i->implied = true;
	} else if (strcmp(name, MARK_LINK) == 0) {
		char *text = arena_get(r->t->arena, len + 1u);

		if (!text)
			return -ENOMEM;
		memcpy(text, p, len);
		i->text = text;
		i->link_lower = true;
	} else {
		return tree_add_xattr(r->t, &i->xattrs, name, p, len);
	}
	return 0;
}

static int read_xattrs(struct reader *r, struct tree_inode *i, uint64_t offset, uint32_t size)
{
	const struct erofs_xattr_header *h = at(r, offset, size);
	uint64_t end = offset + size, len = 0;
	const uint8_t *ids;
	int rc = 0;

	if (size == 0)
		return 0;
	if (!h || size < sizeof(*h) + 4ull * h->shared_count)
		return -EINVAL;
	ids = (const uint8_t *)(h + 1);
	for (unsigned k = 0; rc == 0 && k < h->shared_count; k++) {
		uint32_t id;

		memcpy(&id, ids + 4ull * k, sizeof(id));
		rc = one_xattr(r, i, (uint64_t)r->xattr_block * EROFS_BLOCK + 4ull * le32toh(id),
			       &len);
	}
	offset += sizeof(*h) + 4ull * h->shared_count;
	while (rc == 0 && offset < end) {
		rc = one_xattr(r, i, offset, &len);
		offset += len;
	}
	return rc;
}

/* ---- inodes -------------------------------------------------------------------------- */

static int data_address(const struct reader *r, uint32_t block, uint64_t *ret, bool *ret_copied)
{
	uint64_t a = (uint64_t)block * EROFS_BLOCK;

	*ret_copied = a < r->size;
	if (!*ret_copied && a < r->base)
		return -EINVAL;
	*ret = *ret_copied ? a : a - r->base;
	return 0;
}

/* A map back to pieces: neighbours that continue each other become one. Returns their number. */
static size_t pieces(const struct reader *r, const struct tree_inode *i, const uint8_t *map,
		     uint64_t n, unsigned bits, struct tree_chunk *out)
{
	struct tree_chunk piece = { 0 };
	size_t k = 0;

	for (uint64_t c = 0; c < n; c++) {
		uint64_t start = c << bits, end = (c + 1) << bits, data = 0;
		uint32_t block;
		bool copied = false, hole;

		memcpy(&block, map + 4 * c, sizeof(block));
		block = le32toh(block);
		end = end < i->size ? end : i->size;
		hole = block == EROFS_HOLE || data_address(r, block, &data, &copied) < 0;
		if (!hole && piece.len && piece.copied == copied &&
		    piece.data_offset + piece.len == data) {
			piece.len += end - start;
			continue;
		}
		if (piece.len && out)
			out[k] = piece;
		k += piece.len != 0;
		piece = (struct tree_chunk){ start, hole ? 0 : end - start, data, copied };
	}
	if (piece.len && out)
		out[k] = piece;
	return k + (piece.len != 0);
}

static int read_map(struct reader *r, struct tree_inode *i, uint64_t offset, unsigned bits)
{
	uint64_t n = (i->size + (1ull << bits) - 1) >> bits;
	const uint8_t *map = at(r, offset, 4 * n);

	if (!map)
		return -EINVAL;
	i->sparse = true;
	i->chunks = arena_get(r->t->arena, pieces(r, i, map, n, bits, NULL) * sizeof(*i->chunks));
	if (!i->chunks)
		return -ENOMEM;
	i->n_chunks = (uint32_t)pieces(r, i, map, n, bits, i->chunks);
	return 0;
}

static int read_file(struct reader *r, struct tree_inode *i, const struct erofs_inode *e,
		     unsigned layout, uint64_t body)
{
	unsigned bits = (le32toh(e->u) & EROFS_CHUNK_BITS_MASK) + EROFS_BLOCK_BITS;
	bool copied = false;

	i->layer = r->layer;
	if (i->size > FILE_BYTES_MAX)
		return -EINVAL;
	if (layout == EROFS_CHUNKED)
		return read_map(r, i, body, bits);
	if (layout != EROFS_FLAT_PLAIN)
		return -EINVAL;
	if (i->size == 0)
		return 0;
	return data_address(r, le32toh(e->u), &i->data_offset, &copied) < 0 || copied ? -EINVAL : 0;
}

static int read_symlink(struct reader *r, struct tree_inode *i, const struct erofs_inode *e,
			unsigned layout, uint64_t body)
{
	uint64_t where = layout == EROFS_FLAT_INLINE ? body : (uint64_t)le32toh(e->u) * EROFS_BLOCK;
	const void *text = at(r, where, i->size);
	char *copy;

	if (!text || i->size == 0 || i->size > TARGET_BYTES_MAX || memchr(text, '\0', i->size))
		return -EINVAL;
	copy = arena_get(r->t->arena, i->size + 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, text, i->size);
	i->text = copy;
	return 0;
}

/* The inode @nid; a directory's content is read by its caller, at *ret_body. */
static int read_inode(struct reader *r, uint64_t nid, struct tree_inode **ret, uint64_t *ret_body)
{
	const struct erofs_inode *e;
	struct erofs_inode copy;
	struct tree_inode *i;
	uint64_t offset, body;
	uint32_t xattrs, count, dev;
	unsigned layout;
	int rc;

	if (nid > r->size / EROFS_SLOT)
		return -EINVAL;
	offset = nid * EROFS_SLOT;
	e = at(r, offset, sizeof(*e));
	if (!e)
		return -EINVAL;
	memcpy(&copy, e, sizeof(copy));
	layout = le16toh(copy.format) >> 1;
	if (!(le16toh(copy.format) & EROFS_EXTENDED) || layout > EROFS_CHUNKED)
		return -EINVAL;
	i = tree_new_inode(r->t, le16toh(copy.mode));
	if (!i)
		return -ENOMEM;
	i->size = le64toh(copy.size);
	i->uid = le32toh(copy.uid);
	i->gid = le32toh(copy.gid);
	i->mtime = (int64_t)le64toh(copy.mtime);
	i->mtime_ns = le32toh(copy.mtime_ns);
	count = le16toh(copy.xattr_count);
	xattrs = count ? (uint32_t)sizeof(struct erofs_xattr_header) + 4 * (count - 1) : 0;
	body = offset + sizeof(copy) + xattrs;
	rc = read_xattrs(r, i, offset + sizeof(copy), xattrs);
	if (rc < 0)
		return rc;
	*ret = i;
	*ret_body = layout == EROFS_FLAT_INLINE ? body : (uint64_t)le32toh(copy.u) * EROFS_BLOCK;
	switch (i->mode & S_IFMT) {
	case S_IFDIR:
	case S_IFIFO:
		return 0;
	case S_IFREG:
		return read_file(r, i, &copy, layout, body);
	case S_IFLNK:
		return read_symlink(r, i, &copy, layout, body);
	case S_IFCHR:
	case S_IFBLK:
		dev = le32toh(copy.u);
		i->rdev_major = dev >> 8 & 0xfff;
		i->rdev_minor = (dev & 0xff) | (dev >> 12 & 0xfff00);
		return 0;
	default:
		return -EINVAL;
	}
}

static int read_dir(struct reader *r, struct tree_inode *dir, uint64_t body);

static int one_name(struct reader *r, struct tree_inode *dir, const char *name, size_t len,
		    uint64_t nid)
{
	struct tree_inode *i = NULL;
	struct tree_dentry *d;
	struct seen *s;
	uint64_t body = 0;
	int rc;

	if (len == 0 || len > NAME_BYTES_MAX || memchr(name, '/', len) || memchr(name, '\0', len) ||
	    ++r->n_names > EROFS_ENTRIES_MAX)
		return -EINVAL;
	d = tree_name(r->t, dir, name, len);
	if (!d)
		return -ENOMEM;
	if (d->inode || d->whiteout)
		return -EINVAL;
	s = slot(r, nid);
	if (s->inode) {
		if (S_ISDIR(s->inode->mode))
			return -EINVAL; /* a directory has one name */
		i = s->inode;
	} else {
		rc = read_inode(r, nid, &i, &body);
		if (rc == 0)
			rc = remember(r, nid, i);
		if (rc < 0)
			return rc;
	}
	if (S_ISCHR(i->mode) && !i->rdev_major && !i->rdev_minor && !i->link_lower) {
		d->whiteout = true;
		return 0;
	}
	d->inode = i;
	if (!S_ISDIR(i->mode))
		return 0;
	if (dir->depth >= TREE_DEPTH_MAX)
		return -EINVAL;
	i->parent = dir;
	i->target = d;
	i->depth = (uint16_t)(dir->depth + 1);
	return read_dir(r, i, body);
}

/* One block of names. */
static int read_block(struct reader *r, struct tree_inode *dir, const uint8_t *p, size_t len)
{
	struct erofs_dirent e, next;
	size_t n, end;

	if (cancel_fired(r->t->cancel))
		return -ECANCELED;
	if (len < sizeof(e))
		return -EINVAL;
	memcpy(&e, p, sizeof(e));
	n = le16toh(e.name_offset) / sizeof(e);
	if (n == 0 || n * sizeof(e) > len)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		size_t start, name_len;
		const char *name;
		int rc;

		memcpy(&e, p + i * sizeof(e), sizeof(e));
		end = len;
		if (i + 1 < n) {
			memcpy(&next, p + (i + 1) * sizeof(e), sizeof(next));
			end = le16toh(next.name_offset);
		}
		start = le16toh(e.name_offset);
		if (start >= end || end > len)
			return -EINVAL;
		name = (const char *)p + start;
		name_len = i + 1 < n ? end - start : strnlen(name, end - start);
		if (name[0] == '.' && (name_len == 1 || (name_len == 2 && name[1] == '.')))
			continue;
		rc = one_name(r, dir, name, name_len, le64toh(e.nid));
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int read_dir(struct reader *r, struct tree_inode *dir, uint64_t body)
{
	const uint8_t *p = at(r, body, dir->size);

	if (!p)
		return -EINVAL;
	for (uint64_t done = 0; done < dir->size; done += EROFS_BLOCK) {
		uint64_t n = dir->size - done;
		int rc = read_block(r, dir, p + done, n < EROFS_BLOCK ? (size_t)n : EROFS_BLOCK);

		if (rc < 0)
			return rc;
	}
	return 0;
}

int erofs_read(const uint8_t *data, size_t size, uint16_t layer, struct tree *t)
{
	struct reader r = { .data = data, .size = size, .layer = layer, .t = t };
	struct erofs_super s;
	struct tree_inode *root;
	uint64_t body;
	int rc;

	if (size < EROFS_META_OFFSET || check_super(data + EROFS_SUPER_OFFSET, &s) < 0)
		return -EINVAL;
	r.base = erofs_data_start(size, NULL, 0);
	r.xattr_block = le32toh(s.xattr_block);
	rc = read_inode(&r, le16toh(s.root_nid), &root, &body);
	if (rc == 0 && !S_ISDIR(root->mode))
		rc = -EINVAL;
	if (rc == 0)
		rc = remember(&r, le16toh(s.root_nid), root);
	if (rc == 0) {
		root->parent = root;
		t->root = root;
		rc = read_dir(&r, root, body);
	}
	free(r.seen);
	return rc;
}
