/* SPDX-License-Identifier: Apache-2.0 */
#include "image/tree.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "image/limits.h"

#define HASH_START 256u /* buckets */

int tree_init(struct tree *t, struct arena *arena)
{
	*t = (struct tree){ .arena = arena, .n_hash = HASH_START, .max_entries = UINT64_MAX };
	t->hash = calloc(t->n_hash, sizeof(struct tree_dentry *));
	t->root = tree_new_inode(t, S_IFDIR | 0755);
	if (!t->hash || !t->root) {
		tree_done(t);
		return -ENOMEM;
	}
	t->root->parent = t->root;
	t->root->implied = true;
	return 0;
}

void tree_done(struct tree *t)
{
	free(t->hash);
	free(t->links);
	*t = (struct tree){ 0 };
}

static uint64_t hash_of(const struct tree_inode *dir, const char *name, size_t len)
{
	uint64_t h = (uintptr_t)dir * 0x9e3779b97f4a7c15ull; /* FNV-1a from there on */

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)name[i]) * 0x100000001b3ull;
	return h ^ h >> 29;
}

struct tree_dentry *tree_lookup(const struct tree *t, const struct tree_inode *dir,
				const char *name, size_t len)
{
	struct tree_dentry *d = t->hash[hash_of(dir, name, len) & (t->n_hash - 1)];

	for (; d; d = d->next_hash) {
		if (d->dir == dir && d->len == len && memcmp(d->name, name, len) == 0)
			return d;
	}
	return NULL;
}

static int rehash(struct tree *t)
{
	size_t n = t->n_hash * 2;
	struct tree_dentry **hash = calloc(n, sizeof(struct tree_dentry *));

	if (!hash)
		return -ENOMEM;
	for (size_t i = 0; i < t->n_hash; i++) {
		struct tree_dentry *next;

		for (struct tree_dentry *d = t->hash[i]; d; d = next) {
			size_t to = hash_of(d->dir, d->name, d->len) & (n - 1);

			next = d->next_hash;
			d->next_hash = hash[to];
			hash[to] = d;
		}
	}
	free(t->hash);
	t->hash = hash;
	t->n_hash = n;
	return 0;
}

struct tree_dentry *tree_name(struct tree *t, struct tree_inode *dir, const char *name, size_t len)
{
	struct tree_dentry *d = tree_lookup(t, dir, name, len);
	size_t slot;

	if (d)
		return d;
	if (t->n_dentries >= t->n_hash && rehash(t) < 0)
		return NULL;
	d = arena_get(t->arena, sizeof(*d) + len + 1);
	if (!d)
		return NULL;
	d->len = (uint8_t)len; /* at most NAME_BYTES_MAX */
	memcpy(d->name, name, len);
	d->dir = dir;
	slot = hash_of(dir, name, len) & (t->n_hash - 1);
	d->next_hash = t->hash[slot];
	t->hash[slot] = d;
	d->next_kid = dir->kids;
	dir->kids = d;
	t->n_dentries++;
	return d;
}

struct tree_inode *tree_new_inode(struct tree *t, uint32_t mode)
{
	struct tree_inode *i = arena_get(t->arena, sizeof(*i));

	if (i)
		i->mode = mode;
	return i;
}

struct tree_inode *tree_new_dir(struct tree *t, struct tree_inode *dir, uint32_t mode)
{
	struct tree_inode *i = tree_new_inode(t, S_IFDIR | mode);

	if (i) {
		i->parent = dir;
		i->depth = (uint16_t)(dir->depth + 1);
	}
	return i;
}

/* A walk in progress: texts of symlinks are put in front of what is left of the path. */
struct walk {
	struct tree *t;
	struct tree_inode *dir;
	char *text; /* what is left to do, at its end */
	size_t at, size;
	unsigned links;
	bool make;
};

#define WALK_BYTES ((size_t)4 * PATH_BYTES_MAX)

static int walk_symlink(struct walk *w, const char *target)
{
	size_t n = strlen(target);

	if (++w->links > SYMLINKS_MAX)
		return -ELOOP;
	if (w->at < n + 1)
		return -ENAMETOOLONG;
	w->at -= n + 1;
	memcpy(w->text + w->at, target, n);
	w->text[w->at + n] = '/';
	if (target[0] == '/')
		w->dir = w->t->root;
	return 0;
}

/* Where no directory is, make one. */
static int walk_make(struct walk *w, const char *name, size_t len, struct tree_dentry *d)
{
	struct tree_inode *i;

	if (w->dir->depth >= TREE_DEPTH_MAX || len > NAME_BYTES_MAX)
		return -ENAMETOOLONG;
	if (!d)
		d = tree_name(w->t, w->dir, name, len);
	i = d ? tree_new_dir(w->t, w->dir, 0755) : NULL;
	if (!i)
		return -ENOMEM;
	i->implied = true;
	i->target = d;
	d->inode = i;
	w->dir = i;
	return 0;
}

static int walk_step(struct walk *w, const char *name, size_t len)
{
	struct tree_dentry *d;

	if (len == 0 || (len == 1 && name[0] == '.'))
		return 0;
	if (len == 2 && name[0] == '.' && name[1] == '.') {
		w->dir = w->dir->parent;
		return 0;
	}
	d = tree_lookup(w->t, w->dir, name, len);
	if (d && d->inode && S_ISDIR(d->inode->mode)) {
		w->dir = d->inode;
		return 0;
	}
	if (d && d->inode && S_ISLNK(d->inode->mode))
		return walk_symlink(w, d->inode->text);
	if (w->make)
		return walk_make(w, name, len, d);
	w->dir = NULL;
	return 0;
}

static int walk(struct tree *t, struct tree_inode *dir, const char *path, size_t len, bool make,
		struct tree_inode **ret)
{
	char text[WALK_BYTES];
	struct walk w = { .t = t, .dir = dir, .text = text, .size = WALK_BYTES, .make = make };
	int r = 0;

	if (len > PATH_BYTES_MAX)
		return -ENAMETOOLONG;
	w.at = WALK_BYTES - len;
	memcpy(text + w.at, path, len);
	while (r == 0 && w.at < w.size && w.dir) {
		const char *name = text + w.at, *slash = memchr(name, '/', w.size - w.at);
		size_t n = slash ? (size_t)(slash - name) : w.size - w.at;

		w.at += n + (slash != NULL);
		r = walk_step(&w, name, n);
	}
	if (r == 0)
		*ret = w.dir;
	return r;
}

int tree_walk(struct tree *t, const char *path, size_t len, bool make, struct tree_inode **ret)
{
	return walk(t, t->root, path, len, make, ret);
}

int tree_walk_from(struct tree *t, struct tree_inode *dir, const char *text, bool make,
		   struct tree_inode **ret)
{
	return walk(t, text[0] == '/' ? t->root : dir, text, strlen(text), make, ret);
}

int tree_clean_path(const char *path, char *out)
{
	size_t n = 0;

	if (path[0] == '\0')
		return -EINVAL;
	while (*path) {
		size_t len = strcspn(path, "/");

		if (len == 2 && memcmp(path, "..", 2) == 0)
			return -EINVAL;
		if (len > NAME_BYTES_MAX)
			return -ENAMETOOLONG;
		if (len > 0 && !(len == 1 && path[0] == '.')) {
			if (n + len + 1 > PATH_BYTES_MAX)
				return -ENAMETOOLONG;
			if (n > 0)
				out[n++] = '/';
			memcpy(out + n, path, len);
			n += len;
		}
		path += len + (path[len] == '/');
	}
	out[n] = '\0';
	return 0;
}
