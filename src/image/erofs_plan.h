/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_EROFS_PLAN_H
#define IMAGE_EROFS_PLAN_H

#include "image/erofs.h"
#include "image/erofs_format.h"

/* First pass of the writer: the place of everything. All offsets in bytes. */
struct plan {
	const struct erofs_layer *layers;
	size_t n_layers;
	struct tree_inode **inodes; /* in the order they are written; the root first */
	size_t n_inodes, cap_inodes;
	struct tree_xattr **shared; /* one of each */
	size_t n_shared;
	uint64_t xattr_start;  /* shared attributes */
	uint64_t copies_start; /* unaligned data */
	uint64_t meta_size;
	uint64_t disk_size;
	uint64_t *data_start; /* by layer */
	bool any_sparse;
	uint64_t map_entries, copied;
	struct tree_inode *whiteout;
	const struct cancel *cancel; /* borrowed: the tree's */
};

int erofs_plan(struct plan *p, struct tree *t, const struct erofs_layer *layers, size_t n_layers,
	       bool marks, struct err *err);
void plan_done(struct plan *p);
static inline void plan_done_auto(struct plan *p)
{
	plan_done(p);
}

/* Number of entries from @at that fit into one block of a directory. */
size_t plan_dir_block(const struct tree_inode *dir, size_t at);

/* The map of a sparse file, chunk by chunk. */
enum chunk_kind { CHUNK_HOLE, CHUNK_DIRECT, CHUNK_COPY };

struct chunk_walk {
	const struct tree_inode *inode;
	uint64_t next;
	/* of the present chunk */
	uint64_t start;
	enum chunk_kind kind;
	uint64_t data_offset; /* CHUNK_DIRECT */
	size_t first;	      /* piece of the archive's map that it begins with */
};

void plan_chunks_start(struct chunk_walk *w, const struct tree_inode *i);
bool plan_chunks_next(struct chunk_walk *w);

const struct erofs_prefix *erofs_prefix_of(const char *name);

#endif /* IMAGE_EROFS_PLAN_H */
