/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include "block/block.h"

#define KIB 1024u

static int temp_file(size_t len, uint8_t fill)
{
	int fd = memfd_create("extent", MFD_CLOEXEC);
	uint8_t sector[BLOCK_SECTOR];

	ASSERT(fd >= 0);
	memset(sector, fill, sizeof(sector));
	for (size_t at = 0; at < len; at += sizeof(sector)) {
		size_t n = len - at < sizeof(sector) ? len - at : sizeof(sector);

		ASSERT_EQ(pwrite(fd, sector, n, (off_t)at), n);
	}
	return fd;
}

static int read_at(struct block *b, void *buf, size_t len, uint64_t offset)
{
	struct iovec iov = { buf, len };

	return block_readv(b, &iov, 1, offset);
}

static int write_at(struct block *b, void *buf, size_t len, uint64_t offset)
{
	struct iovec iov = { buf, len };

	return block_writev(b, &iov, 1, offset);
}

TEST(lists_that_are_refused)
{
	static const struct {
		const char *name;
		struct block_extent e[2];
		size_t n;
		uint64_t size;
	} cases[] = {
		{ "disk of no whole sectors", { { .len = 512 } }, 1, 700 },
		{ "empty extent", { { .len = 0 } }, 1, 1024 },
		{ "extent between sectors", { { .disk_offset = 1, .len = 512 } }, 1, 1024 },
		{ "file between sectors", { { .file_offset = 100, .len = 512 } }, 1, 1024 },
		{ "past the disk's end", { { .disk_offset = 512, .len = 1024 } }, 1, 1024 },
		{ "rounded past the disk's end", { { .len = 1025 } }, 1, 1024 },
		{ "overlap", { { .len = 1024 }, { .disk_offset = 512, .len = 512 } }, 2, 2048 },
		{ "overlap after rounding",
		  { { .len = 513 }, { .disk_offset = 512, .len = 512 } },
		  2,
		  2048 },
		{ "wrong order", { { .disk_offset = 512, .len = 512 }, { .len = 512 } }, 2, 2048 },
		{ "length wraps", { { .len = UINT64_MAX } }, 1, 1024 },
		{ "disk offset wraps",
		  { { .disk_offset = UINT64_MAX - 511, .len = 1024 } },
		  1,
		  UINT64_MAX - 511 },
		{ "file offset wraps",
		  { { .file_offset = UINT64_MAX - 511, .len = 1024 } },
		  1,
		  1024 },
		{ "past what off_t holds",
		  { { .file_offset = (uint64_t)INT64_MAX - 511, .len = 512 } },
		  1,
		  1024 },
		{ "no descriptor", { { .len = 512, .fd = -1 } }, 1, 1024 },
	};

	for_cases(c, cases) {
		struct block *b = NULL;

		ASSERT_EQ(block_extents_new(c->e, c->n, c->size, &b), -EINVAL);
		ASSERT(!b);
	}
}

/* 0: writable, 1 KiB; gap; 2 KiB: read-only 700 bytes, rounded; gap to 4 KiB. */
static struct block *small_disk(void)
{
	struct block_extent e[] = {
		{ .len = 1 * KIB, .fd = temp_file(1 * KIB, 'w'), .writable = true },
		{ .disk_offset = 2 * KIB, .len = 700, .fd = temp_file(700, 'r') },
	};
	struct block *b;

	ASSERT_EQ(block_extents_new(e, 2, 4 * KIB, &b), 0);
	ASSERT(!b->read_only);
	return b;
}

TEST(gaps_and_file_ends_read_as_zeros)
{
	struct block *b = small_disk();
	uint8_t buf[4 * KIB], want[4 * KIB] = { 0 };

	memset(want, 'w', 1 * KIB);
	memset(want + 2 * KIB, 'r', 700);
	memset(buf, 0xff, sizeof(buf));
	ASSERT_EQ(read_at(b, buf, sizeof(buf), 0), 0);
	ASSERT_EQ(memcmp(buf, want, sizeof(buf)), 0);
	block_free(b);
}

