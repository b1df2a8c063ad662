/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/cancel.h"
#include "image/erofs.h"
#include "image/limits.h"

/*
 * DOC: merge
 *
 * One layer laid over the tree of those below.  Links to lower names are looked up first, while
 * the lower tree is still as the layer's maker saw it; then whiteouts and opaque marks hide, and
 * the entries are put in place.
 */
static int find_lower(struct tree *t, struct tree_dentry *link, struct err *err)
{
	const char *text = link->inode->text, *slash = strrchr(text, '/');
	const char *name = slash ? slash + 1 : text;
	struct tree_inode *dir = NULL;
	struct tree_dentry *d = NULL;
	int r = tree_walk(t, text, slash ? (size_t)(slash - text) : 0, false, &dir);

	if (r == -ENOMEM)
		return err_no_memory(err);
	if (r == 0 && dir)
		d = tree_lookup(t, dir, name, strlen(name));
	if (!d || !d->inode || S_ISDIR(d->inode->mode))
		return err_set(err, ERR_INVALID, "hard link \"%.200s\" to \"%.200s\": %s",
			       link->name, text,
			       d && d->inode ? "it is a directory" : "there is no such file");
	link->inode->tmp = d->inode;
	return 0;
}

static int find_links(struct tree *t, struct tree_inode *dir, struct err *err)
{
	for (struct tree_dentry *d = dir->kids; d; d = d->next_kid) {
		if (!d->inode)
			continue;
		if (d->inode->link_lower && !d->inode->tmp && find_lower(t, d, err) < 0)
			return -err->code;
		if (S_ISDIR(d->inode->mode) && find_links(t, d->inode, err) < 0)
			return -err->code;
	}
	return 0;
}

static void take_metadata(struct tree_inode *to, const struct tree_inode *from)
{
	to->mode = from->mode;
	to->uid = from->uid;
	to->gid = from->gid;
	to->mtime = from->mtime;
	to->mtime_ns = from->mtime_ns;
	to->xattrs = from->xattrs;
}

/* The directory that an upper one lands in: *ret. */
static int landing(struct tree *t, struct tree_inode *dir, struct tree_dentry *lower,
		   const struct tree_inode *upper, struct tree_inode **ret)
{
	struct tree_inode *i = lower->inode;

	/* Only implied: a symlink below is followed, if it leads to a directory. */
	if (i && S_ISLNK(i->mode) && upper->implied) {
		char path[TARGET_BYTES_MAX + 1];
		int r;

		(void)snprintf(path, sizeof(path), "%s", i->text);
		r = tree_walk_from(t, dir, path, false, ret);
		if (r == -ENOMEM)
			return r;
		if (r == 0 && *ret)
			return 0;
	}
	if (!i || !S_ISDIR(i->mode)) {
		i = tree_new_dir(t, dir, 0755);
		if (!i)
			return -ENOMEM;
		i->target = lower;
		lower->inode = i;
	}
	*ret = i;
	return 0;
}

static int put(struct tree *t, struct tree_inode *dir, struct tree_dentry *d, struct err *err);

static int put_kids(struct tree *t, struct tree_inode *to, struct tree_inode *upper,
		    struct err *err)
{
	if (cancel_check(t->cancel, err) < 0)
		return -err->code;
	if (upper->opaque) {
		for (struct tree_dentry *k = to->kids; k; k = k->next_kid)
			k->inode = NULL;
	}
	if (!upper->implied)
		take_metadata(to, upper);
	for (struct tree_dentry *k = upper->kids; k; k = k->next_kid) {
		if (put(t, to, k, err) < 0)
			return -err->code;
	}
	return 0;
}

static int put(struct tree *t, struct tree_inode *dir, struct tree_dentry *d, struct err *err)
{
	struct tree_dentry *lower;
	struct tree_inode *i = d->inode, *to = NULL;

	if (!i) {
		if (d->whiteout && (lower = tree_lookup(t, dir, d->name, d->len)) != NULL)
			lower->inode = NULL;
		return 0;
	}
	lower = tree_name(t, dir, d->name, d->len);
	if (!lower)
		return err_no_memory(err);
	if (!S_ISDIR(i->mode)) {
		lower->inode = i->link_lower ? i->tmp : i;
		return 0;
	}
	if (dir->depth >= TREE_DEPTH_MAX)
		return err_set(err, ERR_INVALID, "limit-exceeded: directories are too deep");
	if (landing(t, dir, lower, i, &to) < 0)
		return err_no_memory(err);
	return put_kids(t, to, i, err);
}

int merge_layer(struct tree *t, struct tree *upper, struct err *err)
{
	if (find_links(t, upper->root, err) < 0)
		return -err->code;
	return put_kids(t, t->root, upper->root, err);
}
