/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "image/limits.h"
#include "image/tree.h"

/*
 * DOC: from archive to tree
 *
 * What the entries of one layer mean, taken in their order; the last one of a name wins.  Marks
 * that speak of lower layers (whiteouts, opaque directories, implied parents, links to lower
 * names) are kept as marks and resolved by the merge.
 */
#define WH     ".wh."
#define WH_LEN 4
#define WH_WH  ".wh..wh."
#define WH_OPQ ".wh..wh..opq"

static int bad_entry(const struct tar_entry *e, struct err *err, const char *what)
{
	return err_set(err, ERR_INVALID, "\"%.200s\" at byte %" PRIu64 ": %s", e->name, e->offset,
		       what);
}

static int bad_path(const struct tar_entry *e, int r, struct err *err)
{
	switch (r) {
	case -ENOMEM:
		return err_no_memory(err);
	case -ELOOP:
		return bad_entry(e, err, "too many symlinks on its way");
	case -ENAMETOOLONG:
		return bad_entry(e, err, "limit-exceeded: the name is too long");
	default:
		return bad_entry(e, err, "a name that is empty or climbs out of the root");
	}
}

static int fill_chunks(struct tree *t, const struct tar_entry *e, struct tree_inode *i)
{
	i->sparse = true;
	if (e->n_chunks == 0)
		return 0;
	i->chunks = arena_get(t->arena, e->n_chunks * sizeof(*i->chunks));
	if (!i->chunks)
		return -ENOMEM;
	for (size_t k = 0; k < e->n_chunks; k++) {
		if (e->chunks[k].len == 0)
			continue;
		i->chunks[i->n_chunks++] = (struct tree_chunk){
			.file_offset = e->chunks[k].file_offset,
			.len = e->chunks[k].len,
			.data_offset = e->chunks[k].data_offset,
		};
	}
	return 0;
}

static uint32_t type_bits(enum tar_type type)
{
	static const uint32_t bits[] = {
		[TAR_FILE] = S_IFREG, [TAR_DIR] = S_IFDIR,  [TAR_SYMLINK] = S_IFLNK,
		[TAR_LINK] = S_IFREG, [TAR_CHAR] = S_IFCHR, [TAR_BLOCK] = S_IFBLK,
		[TAR_FIFO] = S_IFIFO,
	};

	return bits[type];
}

/* Metadata of the entry into @i. */
static int fill(struct tree *t, const struct tar_entry *e, struct tree_inode *i, struct err *err)
{
	/* Linux has one mode for symlinks, whatever the archive says. */
	i->mode = type_bits(e->type) | (e->type == TAR_SYMLINK ? 0777 : e->mode);
	i->uid = e->uid;
	i->gid = e->gid;
	i->mtime = e->mtime;
	i->mtime_ns = e->mtime_ns;
	i->rdev_major = e->major;
	i->rdev_minor = e->minor;
	i->implied = false;
	i->xattrs = NULL;
	if (e->type == TAR_FILE) {
		i->size = e->size;
		i->data_offset = e->data_offset;
		if (e->sparse && fill_chunks(t, e, i) < 0)
			return bad_path(e, -ENOMEM, err);
	} else if (e->type == TAR_SYMLINK) {
		size_t n = strlen(e->link);
		char *text;

		if (n == 0 || n > TARGET_BYTES_MAX)
			return bad_entry(e, err, "limit-exceeded: symlink target");
		text = arena_get(t->arena, n + 1);
		if (!text)
			return bad_path(e, -ENOMEM, err);
		memcpy(text, e->link, n);
		i->text = text;
		i->size = n;
	}
	return tree_take_xattrs(t, e, &i->xattrs, err);
}

/* The path of @name in @dir. */
static char *path_of(struct tree *t, const struct tree_inode *dir, const char *name)
{
	size_t n = strlen(name), len = n, at;
	char *out;

	for (const struct tree_inode *i = dir; i != i->parent; i = i->parent)
		len += i->target->len + 1u;
	out = arena_get(t->arena, len + 1);
	if (!out)
		return NULL;
	at = len - n;
	memcpy(out + at, name, n + 1);
	for (const struct tree_inode *i = dir; i != i->parent; i = i->parent) {
		out[--at] = '/';
		at -= i->target->len;
		memcpy(out + at, i->target->name, i->target->len);
	}
	return out;
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static size_t parent_len(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) : 0;
}

/* What a path names in this layer now; *ret_dir is NULL if its folder is not there. */
static int find(struct tree *t, const char *path, struct tree_inode **ret_dir,
		struct tree_dentry **ret)
{
	const char *name = last_part(path);
	int r = tree_walk(t, path, parent_len(path), false, ret_dir);

