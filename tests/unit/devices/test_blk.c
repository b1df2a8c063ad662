/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <linux/virtio_blk.h>
#include <sys/mman.h>

#include "block/block.h"
#include "devices/devices.h"
#include "fake_queues.h"

#define W    VRING_DESC_F_WRITE
#define N    VRING_DESC_F_NEXT
#define DISK (64 * 1024) /* bytes; the last quarter is read-only */

#define HDR    FQ_DATA
#define STATUS (FQ_DATA + 0x100)
#define OUT    (FQ_DATA + 0x1000)
#define IN     (FQ_DATA + 0x10000)

static int disk_fd;

static struct virtio_device *blk_on_memory(void)
{
	int ro = memfd_create("ro", MFD_CLOEXEC);
	struct block_extent e[] = {
		{ .len = DISK / 4 * 3, .writable = true },
		{ .disk_offset = DISK / 4 * 3, .len = DISK / 4, .fd = ro },
	};
	struct block *b;
	struct virtio_device *dev;

	disk_fd = e[0].fd = memfd_create("disk", MFD_CLOEXEC);
	ASSERT(disk_fd >= 0 && ro >= 0);
	ASSERT_EQ(pwrite(disk_fd, "sector one", 10, 512), 10);
	ASSERT_EQ(block_extents_new(e, 2, DISK, &b), 0);
	dev = blk_new(b, "serial-of-20-bytes-and-more");
	ASSERT(dev);
	fq_attach(dev);
	return dev;
}

/* One request with @out bytes at OUT and room for @in bytes at IN; its status. */
static int request(struct virtio_device *dev, uint32_t type, uint64_t sector, uint32_t out,
		   uint32_t in)
{
	struct virtio_blk_outhdr h = { .type = type, .sector = sector };
	uint16_t n = fq_used(0)->idx;
	int i = 1;

	memcpy(fq_ram + HDR, &h, sizeof(h));
	fq_ram[STATUS] = 0xff;
	fq_desc(0, 0, HDR, sizeof(h), N, 1);
	if (out > 0) {
		fq_desc(0, i, OUT, out, N, (uint16_t)(i + 1));
		i++;
	}
	if (in > 0) {
		fq_desc(0, i, IN, in, N | W, (uint16_t)(i + 1));
		i++;
	}
	fq_desc(0, i, STATUS, 1, W, 0);
	fq_offer(0, 0);
	ASSERT_EQ(dev->ops->handle_queue(dev, 0), VIRTIO_INTERRUPT);
	ASSERT_EQ(fq_used(0)->idx, (uint16_t)(n + 1));
	return fq_ram[STATUS];
}

