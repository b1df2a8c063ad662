/* SPDX-License-Identifier: Apache-2.0 */
/* The input is a list of requests: descriptors of one chain each, and the bytes they name. */
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "../unit/fake_queues.h"
#include "block/block.h"
#include "devices/devices.h"

#define DISK_BYTES (64 * 1024)
#define MAX_CHAINS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct virtio_device *make(void)
{
	struct block_extent e[2] = {
		{ .len = 20000, .writable = true },
		{ .disk_offset = 32768, .file_offset = 512, .len = 16384 },
	};
	struct block *b;

	e[0].fd = memfd_create("a", MFD_CLOEXEC);
	e[1].fd = memfd_create("b", MFD_CLOEXEC);
	if (e[0].fd < 0 || e[1].fd < 0 || block_extents_new(e, 2, DISK_BYTES, &b) < 0)
		return NULL;
	return blk_new(b, "fuzz");
}

/* A chain: number of descriptors, then 4 bytes each: place, length (2), flags. */
static size_t chain(const uint8_t *data, size_t size)
{
	size_t n = data[0] % 8 + 1u, at = 1;

	for (size_t i = 0; i < n && at + 4 <= size; i++, at += 4)
		fq_desc(0, (int)i, FQ_DATA + data[at] * 16u, data[at + 1] | data[at + 2] << 8,
			(data[at + 3] & 2) | (i + 1 < n ? VRING_DESC_F_NEXT : 0),
			(uint16_t)(i + 1));
	fq_offer(0, 0);
	return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct virtio_device *dev = make();

	if (!dev)
		return 0;
	fq_attach(dev);
	for (int i = 0; i < MAX_CHAINS && size > 0; i++) {
		size_t used = chain(data, size), copy;

		data += used;
		size -= used;
		copy = size < 64 ? size : 64;
		memcpy(fq_ram + FQ_DATA, data, copy);
		data += copy;
		size -= copy;
		if (dev->ops->handle_queue(dev, 0) < 0)
			break;
	}
	dev->ops->free(dev);
	return 0;
}
