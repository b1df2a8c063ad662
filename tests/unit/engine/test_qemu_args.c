/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <linux/virtio_ids.h>

#include "engine/qemu/internal.h"
#include "virtio/device.h"

static const struct virtio_ops blk_ops = { .name = "blk",
					   .id = VIRTIO_ID_BLOCK,
					   .queue_size = 256 };
static const struct virtio_ops vsock_ops = { .name = "vsock", .id = VIRTIO_ID_VSOCK };
static const struct virtio_ops fs_ops = { .name = "fs", .id = VIRTIO_ID_FS, .queue_size = 1024 };
static const struct virtio_ops odd_ops = { .name = "odd", .id = VIRTIO_ID_SOUND };

/* The argument behind the nth @option, or NULL. */
static const char *after(const struct qemu_args *a, const char *option, int nth)
{
	for (size_t i = 0; i + 1 < a->n; i++)
		if (strcmp(a->v[i], option) == 0 && nth-- == 0)
			return a->v[i + 1];
	return NULL;
}

TEST(command_line)
{
	struct virtio_device blk = { .ops = &blk_ops }, vsock = { .ops = &vsock_ops },
			     fs = { .ops = &fs_ops };
	struct engine_device devices[] = { { &vsock, NULL }, { &blk, NULL }, { &fs, NULL } };
	struct engine_config config = {
		.cpus = 3,
		.memory_mib = 512,
		.cmdline = "a=b c",
		.qemu_path = "/usr/bin/qemu",
		.devices = devices,
		.n_devices = 3,
	};
	AUTO(qemu_args_done) struct qemu_args a = { 0 };
	struct err err = ERR_INIT;

	ASSERT_EQ(qemu_args_build(&config, 2500000, &a, &err), 0);
	ASSERT_STR(a.v[0], "/usr/bin/qemu");
	ASSERT(!a.v[a.n]);
	ASSERT_STR(after(&a, "-smp", 0), "3");
	ASSERT_STR(after(&a, "-m", 0), "512M");
	ASSERT_STR(after(&a, "-object", 0), "memory-backend-memfd,id=mem,size=512M,share=on");
	ASSERT_STR(after(&a, "-kernel", 0), "/proc/self/fd/3");
	ASSERT_STR(after(&a, "-initrd", 0), "/proc/self/fd/4");
	ASSERT(strstr(after(&a, "-append", 0), " tsc_early_khz=2500000 a=b c"));
	ASSERT_STR(after(&a, "-chardev", 0), "socket,id=console,fd=5");
	ASSERT_STR(after(&a, "-chardev", 1), "socket,id=d0,fd=7");
	ASSERT_STR(after(&a, "-chardev", 3), "socket,id=d2,fd=9");
	ASSERT_STR(after(&a, "-device", 3), "vhost-user-vsock-device,chardev=d0");
	ASSERT_STR(after(&a, "-device", 4),
		   "vhost-user-blk,chardev=d1,num-queues=1,queue-size=256");
	ASSERT_STR(after(&a, "-device", 5),
		   "vhost-user-fs-device,chardev=d2,tag=msb,queue-size=1024");
	ASSERT(strstr(after(&a, "-sandbox", 0), "spawn=deny"));
	ASSERT(!strstr(after(&a, "-append", 0), "noapictimer"));
}

TEST(one_processor_gets_along_without_apic_timer)
{
	struct engine_config config = { .cpus = 1, .memory_mib = 512, .qemu_path = "q" };
	AUTO(qemu_args_done) struct qemu_args a = { 0 };
	struct err err = ERR_INIT;

	ASSERT_EQ(qemu_args_build(&config, 2500000, &a, &err), 0);
	ASSERT(strstr(after(&a, "-append", 0), " noapictimer tsc_early_khz=2500000"));
}

TEST(devices_that_qemu_cannot_serve)
{
	struct virtio_device odd = { .ops = &odd_ops }, blk = { .ops = &blk_ops };
	struct engine_device one[] = { { &odd, NULL } }, many[QEMU_MAX_DEVICES + 1];
	struct engine_config config = { .qemu_path = "q", .devices = one, .n_devices = 1 };
	AUTO(qemu_args_done) struct qemu_args a = { 0 };
	struct err err = ERR_INIT;

	ASSERT(qemu_args_build(&config, 2500000, &a, &err) < 0);
	ASSERT_STR(err.msg, "device 'odd' cannot be served to QEMU");
	for (size_t i = 0; i < QEMU_MAX_DEVICES + 1; i++)
		many[i].dev = &blk;
	config.devices = many;
	config.n_devices = QEMU_MAX_DEVICES;
	ASSERT_EQ(qemu_args_build(&config, 2500000, &a, &err), 0);
	config.n_devices++;
	qemu_args_done(&a);
	ASSERT(qemu_args_build(&config, 2500000, &a, &err) < 0);
	ASSERT_EQ(err.code, ERR_INVALID);
}

TEST(tsc_counts)
{
	uint64_t khz = qemu_tsc_khz();

	ASSERT(khz > 100000 && khz < 10000000); /* 0.1 to 10 GHz */
}

TAP_MAIN()
