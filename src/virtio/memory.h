/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIO_MEMORY_H
#define VIRTIO_MEMORY_H

#include <stdint.h>

/* Guest-physical address.  Never dereferenced; mem_at() turns it into a pointer. */
typedef uint64_t gpa_t;

#define GUEST_MEM_MAX_REGIONS 32

struct guest_region {
	uint8_t *host; /* borrowed from whoever mapped it; page-aligned, as is base */
	gpa_t base;
	uint64_t size; /* bytes */
};

/* Guest memory: regions sorted by base, none overlapping. */
struct guest_mem {
	uint32_t n_regions;
	struct guest_region regions[GUEST_MEM_MAX_REGIONS];
};

/**
 * mem_at() - Host pointer to a range of guest memory
 * @mem:	Guest memory
 * @gpa:	First byte
 * @len:	Length in bytes, may be 0
 *
 * The guest can write the range at any time: read each field once, into a
 * local, before judging it.
 *
 * Return: pointer valid as long as @mem; NULL unless the whole range lies in one region.
 */
void *mem_at(const struct guest_mem *mem, gpa_t gpa, uint64_t len);

/* The same; tries region *hint first and leaves there the one that held the range. */
void *mem_at_hint(const struct guest_mem *mem, gpa_t gpa, uint64_t len, uint32_t *hint);

#endif /* VIRTIO_MEMORY_H */
