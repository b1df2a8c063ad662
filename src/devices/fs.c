/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-fs: a pipe for FUSE requests (virtio 1.2, 5.11).  Requests are served in place, so
 * the device's loop runs on a thread that may block.  QEMU has the tag and the number of
 * queues in its own config space; ours is for the other transport.
 */
#include "fs/fs.h"

#include <endian.h>
#include <linux/virtio_fs.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#include "devices/devices.h"
#include "virtio/device.h"

#define FS_QUEUES 2 /* 0: hiprio (FORGET, INTERRUPT); 1: requests */

struct fs_device {
	struct virtio_device dev;
	struct fs_server *server; /* owned */
	struct virtio_fs_config config;
	struct virtq_chain chain; /* scratch */
};

static void fs_config_read(struct virtio_device *dev, uint32_t offset, void *buf, uint32_t len)
{
	const struct fs_device *fs = (struct fs_device *)dev;

	memcpy(buf, (const uint8_t *)&fs->config + offset, len);
}

static ssize_t fs_serve(struct virtio_device *dev, struct virtq_chain *c)
{
	struct fs_device *fs = (struct fs_device *)dev;

	return fs_server_handle(fs->server, c->iov, c->n_out, c->iov + c->n_out, c->n_in);
}

static int fs_handle_queue(struct virtio_device *dev, uint16_t qi)
{
	return virtio_serve(dev, qi, &((struct fs_device *)dev)->chain, fs_serve);
}

static void fs_reset(struct virtio_device *dev)
{
	fs_server_reset(((struct fs_device *)dev)->server);
}

static void fs_free(struct virtio_device *dev)
{
	struct fs_device *fs = (struct fs_device *)dev;

	fs_server_free(fs->server);
	free(fs);
}

static const struct virtio_ops fs_ops = {
	.name = "fs",
	.id = VIRTIO_ID_FS,
	.n_queues = FS_QUEUES,
	.queue_size = VIRTQ_MAX_SIZE,
	.config_size = sizeof(struct virtio_fs_config),
	.config_read = fs_config_read,
	.handle_queue = fs_handle_queue,
	.reset = fs_reset,
	.free = fs_free,
};

struct virtio_device *fs_new(struct fs_server *server, const char *tag)
{
	struct fs_device *fs = calloc(1, sizeof(*fs));
	size_t len = strlen(tag);

	if (!fs)
		return NULL;
	fs->dev.ops = &fs_ops;
	fs->server = server;
	fs->config.num_request_queues = htole32(FS_QUEUES - 1);
	memcpy(fs->config.tag, tag, len < sizeof(fs->config.tag) ? len : sizeof(fs->config.tag));
	return &fs->dev;
}