	*ret = r == 0 && *ret_dir ? tree_lookup(t, *ret_dir, name, strlen(name)) : NULL;
	return r;
}

static int add_link(struct tree *t, const struct tar_entry *e, struct tree_dentry *d,
		    struct err *err)
{
	char path[PATH_BYTES_MAX + 1];
	struct tree_inode *dir, *i;
	struct tree_dentry *to;
	int r = tree_clean_path(e->link, path);

	if (r < 0 || path[0] == '\0')
		return err_set(err, ERR_INVALID,
			       "hard link \"%.200s\" to \"%.200s\": broken target", e->name,
			       e->link);
	r = find(t, path, &dir, &to);
	if (r < 0)
		return bad_path(e, r, err);
	/* One without an entry may be something else below. */
	if (to && to->inode && S_ISDIR(to->inode->mode) && !to->inode->implied)
		return err_set(err, ERR_INVALID, "hard link \"%.200s\" to the directory \"%.200s\"",
			       e->name, e->link);
	if (to == d && d->inode)
		return 0; /* to itself */
	if (to && to->inode && !S_ISDIR(to->inode->mode) && !to->inode->link_lower) {
		d->inode = to->inode;
		return 0;
	}
	if (t->n_links == t->cap_links) {
		size_t cap = t->cap_links ? 2 * t->cap_links : 16;
		struct tree_inode **p = reallocarray(t->links, cap, sizeof(struct tree_inode *));

		if (!p)
			return bad_path(e, -ENOMEM, err);
		t->links = p;
		t->cap_links = cap;
	}
	i = tree_new_inode(t, S_IFREG);
	if (!i)
		return bad_path(e, -ENOMEM, err);
	i->text = path_of(t, t->root, path);
	if (!i->text)
		return bad_path(e, -ENOMEM, err);
	i->link_lower = true;
	i->target = d; /* its own name, until tree_finish() */
	d->inode = i;
	t->links[t->n_links++] = i;
	return 0;
}

static int add_dir(struct tree *t, const struct tar_entry *e, struct tree_inode *dir,
		   struct tree_dentry *d, struct err *err)
{
	if (dir->depth >= TREE_DEPTH_MAX)
		return bad_path(e, -ENAMETOOLONG, err);
	if (!d->inode || !S_ISDIR(d->inode->mode)) {
		struct tree_inode *i = tree_new_dir(t, dir, 0);

		if (!i)
			return bad_path(e, -ENOMEM, err);
		i->target = d;
		d->inode = i;
	}
	return fill(t, e, d->inode, err);
}

static int add_plain(struct tree *t, const struct tar_entry *e, struct tree_inode *dir,
		     const char *name, struct err *err)
{
	struct tree_dentry *d = tree_name(t, dir, name, strlen(name));
	struct tree_inode *i;

	if (!d)
		return bad_path(e, -ENOMEM, err);
	if (t->n_dentries > t->max_entries)
		return limit_exceeded(err, "entries", t->n_dentries, t->max_entries);
	if (e->type == TAR_DIR)
		return add_dir(t, e, dir, d, err);
	/* The lower one of that name is gone, even if a directory takes this one's place. */
	d->whiteout = true;
	if (e->type == TAR_LINK)
		return add_link(t, e, d, err);
	if (e->type == TAR_CHAR && e->major == 0 && e->minor == 0)
		return 0;
	i = tree_new_inode(t, 0);
	if (!i)
		return bad_path(e, -ENOMEM, err);
	if (fill(t, e, i, err) < 0)
		return -err->code;
	d->inode = i;
	return 0;
}

static int add_mark(struct tree *t, const struct tar_entry *e, struct tree_inode *dir,
		    const char *name, struct err *err)
{
	struct tree_dentry *d;

	if (strcmp(name, WH_OPQ) == 0) {
		dir->opaque = true;
		return 0;
	}
	if (strncmp(name, WH_WH, strlen(WH_WH)) == 0)
		return 0; /* bookkeeping of aufs */
	name += WH_LEN;
	if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return bad_entry(e, err, "a whiteout of nothing");
	d = tree_name(t, dir, name, strlen(name));
	if (!d)
		return bad_path(e, -ENOMEM, err);
	d->whiteout = true;
	return 0;
}

