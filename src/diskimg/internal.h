/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DISKIMG_INTERNAL_H
#define DISKIMG_INTERNAL_H

#include "block/qcow2.h"
#include "diskimg/diskimg.h"

/* Read @len bytes at @offset, both whole sectors; a disk that is shorter gives zeros. 0 or -errno. */
MUST_CHECK int disk_read(struct block *disk, void *out, size_t len, uint64_t offset);

/* ---- partition.c ---- */

#define PARTITIONS_MAX 128

struct partition {
	uint32_t number;      /* as Linux counts, from 1 */
	uint64_t offset, len; /* bytes; within the disk, len not 0 */
	bool linux_root;      /* its GPT type says so, for this architecture */
};

struct partition_table {
	const char *kind; /* "GPT", "MBR"; NULL: there is none; static */
	struct partition list[PARTITIONS_MAX];
	size_t n;
};

/* GPT (its second copy where the first is damaged), else MBR with logical ones. 0 or -errno. */
MUST_CHECK int partition_table_read(struct block *disk, struct partition_table *ret_table);

/* ---- filesystem.c ---- */

struct filesystem {
	const char *type; /* "ext4", "xfs" ...; NULL: not known; static */
	bool mountable;	  /* the guest's kernel has it built in */
	uint64_t size;	  /* bytes, as its superblock says; 0: not known */
};

/* What lies at @offset, @len bytes. 0 or -errno. */
MUST_CHECK int filesystem_probe(struct block *disk, uint64_t offset, uint64_t len,
				struct filesystem *ret_fs);

/* ---- unpack.c ---- */

struct stat;
/**
 * unpack_qcow2() - The disk of @q as a raw file in the cache
 * @image_fd:	Its file, and what stat says of that
 * @ret_fd:	Owned by the caller; O_RDONLY, locked shared
 */
MUST_CHECK int unpack_qcow2(struct qcow2 *q, const struct qcow2_count *count,
			    const struct disk_request *req, int image_fd, const struct stat *st,
			    int *ret_fd, struct err *err);

#endif /* DISKIMG_INTERNAL_H */
