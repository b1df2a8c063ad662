/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "block/cow.h"

#define BASE_BYTES (5u * COW_CLUSTER + 1024) /* its last cluster is a short one */
#define DISK_BYTES (7u * COW_CLUSTER + 512)  /* and the disk goes on behind it */

static uint8_t base_bytes[BASE_BYTES];

static int temp_file(void)
{
	int fd = memfd_create("cow", MFD_CLOEXEC);

	ASSERT(fd >= 0);
	return fd;
}

static struct block *new_base(void)
{
	struct block_extent e = { .len = BASE_BYTES, .fd = temp_file() };
	struct block *b = NULL;

	for (size_t i = 0; i < sizeof(base_bytes); i++)
		base_bytes[i] = (uint8_t)(i * 7 + i / 512 + 1);
	ASSERT_EQ(pwrite(e.fd, base_bytes, sizeof(base_bytes), 0), (ssize_t)sizeof(base_bytes));
	ASSERT_EQ(block_extents_new(&e, 1, BASE_BYTES, &b), 0);
	return b;
}

static int new_layer(void)
{
	int fd = temp_file();

	ASSERT_EQ(cow_create(fd, &(struct cow_origin){ DISK_BYTES, BASE_BYTES, 42 }), 0);
	return fd;
}

/* The disk over a duplicate of @fd, so that the layer can be looked at and opened again. */
static struct block *open_disk(int fd, bool volatile_data)
{
	struct block *disk = NULL;

	ASSERT_EQ(cow_new(new_base(), dup(fd), volatile_data, &disk), 0);
	ASSERT_EQ(disk->size, DISK_BYTES);
	ASSERT(!disk->read_only);
	return disk;
}

static void put(struct block *b, const void *data, size_t len, uint64_t at)
{
	/* In two odd pieces: a vector need not end at a sector. */
	struct iovec iov[2] = { { (void *)(uintptr_t)data, 100 },
				{ (char *)(uintptr_t)data + 100, len - 100 } };

	ASSERT_EQ(block_writev(b, iov, 2, at), 0);
}

static void expect(struct block *b, const uint8_t *model)
{
	static uint8_t seen[DISK_BYTES];
	struct iovec iov[2] = { { seen, 999 }, { seen + 999, sizeof(seen) - 999 } };

	memset(seen, 0xee, sizeof(seen));
	ASSERT_EQ(block_readv(b, iov, 2, 0), 0);
	for (size_t i = 0; i < sizeof(seen); i++)
		if (seen[i] != model[i])
			TAP_FAIL("byte %zu is %u, not %u", i, seen[i], model[i]);
}

static void fresh_model(uint8_t model[DISK_BYTES])
{
	memset(model, 0, DISK_BYTES);
	memcpy(model, base_bytes, BASE_BYTES);
}

TEST(reads_the_base_then_zeros)
{
	static uint8_t model[DISK_BYTES];
	int fd = new_layer();
	struct block *b = open_disk(fd, false);

	fresh_model(model);
	expect(b, model);
	block_free(b);
	ASSERT_EQ(close(fd), 0);
}

TEST(random_requests_agree_with_a_model)
{
	static uint8_t model[DISK_BYTES], data[3 * COW_CLUSTER];
	int fd = new_layer();
	struct block *b = open_disk(fd, false);
	uint32_t seed = 12345;

	fresh_model(model);
	for (int i = 0; i < 400; i++) {
		uint64_t sectors = DISK_BYTES / 512, at, n;

		seed = seed * 1664525 + 1013904223;
		at = (seed >> 8) % sectors;
		seed = seed * 1664525 + 1013904223;
		n = (seed >> 8) % (i % 4 == 0 ? sizeof(data) / 512 : 9) + 1;
		if (n > sectors - at)
			n = sectors - at;
		at *= 512;
		n *= 512;
		if (i % 5 == 3) {
			ASSERT_EQ(block_write_zeroes(b, at, n, i % 2), 0);
			memset(model + at, 0, n);
		} else {
			memset(data, i + 1, n);
			put(b, data, n, at);
			memset(model + at, i + 1, n);
		}
		if (i % 50 == 49) { /* what was flushed is there again */
			expect(b, model);
			ASSERT_EQ(block_flush(b), 0);
			block_free(b);
			b = open_disk(fd, false);
			expect(b, model);
		}
	}
	block_free(b);
	ASSERT_EQ(close(fd), 0);
}

TEST(only_what_was_flushed_survives)
{
	static uint8_t model[DISK_BYTES], data[COW_CLUSTER];
	int fd = new_layer();
	struct block *b = open_disk(fd, false);

	fresh_model(model);
	memset(data, 0xaa, sizeof(data));
	put(b, data, 512, 4096);
	ASSERT_EQ(block_flush(b), 0);
	memset(model + 4096, 0xaa, 512);
	put(b, data, 512, COW_CLUSTER + 4096); /* not flushed: a crash comes */
	block_free(b);
	b = open_disk(fd, false);
	expect(b, model);
	/* What lies in the file from before the crash is not seen by a smaller write. */
	memset(data, 0xbb, sizeof(data));
	put(b, data, 512, COW_CLUSTER);
	memset(model + COW_CLUSTER, 0xbb, 512);
	expect(b, model);
	ASSERT_EQ(block_write_zeroes(b, 2 * COW_CLUSTER, COW_CLUSTER, true), 0);
	memset(model + 2 * COW_CLUSTER, 0, COW_CLUSTER);
	expect(b, model);
	block_free(b);
	ASSERT_EQ(close(fd), 0);
}

