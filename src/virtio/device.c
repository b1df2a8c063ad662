/* SPDX-License-Identifier: Apache-2.0 */
#include "virtio/device.h"

int virtio_serve(struct virtio_device *dev, uint16_t qi, struct virtq_chain *scratch,
		 virtio_chain_fn serve)
{
	struct virtq *q = &dev->queues[qi];
	int result = 0;

	for (int i = 0; i < VIRTIO_BUDGET; i++) {
		uint16_t head;
		ssize_t n;
		int r = virtq_pop(q, scratch);

		if (r <= 0)
			return r < 0 ? r : result;
		head = scratch->head;
		n = serve(dev, scratch);
		if (n < 0)
			return (int)n;
		r = virtq_push(q, head, (uint32_t)n);
		if (r < 0)
			return r;
		result = VIRTIO_INTERRUPT;
	}
	return result | VIRTIO_AGAIN;
}
