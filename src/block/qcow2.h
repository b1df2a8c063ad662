/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BLOCK_QCOW2_H
#define BLOCK_QCOW2_H

#include "block/block.h"

/*
 * Reading qcow2 images, versions 2 and 3 (the format's description: docs/interop/qcow2 of QEMU).
 * An image is hostile: nothing of it is believed, no path in it is ever opened, and what would
 * need another file, a key or a feature that is not known is refused.  Snapshots are ignored.
 */
#define QCOW2_MAGIC    0x514649fbu  /* "QFI\xfb" */
#define QCOW2_DISK_MAX (1ull << 44) /* bytes, 16 TiB: what a layer over it can hold */
#define QCOW2_L1_MAX   (32u << 20)  /* bytes of the L1 table; QEMU writes no larger one */

enum qcow2_packing { QCOW2_DEFLATE, QCOW2_ZSTD, QCOW2_PACKING_MAX };

/* What a header says that matters for reading, checked. */
struct qcow2_header {
	uint32_t version;
	uint32_t cluster_bits; /* 9 to 21 */
	uint64_t disk_size;    /* bytes, not 0, at most QCOW2_DISK_MAX */
	uint64_t l1_offset;    /* bytes, of whole clusters; the table lies in the file */
	uint32_t l1_used;      /* entries of the table that the disk needs */
	enum qcow2_packing packing;
};

#define QCOW2_HEADER_MAX 112 /* bytes of it that are looked at */

/**
 * qcow2_header_parse() - Check the first bytes of an image
 * @data:	The file's first bytes, at least QCOW2_HEADER_MAX of them if it has as many
 * @file_size:	Bytes of the whole file
 * @path:	For messages
 * @err:	INVALID, with the field and what to do
 */
MUST_CHECK int qcow2_header_parse(const void *data, size_t len, uint64_t file_size,
				  const char *path, struct qcow2_header *ret_header,
				  struct err *err);

enum qcow2_kind { QCOW2_HOLE, QCOW2_DATA, QCOW2_PACKED, QCOW2_KIND_MAX };

/* Where a cluster of the disk is. */
struct qcow2_place {
	enum qcow2_kind kind;
	uint64_t offset; /* bytes in the file; DATA: of whole clusters */
	uint32_t len;	 /* PACKED: bytes at most, whole sectors from the first one on */
};

struct qcow2;

/**
 * qcow2_open() - An image as a read-only disk
 * @fd:		Owned by the result; stays with the caller on failure
 * @path:	For messages; borrowed for the call
 * @err:	INVALID, IO, UNAVAILABLE (memory)
 *
 * Tables are read as they are needed and each entry is checked at each use: what is wrong
 * is -EIO for the part of the disk it stands for, and so is a packed cluster. At most 2 MiB of
 * tables are in memory. One thread at a time.
 */
MUST_CHECK int qcow2_open(int fd, const char *path, struct qcow2 **ret_q, struct err *err);
/* The disk; freeing it frees the image. */
struct block *qcow2_block(struct qcow2 *q);
void qcow2_free(struct qcow2 *q);
DEFINE_AUTO(struct qcow2 *, qcow2_free);
const struct qcow2_header *qcow2_header(const struct qcow2 *q);

/* Where the cluster that holds @offset of the disk is. -EIO: a table is wrong. */
MUST_CHECK int qcow2_find(struct qcow2 *q, uint64_t offset, struct qcow2_place *ret_place);

/* Clusters of an image by what they are. */
struct qcow2_count {
	uint64_t data, packed;
};

/**
 * qcow2_check() - Look at all tables once
 * @err:	INVALID, naming the table and the offset that is wrong
 *
 * Beyond the checks of each use: no table is used twice, and none is also data.
 */
MUST_CHECK int qcow2_check(struct qcow2 *q, const char *path, struct qcow2_count *ret_count,
			   struct err *err);

#endif /* BLOCK_QCOW2_H */
