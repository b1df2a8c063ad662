/* SPDX-License-Identifier: Apache-2.0 */
#include "image/erofs_plan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/cancel.h"
#include "image/limits.h"

#define CHUNK_BITS_MAX (EROFS_BLOCK_BITS + 31)
#define COPY_BITS      12 /* chunk of a file whose map is not aligned */

const struct erofs_prefix erofs_prefixes[] = {
	{ 1, "user." },
	{ 2, "system.posix_acl_access" },
	{ 3, "system.posix_acl_default" },
	{ 4, "trusted." },
	{ 6, "security." },
};
const unsigned erofs_n_prefixes = sizeof(erofs_prefixes) / sizeof(erofs_prefixes[0]);

const struct erofs_prefix *erofs_prefix_of(const char *name)
{
	for (unsigned i = 0; i < erofs_n_prefixes; i++) {
		if (strncmp(name, erofs_prefixes[i].text, strlen(erofs_prefixes[i].text)) == 0)
			return &erofs_prefixes[i];
	}
	assert(!"an attribute that tree_take_xattrs() lets through");
	abort();
}

uint32_t erofs_crc32c(const void *data, unsigned len)
{
	const uint8_t *p = data;
	uint32_t crc = UINT32_MAX; /* and no inversion at the end: as Linux has it */

	for (unsigned i = 0; i < len; i++) {
		crc ^= p[i];
		for (unsigned b = 0; b < 8; b++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return crc;
}

static uint64_t round_up(uint64_t v, uint64_t to)
{
	return (v + to - 1) / to * to;
}

uint64_t erofs_data_start(uint64_t meta_size, const struct erofs_layer *layers, size_t n)
{
	uint64_t at = round_up(meta_size, DISK_ALIGN);

	for (size_t i = 0; i < n; i++)
		at += round_up(layers[i].data_size, DISK_ALIGN);
	return at;
}

void plan_done(struct plan *p)
{
	free(p->inodes);
	free(p->shared);
	free(p->data_start);
}

size_t plan_dir_block(const struct tree_inode *dir, size_t at)
{
	size_t n = 0, used = 0;

	while (at + n < dir->n_kids) {
		used += sizeof(struct erofs_dirent) + dir->sorted[at + n]->len;
		if (used > EROFS_BLOCK)
			break;
		n++;
	}
	return n;
}

static uint32_t dir_bytes(const struct tree_inode *dir)
{
	uint64_t total = 0;

	for (size_t at = 0; at < dir->n_kids;) {
		size_t n = plan_dir_block(dir, at);

		if (at + n < dir->n_kids) {
			total += EROFS_BLOCK;
		} else {
			for (size_t i = at; i < at + n; i++)
				total += sizeof(struct erofs_dirent) + dir->sorted[i]->len;
		}
		at += n;
	}
	return (uint32_t)total; /* EROFS_ENTRIES_MAX of at most 267 bytes */
}

static int by_name(const void *a, const void *b)
{
	const struct tree_dentry *x = *(struct tree_dentry *const *)a;
	const struct tree_dentry *y = *(struct tree_dentry *const *)b;
	size_t n = x->len < y->len ? x->len : y->len;
	int r = memcmp(x->name, y->name, n);

	return r ? r : (int)x->len - (int)y->len;
}

static struct tree_dentry *dot(struct tree *t, struct tree_inode *inode, const char *name)
{
	struct tree_dentry *d = arena_get(t->arena, sizeof(*d) + 3);

	if (!d)
		return NULL;
	d->len = (uint8_t)strlen(name);
	memcpy(d->name, name, d->len);
	d->inode = inode;
	return d;
}

static int push(struct plan *p, struct tree_inode *i)
{
	if (i->seen)
		return 0;
	if (p->n_inodes == p->cap_inodes) {
		size_t cap = p->cap_inodes ? 2 * p->cap_inodes : 1024;
		struct tree_inode **v = reallocarray(p->inodes, cap, sizeof(struct tree_inode *));

		if (!v)
			return -ENOMEM;
		p->inodes = v;
		p->cap_inodes = cap;
	}
	i->seen = true;
	i->ino = (uint32_t)p->n_inodes + 1;
	p->inodes[p->n_inodes++] = i;
	return 0;
}

/* Sort the names of a directory and queue what they name. */
static int list_dir(struct plan *p, struct tree *t, struct tree_inode *dir)
{
	size_t n = 2;

	for (struct tree_dentry *d = dir->kids; d; d = d->next_kid) {
		if (!d->inode && d->whiteout)
			d->inode = p->whiteout;
		n += d->inode != NULL;
	}
	dir->sorted = arena_get(t->arena, n * sizeof(struct tree_dentry *));
	if (!dir->sorted)
		return -ENOMEM;
	dir->n_kids = (uint32_t)n;
	dir->nlink = 2;
	n = 0;
	dir->sorted[n++] = dot(t, dir, ".");
	dir->sorted[n++] = dot(t, dir->parent, "..");
	if (!dir->sorted[0] || !dir->sorted[1])
		return -ENOMEM;
	for (struct tree_dentry *d = dir->kids; d; d = d->next_kid) {
		if (d->inode)
			dir->sorted[n++] = d;
	}
	qsort(dir->sorted, n, sizeof(struct tree_dentry *), by_name);
	for (size_t i = 0; i < n; i++) {
		struct tree_inode *k = dir->sorted[i]->inode;

		if (k == dir || k == dir->parent)
			continue;
		if (S_ISDIR(k->mode))
			dir->nlink++;
		else
			k->nlink++;
		if (push(p, k) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* Marks of a layer as attributes. */
static int add_marks(struct tree *t, struct tree_inode *i)
{
	int r = 0;

	if (i->opaque)
		r = tree_add_xattr(t, &i->xattrs, MARK_OPAQUE, "y", 1);
	if (r == 0 && i->implied)
		r = tree_add_xattr(t, &i->xattrs, MARK_IMPLIED, "y", 1);
	if (r == 0 && i->link_lower) {
		i->mode = S_IFCHR; /* 0:0 */
		r = tree_add_xattr(t, &i->xattrs, MARK_LINK, i->text, strlen(i->text));
	}
	return r;
}

/* ---- shared attributes --------------------------------------------------------------- */

static int by_content(const void *a, const void *b)
{
	const struct tree_xattr *x = *(struct tree_xattr *const *)a;
	const struct tree_xattr *y = *(struct tree_xattr *const *)b;
	int r = strcmp(x->name, y->name);

	if (r == 0 && x->len != y->len)
		r = x->len < y->len ? -1 : 1;
	if (r == 0 && x->len)
		r = memcmp(x->value, y->value, x->len);
	return r;
}

static uint32_t xattr_bytes(const struct tree_xattr *x)
{
	size_t name = strlen(x->name) - strlen(erofs_prefix_of(x->name)->text);

	return (uint32_t)round_up(sizeof(struct erofs_xattr_entry) + name + x->len, 4);
}

/* Sort all attributes; those that occur twice get an id, in units of 4 bytes. */
static int share_xattrs(struct plan *p)
{
	AUTO_FREE struct tree_xattr **all = NULL;
	size_t n = 0, k = 0;
	uint32_t id = 0;

	for (size_t i = 0; i < p->n_inodes; i++) {
		for (struct tree_xattr *x = p->inodes[i]->xattrs; x; x = x->next)
			n++;
	}
	if (n == 0)
		return 0;
	all = calloc(n, sizeof(struct tree_xattr *));
	p->shared = calloc(n, sizeof(struct tree_xattr *));
	if (!all || !p->shared)
		return -ENOMEM;
	for (size_t i = 0; i < p->n_inodes; i++) {
		for (struct tree_xattr *x = p->inodes[i]->xattrs; x; x = x->next)
			all[k++] = x;
	}
	qsort(all, n, sizeof(struct tree_xattr *), by_content);
	for (size_t i = 0, end; i < n; i = end) {
		for (end = i + 1; end < n && by_content(&all[i], &all[end]) == 0; end++)
			;
		for (size_t j = i; j < end; j++)
			all[j]->shared = end - i > 1 ? id + 1 : 0;
		if (end - i > 1) {
			p->shared[p->n_shared++] = all[i];
			id += xattr_bytes(all[i]) / 4;
		}
	}
	return 0;
}

static void size_xattrs(struct tree_inode *i)
{
	unsigned n_shared = 0;

	if (!i->xattrs)
		return;
	i->xattr_size = sizeof(struct erofs_xattr_header);
	for (struct tree_xattr *x = i->xattrs; x; x = x->next) {
		/* The count has 8 bits. */
		if (x->shared && n_shared++ < UINT8_MAX) {
			i->xattr_size += 4;
		} else {
			x->shared = 0;
			i->xattr_size += xattr_bytes(x);
		}
	}
}

/* ---- sparse files -------------------------------------------------------------------- */

void plan_chunks_start(struct chunk_walk *w, const struct tree_inode *i)
{
	*w = (struct chunk_walk){ .inode = i };
}

bool plan_chunks_next(struct chunk_walk *w)
{
	const struct tree_inode *i = w->inode;
	const struct tree_chunk *c;
	uint64_t end;

	if (w->next >= i->size)
		return false;
	w->start = w->next;
	w->next += 1ull << i->chunk_bits;
	end = w->next < i->size ? w->next : i->size;
	while (w->first < i->n_chunks &&
	       i->chunks[w->first].file_offset + i->chunks[w->first].len <= w->start)
		w->first++;
	c = &i->chunks[w->first];
	if (w->first == i->n_chunks || c->file_offset >= end) {
		w->kind = CHUNK_HOLE;
	} else if (c->file_offset <= w->start && c->file_offset + c->len >= end && !c->copied &&
		   (c->data_offset + (w->start - c->file_offset)) % EROFS_BLOCK == 0) {
		w->kind = CHUNK_DIRECT;
		w->data_offset = c->data_offset + (w->start - c->file_offset);
	} else {
		w->kind = CHUNK_COPY;
	}
	return true;
}

static unsigned low_bit(uint64_t v)
{
	return v ? (unsigned)__builtin_ctzll(v) : 63;
}

/* The largest chunk that fits the map of the archive. */
static uint8_t chunk_bits_of(const struct tree_inode *i)
{
	unsigned bits = CHUNK_BITS_MAX;

	for (uint32_t k = 0; k < i->n_chunks; k++) {
		const struct tree_chunk *c = &i->chunks[k];
		unsigned b = low_bit(c->file_offset);

		if (c->file_offset + c->len < i->size && low_bit(c->len) < b)
			b = low_bit(c->len) >= EROFS_BLOCK_BITS ? low_bit(c->len) : 0;
		if (b < EROFS_BLOCK_BITS)
			b = COPY_BITS;
		if (b < bits)
			bits = b;
	}
	while (bits < CHUNK_BITS_MAX && (i->size >> bits) >= SPARSE_MAP_MAX)
		bits++;
	return (uint8_t)bits;
}

static int plan_sparse(struct plan *p, struct tree_inode *i, struct err *err)
{
	struct chunk_walk w;
	uint64_t n = 0;

	p->any_sparse = true;
	i->chunk_bits = chunk_bits_of(i);
	i->block = 0;
	plan_chunks_start(&w, i);
	while (plan_chunks_next(&w)) {
		n++;
		if (w.kind == CHUNK_COPY)
			p->copied += 1ull << i->chunk_bits;
		if (p->copied > SPARSE_COPY_MAX || p->map_entries + n > SPARSE_MAPS_MAX)
			return err_set(err, ERR_INVALID, "limit-exceeded: maps of sparse files");
	}
	p->map_entries += n;
	i->body = (uint32_t)(n * 4);
	return 0;
}

static void place_copies(struct plan *p, uint64_t *pos)
{
	for (size_t k = 0; k < p->n_inodes; k++) {
		struct tree_inode *i = p->inodes[k];
		struct chunk_walk w;

		if (!S_ISREG(i->mode) || !i->sparse)
			continue;
		plan_chunks_start(&w, i);
		while (plan_chunks_next(&w)) {
			if (w.kind != CHUNK_COPY)
				continue;
			if (!i->block)
				i->block = *pos;
			*pos += 1ull << i->chunk_bits;
		}
	}
}

/* ---- places -------------------------------------------------------------------------- */

/* Place one inode at or behind @pos; its inline body must not cross a block. */
static uint64_t place_inode(struct tree_inode *i, uint64_t pos)
{
	uint64_t head = sizeof(struct erofs_inode) + i->xattr_size;

	pos = round_up(pos, sizeof(struct erofs_inode));
	if (S_ISDIR(i->mode))
		i->body = dir_bytes(i);
	else if (S_ISLNK(i->mode))
		i->body = (uint32_t)i->size;
	if (S_ISDIR(i->mode) || S_ISLNK(i->mode)) {
		uint64_t tail = (pos + head) % EROFS_BLOCK;

		if (tail + i->body <= EROFS_BLOCK) {
			i->inlined = true;
		} else if (head + i->body <= EROFS_BLOCK) {
			i->inlined = true;
			pos = round_up(pos, EROFS_BLOCK);
		}
	}
	i->nid = pos / EROFS_SLOT;
	pos += head;
	if (i->inlined || (S_ISREG(i->mode) && i->sparse))
		pos += i->body;
	return pos;
}

static int place_all(struct plan *p, struct err *err)
{
	uint64_t pos = EROFS_META_OFFSET;

	for (size_t k = 0; k < p->n_inodes; k++) {
		struct tree_inode *i = p->inodes[k];

		size_xattrs(i);
		if (S_ISREG(i->mode) && i->sparse && plan_sparse(p, i, err) < 0)
			return -err->code;
		pos = place_inode(i, pos);
	}
	pos = p->xattr_start = round_up(pos, EROFS_BLOCK);
	for (size_t k = 0; k < p->n_shared; k++)
		pos += xattr_bytes(p->shared[k]);
	for (size_t k = 0; k < p->n_inodes; k++) {
		struct tree_inode *i = p->inodes[k];

		if (i->inlined || !i->body || !(S_ISDIR(i->mode) || S_ISLNK(i->mode)))
			continue;
		i->block = pos = round_up(pos, EROFS_BLOCK);
		pos += i->body;
	}
	pos = p->copies_start = round_up(pos, EROFS_BLOCK);
	place_copies(p, &pos);
	p->meta_size = pos;
	for (size_t k = 0; k < p->n_layers; k++)
		p->data_start[k] = erofs_data_start(p->meta_size, p->layers, k);
	p->disk_size = erofs_data_start(p->meta_size, p->layers, p->n_layers);
	if (p->disk_size / EROFS_BLOCK > EROFS_BLOCKS_MAX - 1)
		return err_set(err, ERR_INVALID, "limit-exceeded: an image has at most 2 TiB");
	return 0;
}

int erofs_plan(struct plan *p, struct tree *t, const struct erofs_layer *layers, size_t n_layers,
	       bool marks, struct err *err)
{
	int r;

	p->layers = layers;
	p->n_layers = n_layers;
	p->cancel = t->cancel;
	p->data_start = calloc(n_layers + 1, sizeof(*p->data_start));
	p->whiteout = tree_new_inode(t, S_IFCHR);
	r = p->data_start && p->whiteout ? push(p, t->root) : -ENOMEM;
	for (size_t k = 0; r == 0 && k < p->n_inodes; k++) {
		struct tree_inode *i = p->inodes[k];

		if (cancel_fired(t->cancel))
			r = -ECANCELED;
		if (r == 0 && marks)
			r = add_marks(t, i);
		if (r == 0 && S_ISDIR(i->mode))
			r = list_dir(p, t, i);
	}
	if (r == 0)
		r = share_xattrs(p);
	return r < 0 ? err_sys(err, -r, "writing a tree") : place_all(p, err);
}