TEST(reads_and_writes)
{
	struct virtio_device *dev = blk_on_memory();
	char buf[512];

	ASSERT_EQ(request(dev, VIRTIO_BLK_T_IN, 1, 0, 512), VIRTIO_BLK_S_OK);
	ASSERT_STR((char *)fq_ram + IN, "sector one");
	ASSERT_EQ(fq_done(0, 0)->len, 513);
	memset(fq_ram + OUT, 'n', 1024);
	ASSERT_EQ(request(dev, VIRTIO_BLK_T_OUT, 4, 1024, 0), VIRTIO_BLK_S_OK);
	ASSERT_EQ(fq_done(0, 1)->len, 1);
	ASSERT_EQ(pread(disk_fd, buf, 512, 5 * 512), 512);
	ASSERT_EQ(buf[511], 'n');
	ASSERT_EQ(request(dev, VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_OK);
	ASSERT_EQ(request(dev, VIRTIO_BLK_T_GET_ID, 0, 0, 20), VIRTIO_BLK_S_OK);
	ASSERT_EQ(memcmp(fq_ram + IN, "serial-of-20-bytes-a", 20), 0);
	dev->ops->free(dev);
}

TEST(header_and_status_may_share_descriptors_with_data)
{
	struct virtio_device *dev = blk_on_memory();
	struct virtio_blk_outhdr h = { .type = VIRTIO_BLK_T_IN, .sector = 1 };

	memcpy(fq_ram + HDR, &h, sizeof(h));
	fq_desc(0, 0, HDR, 7, N, 1);
	fq_desc(0, 1, HDR + 7, sizeof(h) - 7, N, 2);
	fq_desc(0, 2, IN, 100, N | W, 3);
	fq_desc(0, 3, IN + 100, 413, N | W, 4);
	fq_desc(0, 4, IN + 600, 0, W, 0);
	fq_ram[IN + 512] = 0xff;
	fq_offer(0, 0);
	ASSERT_EQ(dev->ops->handle_queue(dev, 0), VIRTIO_INTERRUPT);
	ASSERT_EQ(fq_ram[IN + 512], VIRTIO_BLK_S_OK);
	ASSERT_STR((char *)fq_ram + IN, "sector one");
	dev->ops->free(dev);
}

TEST(requests_that_fail)
{
	static const struct {
		const char *name;
		uint32_t type;
		uint64_t sector;
		uint32_t out, in;
		int want;
	} cases[] = {
		{ "read past the end", VIRTIO_BLK_T_IN, DISK / 512, 0, 512, VIRTIO_BLK_S_IOERR },
		{ "read over the end", VIRTIO_BLK_T_IN, DISK / 512 - 1, 0, 1024,
		  VIRTIO_BLK_S_IOERR },
		{ "sector wraps", VIRTIO_BLK_T_IN, 1ull << 55, 0, 512, VIRTIO_BLK_S_IOERR },
		{ "sector wraps to 0", VIRTIO_BLK_T_OUT, UINT64_MAX, 512, 0, VIRTIO_BLK_S_IOERR },
		{ "half a sector", VIRTIO_BLK_T_IN, 0, 0, 100, VIRTIO_BLK_S_IOERR },
		{ "write to a read-only piece", VIRTIO_BLK_T_OUT, DISK / 512 - 1, 512, 0,
		  VIRTIO_BLK_S_IOERR },
		{ "unknown type", 77, 0, 0, 0, VIRTIO_BLK_S_UNSUPP },
		{ "secure erase, not offered", VIRTIO_BLK_T_SECURE_ERASE, 0, 16, 0,
		  VIRTIO_BLK_S_UNSUPP },
		{ "discard without ranges", VIRTIO_BLK_T_DISCARD, 0, 0, 0, VIRTIO_BLK_S_IOERR },
		{ "discard of half a range", VIRTIO_BLK_T_DISCARD, 0, 8, 0, VIRTIO_BLK_S_IOERR },
		{ "too many ranges", VIRTIO_BLK_T_WRITE_ZEROES, 0, 32, 0, VIRTIO_BLK_S_IOERR },
	};

	for_cases(c, cases) {
		struct virtio_device *dev = blk_on_memory();

		ASSERT_EQ(request(dev, c->type, c->sector, c->out, c->in), c->want);
		ASSERT_EQ(fq_done(0, 0)->len, 1);
		dev->ops->free(dev);
	}
}

TEST(ranges_to_clear)
{
	static const struct {
		const char *name;
		uint32_t type;
		struct virtio_blk_discard_write_zeroes range;
		int want;
	} cases[] = {
		{ "discard", VIRTIO_BLK_T_DISCARD, { 1, 1, 0 }, VIRTIO_BLK_S_OK },
		{ "zeroes", VIRTIO_BLK_T_WRITE_ZEROES, { 1, 1, 0 }, VIRTIO_BLK_S_OK },
		{ "zeroes, unmap", VIRTIO_BLK_T_WRITE_ZEROES, { 1, 1, 1 }, VIRTIO_BLK_S_OK },
		{ "discard with unmap", VIRTIO_BLK_T_DISCARD, { 1, 1, 1 }, VIRTIO_BLK_S_UNSUPP },
		{ "unknown flag", VIRTIO_BLK_T_WRITE_ZEROES, { 1, 1, 2 }, VIRTIO_BLK_S_UNSUPP },
		{ "outside", VIRTIO_BLK_T_DISCARD, { 1, 4096, 0 }, VIRTIO_BLK_S_IOERR },
		{ "past the limit",
		  VIRTIO_BLK_T_WRITE_ZEROES,
		  { 0, UINT32_MAX, 0 },
		  VIRTIO_BLK_S_IOERR },
		{ "sector wraps", VIRTIO_BLK_T_DISCARD, { UINT64_MAX, 1, 0 }, VIRTIO_BLK_S_IOERR },
		{ "read-only", VIRTIO_BLK_T_DISCARD, { DISK / 512 - 1, 1, 0 }, VIRTIO_BLK_S_IOERR },
	};

	for_cases(c, cases) {
		struct virtio_device *dev = blk_on_memory();
		char byte;

		memcpy(fq_ram + OUT, &c->range, sizeof(c->range));
		ASSERT_EQ(request(dev, c->type, 0, sizeof(c->range), 0), c->want);
		ASSERT_EQ(pread(disk_fd, &byte, 1, 512), 1);
		ASSERT_EQ(byte, c->want == VIRTIO_BLK_S_OK ? 0 : 's');
		dev->ops->free(dev);
	}
}

TEST(chains_that_break_the_device)
{
	static const struct {
		const char *name;
		struct {
			uint32_t len;
			uint16_t flags;
		} d[3];
	} cases[] = {
		{ "no status", { { 16, 0 } } },
		{ "empty status", { { 16, N }, { 0, W } } },
		{ "short header", { { 15, N }, { 1, W } } },
		{ "no header", { { 513, W } } },
		{ "readable after writable", { { 16, N }, { 512, N | W }, { 16, 0 } } },
		{ "outside memory", { { 16, N }, { UINT32_MAX, W } } },
	};

	for_cases(c, cases) {
		struct virtio_device *dev = blk_on_memory();

		for (int i = 0; i < 3; i++)
			fq_desc(0, i, FQ_DATA, c->d[i].len, c->d[i].flags, (uint16_t)(i + 1));
		fq_offer(0, 0);
		ASSERT_EQ(dev->ops->handle_queue(dev, 0), -EPROTO);
		ASSERT_EQ(fq_used(0)->idx, 0);
		dev->ops->free(dev);
	}
}

TEST(a_chain_that_names_too_much_is_refused)
{
	struct virtio_device *dev = blk_on_memory();
	struct virtio_blk_outhdr h = { .type = VIRTIO_BLK_T_IN };

	memcpy(fq_ram + HDR, &h, sizeof(h));
	fq_desc(0, 0, HDR, sizeof(h), N, 1);
	for (uint16_t i = 1; i < FQ_SIZE; i++) /* the same 512 KiB again and again */
		fq_desc(0, i, 0x80000, 0x80000, W | (i + 1 < FQ_SIZE ? N : 0), i + 1);
	fq_offer(0, 0);
	ASSERT_EQ(dev->ops->handle_queue(dev, 0), VIRTIO_INTERRUPT);
	ASSERT_EQ(fq_ram[0xfffff], VIRTIO_BLK_S_IOERR);
	dev->ops->free(dev);
}

TEST(the_budget_ends_a_call)
{
	struct virtio_device *dev = blk_on_memory();
	struct virtio_blk_outhdr h = { .type = VIRTIO_BLK_T_FLUSH };

	memcpy(fq_ram + HDR, &h, sizeof(h));
	fq_desc(0, 0, HDR, sizeof(h), N, 1);
	fq_desc(0, 1, STATUS, 1, W, 0);
	for (int i = 0; i < VIRTIO_BUDGET + 1; i++)
		fq_offer(0, 0);
	ASSERT_EQ(dev->ops->handle_queue(dev, 0), VIRTIO_INTERRUPT | VIRTIO_AGAIN);
	ASSERT_EQ(fq_used(0)->idx, VIRTIO_BUDGET);
	ASSERT_EQ(dev->ops->handle_queue(dev, 0), VIRTIO_INTERRUPT);
	dev->ops->free(dev);
}

TEST(config_space)
{
	struct virtio_device *dev = blk_on_memory();
	struct virtio_blk_config c;
	uint8_t byte;

	ASSERT_EQ(dev->ops->config_size, sizeof(c));
	dev->ops->config_read(dev, 0, &c, sizeof(c));
	ASSERT_EQ(c.capacity, DISK / 512);
	ASSERT_EQ(c.seg_max, 254);
	ASSERT_EQ(c.blk_size, 512);
	dev->ops->config_read(dev, 1, &byte, 1);
	ASSERT_EQ(byte, 0);
	ASSERT(!(dev->ops->features & 1ull << VIRTIO_BLK_F_RO));
	dev->ops->free(dev);
}

TAP_MAIN()
