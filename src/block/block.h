/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BLOCK_BLOCK_H
#define BLOCK_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/defer.h"
#include "base/err.h"

/*
 * What a disk is made of.  A back end knows no guest: it gets offsets and memory.  All
 * calls block and come from one thread at a time.  Offsets and lengths are bytes, multiples
 * of BLOCK_SECTOR, and lie within size: block_readv() and the others check that once, for
 * all back ends.
 */
#define BLOCK_SECTOR 512

struct block;
struct iov_pos;

struct block_ops {
	/* Fill @len bytes of the vector from @offset, or write them there. 0 or -errno. */
	int (*read)(struct block *b, struct iov_pos *pos, uint64_t offset, uint64_t len);
	int (*write)(struct block *b, struct iov_pos *pos, uint64_t offset, uint64_t len);
	/* Give the range back to the host; it may read as anything afterwards. */
	int (*discard)(struct block *b, uint64_t offset, uint64_t len);
	/* The range reads as zeros afterwards; @unmap: it need not stay allocated. */
	int (*write_zeroes)(struct block *b, uint64_t offset, uint64_t len, bool unmap);
	/* What was written is on stable storage. */
	int (*flush)(struct block *b);
	void (*free)(struct block *b);
};

/* Embedded first in each back end's own struct. */
struct block {
	const struct block_ops *ops;
	uint64_t size;	/* bytes; a multiple of BLOCK_SECTOR */
	bool read_only; /* no byte of it can be written */
};

/* 0, -EINVAL outside the disk or not aligned, -EROFS for a read-only range, else the host's. */
MUST_CHECK int block_readv(struct block *b, const struct iovec *iov, int n_iov, uint64_t offset);
MUST_CHECK int block_writev(struct block *b, const struct iovec *iov, int n_iov, uint64_t offset);
MUST_CHECK int block_discard(struct block *b, uint64_t offset, uint64_t len);
MUST_CHECK int block_write_zeroes(struct block *b, uint64_t offset, uint64_t len, bool unmap);
MUST_CHECK int block_flush(struct block *b);
void block_free(struct block *b);
DEFINE_AUTO(struct block *, block_free);

/* A piece of a disk that lies in a raw file, or in another back end. */
struct block_extent {
	uint64_t disk_offset; /* bytes; ascending, no overlap; a multiple of BLOCK_SECTOR */
	uint64_t file_offset; /* bytes; a multiple of BLOCK_SECTOR */
	uint64_t len;	      /* bytes; the disk rounds it up to a sector; past the file's end
			       * reads as zeros */
	int fd; /* owned by the disk once it is made; a dup() where they share a file */
	struct block *block; /* in place of fd, NULL: a file; owned by the disk once it is made */
	bool writable;	     /* else writes fail with -EROFS */
	bool volatile_data;  /* flush does nothing: nobody will want it after a crash */
};

/**
 * block_extents_new() - A disk of extents, gaps read as zeros and cannot be written
 * @extents:	Copied; every fd is a descriptor of its own; a block lies within its size
 * @size:	Of the whole disk
 * Return: 0; -EINVAL for overlap, order, alignment or overflow; -ENOMEM. On failure
 * descriptors and blocks stay with the caller.
 */
MUST_CHECK int block_extents_new(const struct block_extent *extents, size_t n, uint64_t size,
				 struct block **ret_block);

#endif /* BLOCK_BLOCK_H */