TEST(what_cannot_be_done)
{
	static const struct {
		const char *name;
		uint64_t offset, len;
		int read, write;
	} cases[] = {
		{ "all of a writable extent", 0, 1024, 0, 0 },
		{ "nothing", 512, 0, 0, 0 },
		{ "nothing at the end", 4096, 0, 0, 0 },
		{ "between sectors", 100, 512, -EINVAL, -EINVAL },
		{ "half a sector", 0, 100, -EINVAL, -EINVAL },
		{ "past the end", 3584, 1024, -EINVAL, -EINVAL },
		{ "far past the end", 1ull << 62, 512, -EINVAL, -EINVAL },
		{ "end wraps", UINT64_MAX - 511, 1024, -EINVAL, -EINVAL },
		{ "a gap", 1024, 512, 0, -EROFS },
		{ "into a gap", 512, 1024, 0, -EROFS },
		{ "a read-only extent", 2048, 512, 0, -EROFS },
		{ "from a gap into a read-only extent", 1536, 1024, 0, -EROFS },
	};
	static uint8_t buf[8 * KIB];

	for_cases(c, cases) {
		struct block *b = small_disk();
		uint8_t before[1 * KIB], after[1 * KIB];

		ASSERT_EQ(read_at(b, before, sizeof(before), 0), 0);
		ASSERT_EQ(read_at(b, buf, c->len, c->offset), c->read);
		memset(buf, 0, sizeof(buf));
		ASSERT_EQ(write_at(b, buf, c->len, c->offset), c->write);
		ASSERT_EQ(block_discard(b, c->offset, c->len), c->write);
		ASSERT_EQ(block_write_zeroes(b, c->offset, c->len, true), c->write);
		ASSERT_EQ(block_write_zeroes(b, c->offset, c->len, false), c->write);
		ASSERT_EQ(read_at(b, after, sizeof(after), 0), 0);
		if (c->write < 0) /* refused as a whole */
			ASSERT_EQ(memcmp(before, after, sizeof(before)), 0);
		block_free(b);
	}
}

TEST(a_disk_without_writable_extents_is_read_only)
{
	struct block_extent e = { .len = 512, .fd = temp_file(512, 'r') };
	struct block *b;
	uint8_t buf[512] = { 0 };

	ASSERT_EQ(block_extents_new(&e, 1, 512, &b), 0);
	ASSERT(b->read_only);
	ASSERT_EQ(write_at(b, buf, sizeof(buf), 0), -EROFS);
	ASSERT_EQ(block_write_zeroes(b, 0, 512, false), -EROFS);
	ASSERT_EQ(block_discard(b, 0, 512), -EROFS);
	ASSERT_EQ(block_flush(b), 0);
	block_free(b);
}

TEST(a_discard_gives_the_room_back)
{
	struct block_extent e = {
		.len = 64 * KIB,
		.fd = temp_file(64 * KIB, 'x'),
		.writable = true,
	};
	struct block *b;
	struct stat before, after;
	uint8_t buf[512];

	ASSERT_EQ(block_extents_new(&e, 1, 64 * KIB, &b), 0);
	ASSERT_EQ(fstat(e.fd, &before), 0);
	ASSERT_EQ(block_discard(b, 16 * KIB, 32 * KIB), 0);
	ASSERT_EQ(fstat(e.fd, &after), 0);
	ASSERT(after.st_blocks < before.st_blocks);
	ASSERT_EQ(after.st_size, before.st_size);
	ASSERT_EQ(read_at(b, buf, sizeof(buf), 20 * KIB), 0);
	ASSERT_EQ(buf[0], 0);
	block_free(b);
}

/* A pipe takes no fdatasync(): whether it is called shows in the result. */
TEST(flush_asks_the_files_that_matter)
{
	static const struct {
		const char *name;
		bool writable, volatile_data;
		int want;
	} cases[] = {
		{ "writable", true, false, -EINVAL },
		{ "writable, not wanted after a crash", true, true, 0 },
		{ "read-only", false, false, 0 },
	};

	for_cases(c, cases) {
		int p[2];
		struct block_extent e = { .len = 512,
					  .writable = c->writable,
					  .volatile_data = c->volatile_data };
		struct block *b;

		ASSERT_EQ(pipe2(p, O_CLOEXEC), 0);
		e.fd = p[0];
		ASSERT_EQ(block_extents_new(&e, 1, 512, &b), 0);
		ASSERT_EQ(block_flush(b), c->want);
		block_free(b);
		ASSERT(fcntl(p[0], F_GETFD) < 0); /* the disk owned it */
		(void)close(p[1]);
	}
}

/* The flat model: random operations on a disk of many extents, each compared with memory. */
#define MODEL_SIZE   (256 * KIB)
#define MODEL_ROUNDS 3000
#define MODEL_IOVS   7

struct model {
	struct block *b;
	uint8_t bytes[MODEL_SIZE];
	bool writable[MODEL_SIZE / BLOCK_SECTOR];
	uint32_t seed;
};

static uint32_t next(struct model *m, uint32_t below)
{
	m->seed = m->seed * 1664525 + 1013904223;
	return (m->seed >> 8) % below;
}

