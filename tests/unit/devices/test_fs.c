/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <linux/fuse.h>
#include <linux/virtio_fs.h>

#include "devices/devices.h"
#include "fake_driver.h"
#include "fs/fs.h"
#include "virtio/device.h"

static struct virtio_device *device(void)
{
	struct fs_mount m = { .dir_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC),
			      .read_only = true };
	struct fs_server *server = NULL;
	struct virtio_device *dev;

	ASSERT_EQ(fs_server_new(&m, 1, &server), 0);
	dev = fs_new(server, "msb");
	ASSERT(dev);
	memset(page, 0, sizeof(page));
	dev->queues[0] = queue();
	dev->queues[1] = queue();
	return dev;
}

static void put_init(void)
{
	struct fuse_in_header h = { .opcode = FUSE_INIT, .unique = 3 };
	struct fuse_init_in in = { .major = 7, .minor = 38 };

	h.len = sizeof(h) + sizeof(in);
	memcpy(page + 0x800, &h, sizeof(h));
	memcpy(page + 0x800 + sizeof(h), &in, sizeof(in));
}

TEST(config)
{
	struct virtio_device *dev = device();
	struct virtio_fs_config c;

	ASSERT_EQ(dev->ops->config_size, sizeof(c));
	dev->ops->config_read(dev, 0, &c, sizeof(c));
	ASSERT_STR((const char *)c.tag, "msb");
	ASSERT_EQ(c.num_request_queues, 1);
	dev->ops->free(dev);
}

TEST(a_request_is_answered)
{
	struct virtio_device *dev = device();
	struct fuse_out_header oh;

	put_init();
	put_desc(0, (struct vring_desc){ 0x10800, 40, VRING_DESC_F_NEXT, 1 });
	put_desc(1, (struct vring_desc){ 0x10828, 64, VRING_DESC_F_NEXT, 2 });
	put_desc(2, (struct vring_desc){ 0x10a00, 512, VRING_DESC_F_WRITE, 0 });
	kick(0);
	ASSERT_EQ(dev->ops->handle_queue(dev, 1), VIRTIO_INTERRUPT);
	memcpy(&oh, page + 0xa00, sizeof(oh));
	ASSERT_EQ(oh.error, 0);
	ASSERT_EQ(oh.unique, 3);
	ASSERT_EQ(used()->ring[0].len, oh.len);
	dev->ops->reset(dev);
	dev->ops->free(dev);
}

TEST(hostile_requests)
{
	static const struct {
		const char *name;
		struct vring_desc d;
	} cases[] = {
		{ "no header", { 0x10800, 39, 0, 0 } },
		{ "no room for a reply", { 0x10800, 104, 0, 0 } },
		{ "nothing to read", { 0x10800, 512, VRING_DESC_F_WRITE, 0 } },
	};

	for_cases(c, cases) {
		struct virtio_device *dev = device();

		put_init();
		put_desc(0, c->d);
		kick(0);
		ASSERT_EQ(dev->ops->handle_queue(dev, 1), -EPROTO);
		ASSERT_EQ(used()->idx, 0);
		dev->ops->free(dev);
	}
}

TAP_MAIN()
