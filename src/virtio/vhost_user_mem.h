/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIO_VHOST_USER_MEM_H
#define VIRTIO_VHOST_USER_MEM_H

#include "virtio/memory.h"
#include "virtio/vhost_user_msg.h"

/* Guest memory as the front end describes it, mapped here. */
struct vu_mem {
	struct guest_mem guest;		      /* mappings owned */
	uint64_t user[GUEST_MEM_MAX_REGIONS]; /* the front end's address of each region */
};

/**
 * vu_mem_map() - Map the regions of a memory table
 * @msg:	A SET_MEM_TABLE message; its descriptors stay with it
 *
 * Each must be a memory file that is long enough and sealed against shrinking (QEMU's
 * memory-backend-memfd is): past its end lies SIGBUS.
 *
 * Return: 0, -EINVAL (not aligned, overlapping, no such file), or what mmap() says.
 */
MUST_CHECK int vu_mem_map(const struct vu_msg *msg, struct vu_mem *ret_mem);
/* Unmap all; empty afterwards. */
void vu_mem_done(struct vu_mem *mem);

/* The guest-physical address of an address of the front end. -EINVAL: outside its memory. */
MUST_CHECK int vu_mem_translate(const struct vu_mem *mem, uint64_t user, gpa_t *ret_gpa);

#endif /* VIRTIO_VHOST_USER_MEM_H */