static void model_init(struct model *m)
{
	struct block_extent e[40];
	uint64_t at = 0;
	size_t n = 0;

	m->seed = 7;
	while (n < 40) {
		uint32_t len = (1 + next(m, 24)) * BLOCK_SECTOR;
		uint32_t file_at = next(m, 4) * BLOCK_SECTOR;
		uint32_t short_by = next(m, 3) == 0 ? next(m, len) : 0;
		bool writable = next(m, 4) != 0;
		uint8_t fill = (uint8_t)(1 + n);

		at += next(m, 3) == 0 ? next(m, 8) * BLOCK_SECTOR : 0;
		if (at + len > MODEL_SIZE)
			break;
		e[n++] = (struct block_extent){ .disk_offset = at,
						.file_offset = file_at,
						.len = len,
						.fd = temp_file(file_at + len - short_by, fill),
						.writable = writable };
		memset(m->bytes + at, fill, len - short_by);
		for (uint32_t i = 0; i < len / BLOCK_SECTOR; i++)
			m->writable[at / BLOCK_SECTOR + i] = writable;
		at += len;
	}
	ASSERT_EQ(block_extents_new(e, n, MODEL_SIZE, &m->b), 0);
}

/* Cut a buffer into elements of odd sizes, empty ones among them. */
static int cut(struct model *m, uint8_t *buf, size_t len, struct iovec iov[MODEL_IOVS])
{
	size_t at = 0;
	int n;

	for (n = 0; n < MODEL_IOVS - 1; n++) {
		size_t part = next(m, (uint32_t)(len - at) + 1);

		iov[n] = (struct iovec){ buf + at, part };
		at += part;
	}
	iov[n] = (struct iovec){ buf + at, len - at };
	return n + 1;
}

static void model_step(struct model *m)
{
	static uint8_t buf[MODEL_SIZE];
	uint32_t first = next(m, MODEL_SIZE / BLOCK_SECTOR), op = next(m, 6);
	uint32_t count = next(m, 1 + (MODEL_SIZE / BLOCK_SECTOR - first) / (1 + next(m, 20)));
	size_t at = first * BLOCK_SECTOR, len = count * BLOCK_SECTOR;
	struct iovec iov[MODEL_IOVS];
	int want = 0, n = cut(m, buf, len, iov);

	for (uint32_t i = 0; i < count; i++)
		if (!m->writable[first + i])
			want = -EROFS;
	if (op < 2) {
		memset(buf, 0xee, len);
		ASSERT_EQ(block_readv(m->b, iov, n, at), 0);
		ASSERT_EQ(memcmp(buf, m->bytes + at, len), 0);
	} else if (op < 4) {
		for (size_t i = 0; i < len; i++)
			buf[i] = (uint8_t)next(m, 256);
		ASSERT_EQ(block_writev(m->b, iov, n, at), want);
		if (want == 0)
			memcpy(m->bytes + at, buf, len);
	} else {
		if (op == 4)
			ASSERT_EQ(block_discard(m->b, at, len), want);
		else
			ASSERT_EQ(block_write_zeroes(m->b, at, len, next(m, 2)), want);
		if (want == 0)
			memset(m->bytes + at, 0, len);
	}
}

TEST(agrees_with_a_flat_model)
{
	static struct model m;
	static uint8_t all[MODEL_SIZE];

	model_init(&m);
	for (int i = 0; i < MODEL_ROUNDS; i++)
		model_step(&m);
	ASSERT_EQ(read_at(m.b, all, sizeof(all), 0), 0);
	ASSERT_EQ(memcmp(all, m.bytes, sizeof(all)), 0);
	block_free(m.b);
}

TEST(more_elements_than_one_call_takes)
{
	static uint8_t buf[300 * 2 * BLOCK_SECTOR];
	static struct iovec iov[300];
	struct block_extent e = {
		.len = sizeof(buf),
		.fd = temp_file(512, 'a'),
		.writable = true,
	};
	struct block *b;

	ASSERT_EQ(block_extents_new(&e, 1, sizeof(buf), &b), 0);
	for (size_t i = 0; i < 300; i++) {
		memset(buf + i * 1024, (int)i, 1024);
		iov[i] = (struct iovec){ buf + i * 1024, 1024 };
	}
	ASSERT_EQ(block_writev(b, iov, 300, 0), 0);
	memset(buf, 0, sizeof(buf));
	ASSERT_EQ(block_readv(b, iov, 300, 0), 0);
	for (size_t i = 0; i < 300; i++)
		ASSERT_EQ(buf[i * 1024 + 1023], i & 0xff);
	block_free(b);
}

TAP_MAIN()
