/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BLOCK_COW_H
#define BLOCK_COW_H

#include "block/block.h"

/*
 * A writable disk over a read-only one.  What is written goes into a file of the sandbox, in
 * clusters; the base is never changed, so any number of layers may lie over one.
 */
#define COW_CLUSTER  65536u	  /* bytes */
#define COW_DISK_MAX (1ull << 44) /* bytes, 16 TiB: its bitmap takes 32 MiB */

/* What a layer lies over; a layer over anything else would be nonsense. */
struct cow_origin {
	uint64_t
		disk_size; /* bytes of the writable disk, a multiple of BLOCK_SECTOR; the base may be
			     * shorter, then zeros follow */
	uint64_t file_size; /* of the base's file, bytes */
	uint64_t mtime_ns;  /* of the base's file, since the epoch */
};

/* Make an empty layer in the empty file @fd. -EFBIG above COW_DISK_MAX. */
MUST_CHECK int cow_create(int fd, const struct cow_origin *origin);
/* What the layer in @fd lies over. -EPROTO: it is no layer. */
MUST_CHECK int cow_origin_read(int fd, struct cow_origin *ret_origin);
/**
 * cow_new() - The disk that a layer and its base make
 * @base:	Read-only; owned by the result
 * @fd:		The layer; owned by the result
 * @volatile_data: Flush does nothing
 *
 * Return: as cow_origin_read(), -ENOMEM. On failure both stay with the caller.
 */
MUST_CHECK int cow_new(struct block *base, int fd, bool volatile_data, struct block **ret_block);

#endif /* BLOCK_COW_H */