/* Marks are leaves: below one there is nothing of ours. 1: drop the entry. */
static int below_mark(const struct tar_entry *e, const char *path, struct err *err)
{
	const char *p = path, *slash;

	for (; (slash = strchr(p, '/')) != NULL; p = slash + 1) {
		if (strncmp(p, WH_WH, strlen(WH_WH)) == 0)
			return 1;
		if (strncmp(p, WH, WH_LEN) == 0)
			return bad_entry(e, err, "an entry below a whiteout");
	}
	return 0;
}

int tree_add(struct tree *t, const struct tar_entry *e, struct err *err)
{
	char path[PATH_BYTES_MAX + 1];
	struct tree_inode *dir;
	const char *name;
	int r = tree_clean_path(e->name, path);

	if (r < 0)
		return bad_path(e, r, err);
	if (path[0] == '\0') {
		if (e->type != TAR_DIR)
			return bad_entry(e, err, "a root that is no directory");
		return fill(t, e, t->root, err);
	}
	r = below_mark(e, path, err);
	if (r != 0)
		return r < 0 ? r : 0;
	name = last_part(path);
	if (strncmp(name, WH_WH, strlen(WH_WH)) == 0 && strcmp(name, WH_OPQ) != 0)
		return 0; /* must not make its parents */
	r = tree_walk(t, path, parent_len(path), true, &dir);
	if (r < 0)
		return bad_path(e, r, err);
	if (strncmp(name, WH, WH_LEN) == 0)
		return add_mark(t, e, dir, name, err);
	return add_plain(t, e, dir, name, err);
}

/* What the placeholder @i stands for in this layer; NULL: no file, look below. */
static int link_target(struct tree *t, struct tree_inode *i, struct tree_dentry **ret)
{
	struct tree_inode *dir;
	struct tree_dentry *d;
	int r = find(t, i->text, &dir, &d);

	*ret = d && d->inode && !S_ISDIR(d->inode->mode) ? d : NULL;
	if (r == 0 && !*ret && dir && parent_len(i->text) > 0) {
		/* Its folder may have been reached by a symlink of this layer. */
		i->text = path_of(t, dir, last_part(i->text));
		if (!i->text)
			return -ENOMEM;
		if (strlen(i->text) > PATH_BYTES_MAX)
			return -ENAMETOOLONG;
	}
	return r;
}

static int no_target(const struct tree_inode *i, const char *text, const char *what,
		     struct err *err)
{
	return err_set(err, ERR_INVALID, "hard link \"%.200s\" to \"%.200s\": %s", i->target->name,
		       text, what);
}

/*
 * Follow a chain of placeholders to its end and let all of them know it in ->tmp; a placeholder
 * for something below is its own end.  ->ino is @id for those seen in this chain.
 */
static int resolve(struct tree *t, struct tree_inode *first, uint32_t id, struct err *err)
{
	struct tree_inode *i = first, *end, *next;

	while (i->link_lower && !i->tmp) {
		struct tree_dentry *d;
		const char *text = i->text;
		int r = link_target(t, i, &d);

		i->ino = id;
		if (r == -ENOMEM)
			return err_no_memory(err);
		if (r < 0)
			return no_target(i, text, "no way to it", err);
		if (d && d->inode->link_lower && d->inode->ino == id)
			return no_target(i, text, "there is no such file", err);
		i->tmp = d ? d->inode : i;
		if (!d)
			break;
		i = d->inode;
	}
	end = i->link_lower ? i->tmp : i;
	for (i = first; i != end && i->link_lower; i = next) {
		next = i->tmp;
		i->tmp = end;
	}
	return 0;
}

/* A whiteout beside a directory of the same layer makes that directory opaque. */
static void settle_whiteouts(struct tree_inode *dir)
{
	for (struct tree_dentry *d = dir->kids; d; d = d->next_kid) {
		struct tree_inode *i = d->inode;

		if (!i || !S_ISDIR(i->mode))
			continue;
		if (d->whiteout) {
			i->opaque = true;
			i->implied = false;
		}
		settle_whiteouts(i);
	}
}

int tree_finish(struct tree *t, struct err *err)
{
	for (size_t k = 0; k < t->n_links; k++) {
		struct tree_inode *i = t->links[k];

		if (i->target->inode == i && resolve(t, i, (uint32_t)k + 1, err) < 0)
			return -err->code;
	}
	for (size_t k = 0; k < t->n_links; k++) {
		struct tree_inode *i = t->links[k];

		if (i->target->inode == i && i->tmp)
			i->target->inode = i->tmp;
		i->ino = 0;
	}
	for (size_t k = 0; k < t->n_links; k++)
		t->links[k]->tmp = NULL;
	settle_whiteouts(t->root);
	return 0;
}
