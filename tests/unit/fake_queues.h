/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FAKE_QUEUES_H
#define TESTS_FAKE_QUEUES_H

/*
 * A virtio driver of up to three queues and 1 MiB: for devices that fake_driver.h is too
 * small for.  Queue n has 32 KiB: descriptors at 0, avail at 0x2000, used at 0x4000 of them;
 * data begins at FQ_DATA.  A test fills buffers through fq_ram[] and names them by offset.
 */
#include <linux/virtio_ring.h>
#include <string.h>

#include "virtio/device.h"

#define FQ_BASE	 0x100000
#define FQ_BYTES (1 << 20)
#define FQ_SIZE	 256 /* descriptors of a queue */
#define FQ_DATA	 0x20000

static _Alignas(4096) uint8_t fq_ram[FQ_BYTES];
static const struct guest_mem fq_mem = {
	.n_regions = 1,
	.regions = { { .host = fq_ram, .base = FQ_BASE, .size = FQ_BYTES } },
};

static inline uint8_t *fq_ring(int q, uint32_t at)
{
	return fq_ram + q * 0x8000 + at;
}

static inline void fq_attach(struct virtio_device *dev)
{
	memset(fq_ram, 0, sizeof(fq_ram));
	for (int q = 0; q < dev->ops->n_queues; q++)
		dev->queues[q] = (struct virtq){
			.mem = &fq_mem,
			.desc = FQ_BASE + (gpa_t)q * 0x8000,
			.avail = FQ_BASE + (gpa_t)q * 0x8000 + 0x2000,
			.used = FQ_BASE + (gpa_t)q * 0x8000 + 0x4000,
			.size = FQ_SIZE,
		};
}

static inline void fq_desc(int q, int i, uint32_t at, uint32_t len, uint16_t flags, uint16_t next)
{
	((struct vring_desc *)fq_ring(q, 0))[i] =
		(struct vring_desc){ FQ_BASE + (uint64_t)at, len, flags, next };
}

static inline void fq_offer(int q, uint16_t head)
{
	uint16_t *avail = (uint16_t *)fq_ring(q, 0x2000);

	avail[2 + avail[1] % FQ_SIZE] = head;
	avail[1]++;
}

static inline const struct vring_used *fq_used(int q)
{
	return (const struct vring_used *)fq_ring(q, 0x4000);
}

/* What the device gave back as its @n-th chain. */
static inline const struct vring_used_elem *fq_done(int q, uint16_t n)
{
	return &fq_used(q)->ring[n % FQ_SIZE];
}

#endif /* TESTS_FAKE_QUEUES_H */