TEST(discard_gives_space_back)
{
	static uint8_t data[2 * COW_CLUSTER];
	struct stat before, after;
	int fd = new_layer();
	struct block *b = open_disk(fd, false);
	static uint8_t model[DISK_BYTES];

	fresh_model(model);
	memset(data, 1, sizeof(data));
	put(b, data, sizeof(data), COW_CLUSTER);
	ASSERT_EQ(fstat(fd, &before), 0);
	/* The second half lies below only, and stays. */
	ASSERT_EQ(block_discard(b, COW_CLUSTER, 3 * COW_CLUSTER), 0);
	ASSERT_EQ(fstat(fd, &after), 0);
	ASSERT(after.st_blocks < before.st_blocks);
	memset(model + COW_CLUSTER, 0, sizeof(data));
	expect(b, model);
	block_free(b);
	ASSERT_EQ(close(fd), 0);
}

TEST(a_volatile_layer_writes_no_bitmap)
{
	uint8_t data[512] = { 1 }, page[4096], zero[4096] = { 0 };
	int fd = new_layer();
	struct block *b = open_disk(fd, true);

	put(b, data, sizeof(data), 0);
	ASSERT_EQ(block_flush(b), 0);
	block_free(b);
	ASSERT_EQ(pread(fd, page, sizeof(page), 4096), (ssize_t)sizeof(page));
	ASSERT(memcmp(page, zero, sizeof(page)) == 0);
	ASSERT_EQ(close(fd), 0);
}

TEST(what_is_no_layer_is_refused)
{
	struct block *base = new_base(), *disk = NULL;
	struct cow_origin o;
	int fd = temp_file();

	ASSERT_EQ(cow_new(base, fd, false, &disk), -EPROTO); /* empty */
	ASSERT_EQ(pwrite(fd, base_bytes, 4096, 0), 4096);
	ASSERT_EQ(cow_new(base, fd, false, &disk), -EPROTO);
	ASSERT_EQ(cow_create(fd, &(struct cow_origin){ COW_DISK_MAX + 512, 0, 0 }), -EFBIG);
	ASSERT_EQ(cow_create(fd, &(struct cow_origin){ 513, 0, 0 }), 0);
	ASSERT_EQ(cow_new(base, fd, false, &disk), -EPROTO); /* no whole sectors */
	ASSERT_EQ(cow_create(fd, &(struct cow_origin){ 1024, 77, 88 }), 0);
	ASSERT_EQ(cow_origin_read(fd, &o), 0);
	ASSERT_EQ(o.disk_size, 1024);
	ASSERT_EQ(o.file_size, 77);
	ASSERT_EQ(o.mtime_ns, 88);
	ASSERT(!disk);
	block_free(base);
	ASSERT_EQ(close(fd), 0);
}

/* As the monitor uses it: behind other pieces of one disk. */
TEST(as_an_extent_of_a_disk)
{
	uint8_t data[1024], seen[1024];
	struct iovec in = { seen, sizeof(seen) };
	int fd = new_layer();
	struct block_extent e[2] = {
		{ .len = 4096, .fd = temp_file() },
		{ .disk_offset = 8192,
		  .len = DISK_BYTES,
		  .block = open_disk(fd, false),
		  .writable = true },
	};
	struct block *b = NULL;

	ASSERT_EQ(ftruncate(e[0].fd, 4096), 0);
	e[1].len += 512; /* past the end of the block */
	ASSERT_EQ(block_extents_new(e, 2, 1 << 20, &b), -EINVAL);
	e[1].len -= 512;
	ASSERT_EQ(block_extents_new(e, 2, 1 << 20, &b), 0);
	memset(data, 0x55, sizeof(data));
	put(b, data, sizeof(data), 8192 + 512);
	ASSERT_EQ(block_readv(b, &in, 1, 8192 + 512), 0);
	ASSERT(memcmp(seen, data, sizeof(seen)) == 0);
	ASSERT_EQ(block_readv(b, &in, 1, 8192 + 2048), 0);
	ASSERT(memcmp(seen, base_bytes + 2048, sizeof(seen)) == 0);
	ASSERT_EQ(block_write_zeroes(b, 8192, 512, false), 0);
	ASSERT_EQ(block_discard(b, 8192, 512), 0);
	ASSERT_EQ(block_flush(b), 0);
	block_free(b);
	b = open_disk(fd, false);
	ASSERT_EQ(block_readv(b, &in, 1, 512), 0);
	ASSERT(memcmp(seen, data, sizeof(seen)) == 0);
	block_free(b);
	ASSERT_EQ(close(fd), 0);
}

TAP_MAIN()
