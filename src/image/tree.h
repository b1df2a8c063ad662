/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_TREE_H
#define IMAGE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/defer.h"
#include "base/err.h"
#include "tar/tar.h"

/*
 * A tree of files in memory: of one layer, or merged.  All of it lives in one arena and ends with
 * it; what is replaced stays allocated till then.
 */
struct arena {
	struct arena_chunk *chunks;
};

void arena_done(struct arena *a);
static inline void arena_done_auto(struct arena *a)
{
	arena_done(a);
}
/* Zeroed memory; NULL when out of memory. */
void *arena_get(struct arena *a, size_t len);

struct tree_xattr {
	struct tree_xattr *next; /* sorted by name */
	const char *name;	 /* "user.foo" */
	const uint8_t *value;
	uint32_t len;
	uint32_t shared; /* erofs writer: id in the shared area + 1; 0: inline */
};

/* Layer number of bytes that lie in the tree file itself. */
#define LAYER_COPY UINT16_MAX

struct tree_chunk {
	uint64_t file_offset;
	uint64_t len;
	uint64_t data_offset; /* in the data file, or in the tree file */
	bool copied;	      /* in the tree file */
};

struct tree_dentry;

struct tree_inode {
	uint32_t mode; /* type and 12 bits */
	uint32_t uid, gid;
	uint32_t rdev_major, rdev_minor;
	uint32_t mtime_ns;
	int64_t mtime;
	uint64_t size;
	uint64_t data_offset; /* of a file's content in its data file */
	struct tree_xattr *xattrs;
	const char *text; /* target of a symlink; name that a link to a lower layer means */
	struct tree_chunk *chunks; /* sparse files */
	uint32_t n_chunks;
	uint16_t layer; /* index of the data file */
	uint16_t depth; /* of a directory */
	bool sparse : 1;
	bool implied : 1;	    /* a parent without an entry of its own */
	bool opaque : 1;	    /* hides all lower children */
	bool link_lower : 1;	    /* a hard link whose target is in a lower layer */
	struct tree_inode *parent;  /* of a directory; the root's is itself */
	struct tree_dentry *kids;   /* of a directory, unordered */
	struct tree_dentry *target; /* name of a directory; of a link's placeholder */
	struct tree_inode *tmp;	    /* merge: what it became */

	/* erofs writer only */
	uint64_t nid;
	uint64_t block; /* of out-of-line content */
	uint32_t nlink, ino, n_kids;
	uint32_t xattr_size;
	uint32_t body; /* bytes of a directory, of a symlink, of a chunk map */
	uint8_t chunk_bits;
	bool inlined : 1, seen : 1;
	struct tree_dentry **sorted;
};

struct tree_dentry {
	struct tree_dentry *next_hash;
	struct tree_dentry *next_kid;
	struct tree_inode *dir;
	struct tree_inode *inode; /* NULL: there is nothing of that name (any more) */
	bool whiteout;		  /* hides the name in lower layers */
	uint8_t len;
	char name[]; /* ends with NUL */
};

struct cancel;

struct tree {
	struct arena *arena; /* borrowed */
	struct tree_inode *root;
	struct tree_dentry **hash;
	size_t n_hash; /* a power of two */
	size_t n_dentries;
	uint64_t max_entries; /* of a layer */
	/* Ends reading, merging and writing it: CANCELLED, -ECANCELED. Borrowed; NULL: nothing does. */
	const struct cancel *cancel;
	struct tree_inode **links; /* placeholders of hard links, in order */
	size_t n_links, cap_links;
	unsigned n_warnings;
};

MUST_CHECK int tree_init(struct tree *t, struct arena *arena);
void tree_done(struct tree *t);
static inline void tree_done_auto(struct tree *t)
{
	tree_done(t);
}

struct tree_dentry *tree_lookup(const struct tree *t, const struct tree_inode *dir,
				const char *name, size_t len);
/* The name in @dir, made if missing (without an inode); NULL: no memory. */
struct tree_dentry *tree_name(struct tree *t, struct tree_inode *dir, const char *name, size_t len);
struct tree_inode *tree_new_inode(struct tree *t, uint32_t mode);
/* A directory below @dir; NULL: no memory. */
struct tree_inode *tree_new_dir(struct tree *t, struct tree_inode *dir, uint32_t mode);

/**
 * tree_walk() - The directory that a path without "..", of @len bytes, means
 * @make:	Make missing directories as implied ones, also where something else stands
 * @ret:	NULL if there is none and @make is not set
 * Return: 0, -ENOMEM, -ELOOP, -ENAMETOOLONG (too deep)
 *
 * Symlinks on the way are followed inside the root.
 */
MUST_CHECK int tree_walk(struct tree *t, const char *path, size_t len, bool make,
			 struct tree_inode **ret);

/* The same for the text of a symlink in @dir, which may have "..". */
MUST_CHECK int tree_walk_from(struct tree *t, struct tree_inode *dir, const char *text, bool make,
			      struct tree_inode **ret);

/* An entry of a layer archive, with all rules of docs/internals/image.md. @err: INVALID */
MUST_CHECK int tree_add(struct tree *t, const struct tar_entry *e, struct err *err);
/* The layer is complete: resolve links to later names. */
MUST_CHECK int tree_finish(struct tree *t, struct err *err);

/**
 * tree_clean_path() - Without leading "/" and "./", double and trailing slashes
 * @out:	PATH_BYTES_MAX + 1 bytes; "" is the root
 * Return: 0, -EINVAL ("..", empty), -ENAMETOOLONG
 */
MUST_CHECK int tree_clean_path(const char *path, char *out);

/* Attributes of an entry that we keep, sorted; counts warnings. @err: INVALID, UNAVAILABLE */
MUST_CHECK int tree_take_xattrs(struct tree *t, const struct tar_entry *e, struct tree_xattr **ret,
				struct err *err);
/* Add one; name and value are copied. */
MUST_CHECK int tree_add_xattr(struct tree *t, struct tree_xattr **list, const char *name,
			      const void *value, size_t len);

#endif /* IMAGE_TREE_H */
