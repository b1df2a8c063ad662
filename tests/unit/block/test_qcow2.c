/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <endian.h>
#include <string.h>
#include <sys/mman.h>

#include "block/qcow2.h"

/*
 * An image of our own making, version 3 with clusters of 512 bytes: header, L1 table at 512, L2
 * tables at 1024 and 1536, data at 2048 and 2560.  An L2 table is for 32 KiB of the disk.
 */
#define CLUSTER	  512u
#define L1_AT	  512u
#define L2_AT	  1024u
#define DATA_AT	  2048u
#define FILE_SIZE 3072u
#define DISK_SIZE (64u << 10)

struct image {
	uint8_t bytes[FILE_SIZE];
	size_t len;
};

static void put32(struct image *im, size_t at, uint32_t value)
{
	value = htobe32(value);
	memcpy(im->bytes + at, &value, sizeof(value));
}

static void put64(struct image *im, size_t at, uint64_t value)
{
	value = htobe64(value);
	memcpy(im->bytes + at, &value, sizeof(value));
}

static struct image sound(void)
{
	struct image im = { .len = FILE_SIZE };

	put32(&im, 0, QCOW2_MAGIC);
	put32(&im, 4, 3);
	put32(&im, 20, 9);
	put64(&im, 24, DISK_SIZE);
	put32(&im, 36, 2);
	put64(&im, 40, L1_AT);
	put32(&im, 96, 4);
	put32(&im, 100, 104);
	put64(&im, L1_AT, L2_AT | 1ull << 63);
	put64(&im, L2_AT, DATA_AT | 1ull << 63);
	put64(&im, L2_AT + 8, (DATA_AT + CLUSTER) | 1ull << 63);
	put64(&im, L2_AT + 24, 1); /* zeros */
	memset(im.bytes + DATA_AT, 'a', CLUSTER);
	memset(im.bytes + DATA_AT + CLUSTER, 'b', CLUSTER);
	return im;
}

static int open_image(const struct image *im, struct qcow2 **ret, struct err *err)
{
	int fd = memfd_create("qcow2", MFD_CLOEXEC), r;

	ASSERT(fd >= 0);
	ASSERT_EQ(write(fd, im->bytes, im->len), (ssize_t)im->len);
	r = qcow2_open(fd, "x.qcow2", ret, err);
	if (r < 0)
		ASSERT_EQ(close(fd), 0);
	return r;
}

static int read_at(struct qcow2 *q, void *out, size_t len, uint64_t at)
{
	struct iovec iov = { out, len };

	return block_readv(qcow2_block(q), &iov, 1, at);
}

TEST(reads_clusters_and_holes)
{
	struct image im = sound();
	struct err err = ERR_INIT;
	struct qcow2 *q = NULL;
	uint8_t seen[4 * CLUSTER], want[4 * CLUSTER] = { 0 };
	struct qcow2_count count = { 9, 9 };

	ASSERT_EQ(open_image(&im, &q, &err), 0);
	ASSERT_EQ(qcow2_block(q)->size, DISK_SIZE);
	ASSERT(qcow2_block(q)->read_only);
	memset(want, 'a', CLUSTER);
	memset(want + CLUSTER, 'b', CLUSTER);
	memset(seen, 0xee, sizeof(seen));
	ASSERT_EQ(read_at(q, seen, sizeof(seen), 0), 0);
	ASSERT(memcmp(seen, want, sizeof(seen)) == 0);
	ASSERT_EQ(read_at(q, seen, 512, DISK_SIZE - 512), 0); /* no L2 table */
	ASSERT(memcmp(seen, want + sizeof(want) - 512, 512) == 0);
	ASSERT_EQ(qcow2_check(q, "x.qcow2", &count, &err), 0);
	ASSERT_EQ(count.packed, 0);
	ASSERT_EQ(count.data, 2);
	qcow2_free(q);
}

TEST(a_packed_cluster_is_found_not_read)
{
	struct image im = sound();
	struct err err = ERR_INIT;
	struct qcow2 *q = NULL;
	struct qcow2_place place;
	uint8_t seen[512];
	struct qcow2_count count = { 0 };

	/* 9 bits of cluster: 61 of offset, one of length. */
	put64(&im, L2_AT + 16, 1ull << 62 | 1ull << 61 | (DATA_AT + 10));
	ASSERT_EQ(open_image(&im, &q, &err), 0);
	ASSERT_EQ(qcow2_find(q, 2 * CLUSTER, &place), 0);
	ASSERT_EQ(place.kind, QCOW2_PACKED);
	ASSERT_EQ(place.offset, DATA_AT + 10);
	ASSERT_EQ(place.len, 1024 - 10);
	ASSERT_EQ(read_at(q, seen, 512, 2 * CLUSTER), -EIO);
	ASSERT_EQ(qcow2_check(q, "x.qcow2", &count, &err), 0);
	ASSERT_EQ(count.packed, 1);
	ASSERT_EQ(count.data, 2);
	qcow2_free(q);
}

/* A field of the header that is changed, and a part of the error. */
static const struct {
	const char *name;
	size_t at;
	unsigned bytes;
	uint64_t value;
	const char *error; /* NULL: fine */
} headers[] = {
	{ "magic", 0, 4, 0, "no qcow2" },
	{ "version 1", 4, 4, 1, "version" },
	{ "version 4", 4, 4, 4, "version" },
	{ "version 2", 4, 4, 2, NULL },
	{ "backing file", 8, 8, 256, "backing_file_offset" },
	{ "small clusters", 20, 4, 8, "cluster_bits" },
	{ "large clusters", 20, 4, 22, "cluster_bits" },
	{ "huge cluster bits", 20, 4, UINT32_MAX, "cluster_bits" },
	{ "no size", 24, 8, 0, "size" },
	{ "size 2^63", 24, 8, 1ull << 63, "above 16 TiB" },
	{ "size all ones", 24, 8, UINT64_MAX, "above 16 TiB" },
	{ "size above the L1 table", 24, 8, DISK_SIZE + 1, "l1_size" },
	{ "size 16 TiB of small clusters", 24, 8, 1ull << 44, "l1_size" },
	{ "aes", 32, 4, 1, "encrypted" },
	{ "luks", 32, 4, 2, "encrypted" },
	{ "no L1 table", 36, 4, 0, "l1_size" },
	{ "large L1 table is not used", 36, 4, UINT32_MAX, NULL },
	{ "L1 at the header", 40, 8, 0, "l1_table_offset" },
	{ "L1 unaligned", 40, 8, 520, "l1_table_offset" },
	{ "L1 past the end", 40, 8, FILE_SIZE, "past the end" },
	{ "L1 at 2^63", 40, 8, 1ull << 63, "past the end" },
	{ "L1 wraps", 40, 8, UINT64_MAX - 511, "past the end" },
	{ "snapshots are ignored", 60, 4, 7, NULL },
	{ "dirty", 72, 8, 1, NULL },
	{ "corrupt", 72, 8, 2, "qemu-img check -r all x.qcow2" },
	{ "data file", 72, 8, 4, "qemu-img convert -O qcow2 x.qcow2" },
	{ "packing without its field", 72, 8, 8, "compression_type" },
	{ "extended L2", 72, 8, 16, "extended L2" },
	{ "unknown feature", 72, 8, 1ull << 40, "incompatible_features" },
	{ "compatible features", 80, 8, UINT64_MAX, NULL },
	{ "header length", 100, 4, 103, "header_length" },
};

TEST(headers)
{
	for_cases(c, headers) {
		struct image im = sound();
		struct err err = ERR_INIT;
		struct qcow2 *q = NULL;
		int r;

		if (c->bytes == 4)
			put32(&im, c->at, (uint32_t)c->value);
		else
			put64(&im, c->at, c->value);
		r = open_image(&im, &q, &err);
		if (!c->error && r < 0)
			TAP_FAIL("%s", err.msg);
		if (c->error && r == 0)
			TAP_FAIL("was taken");
		if (c->error && !strstr(err.msg, c->error))
			TAP_FAIL("'%s' is not in: %s", c->error, err.msg);
		if (c->error)
			ASSERT_EQ(err.code, ERR_INVALID);
		qcow2_free(q);
	}
}

TEST(an_image_that_ends_anywhere)
{
	for (size_t len = 0; len <= FILE_SIZE; len++) {
		struct image im = sound();
		struct err err = ERR_INIT;
		struct qcow2 *q = NULL;
		uint8_t seen[512];
		struct qcow2_count count = { 0 };

		im.len = len;
		if (open_image(&im, &q, &err) < 0)
			continue;
		ASSERT(len >= L1_AT + 16);
		if (qcow2_check(q, "x.qcow2", &count, &err) == 0)
			ASSERT_EQ(read_at(q, seen, 512, 0), 0);
		qcow2_free(q);
	}
}

TEST(a_version_2_image_has_no_zero_flag)
{
	struct image im = sound();
	struct err err = ERR_INIT;
	struct qcow2 *q = NULL;
	uint8_t seen[512];

	put32(&im, 4, 2);
	ASSERT_EQ(open_image(&im, &q, &err), 0);
	ASSERT_EQ(read_at(q, seen, 512, 0), 0);
	ASSERT_EQ(read_at(q, seen, 512, 3 * CLUSTER), -EIO);
	qcow2_free(q);
}

/* An entry of a table that is wrong: what the check says, and the read. */
static const struct {
	const char *name;
	size_t at;
	uint64_t value;
	const char *error;
	int read; /* of the first sector */
} tables[] = {
	{ "L2 unaligned", L1_AT, L2_AT + 1024 + 8, "entry 0 of its L1", -EIO },
	{ "L2 past the end", L1_AT, FILE_SIZE, "entry 0 of its L1", -EIO },
	{ "L2 far past the end", L1_AT, 0x00fffffffffffe00ull, "entry 0 of its L1", -EIO },
	{ "L1 reserved bit", L1_AT, L2_AT | 1ull << 60, "entry 0 of its L1", -EIO },
	{ "L1 names itself", L1_AT, L1_AT, "the L1 table itself", -EIO },
	{ "L2 used twice", L1_AT + 8, L2_AT, "used twice", 0 },
	{ "data past the end", L2_AT, FILE_SIZE, "entry 0 of its L2 table at 1024", -EIO },
	{ "data unaligned", L2_AT, DATA_AT + 256, "entry 0 of its L2 table at 1024", -EIO },
	{ "data reserved bit", L2_AT, DATA_AT | 1ull << 58, "entry 0 of its L2", -EIO },
	{ "data is the L1 table", L2_AT + 8, L1_AT, "entry 1 of its L2", 0 },
	{ "data is its own L2 table", L2_AT + 8, L2_AT, "names a table as data", 0 },
	{ "packed past the end", L2_AT, 1ull << 62 | FILE_SIZE, "entry 0 of its L2", -EIO },
};

TEST(wrong_tables)
{
	for_cases(c, tables) {
		struct image im = sound();
		struct err err = ERR_INIT;
		struct qcow2 *q = NULL;
		uint8_t seen[512];
		struct qcow2_count count = { 0 };

		put64(&im, c->at, c->value);
		ASSERT_EQ(open_image(&im, &q, &err), 0);
		ASSERT(qcow2_check(q, "x.qcow2", &count, &err) < 0);
		if (!strstr(err.msg, c->error))
			TAP_FAIL("'%s' is not in: %s", c->error, err.msg);
		ASSERT_EQ(err.code, ERR_INVALID);
		if (strcmp(c->name, "L1 names itself") != 0) /* its own entries, then */
			ASSERT_EQ(read_at(q, seen, 512, 0), c->read);
		qcow2_free(q);
	}
}

TAP_MAIN()
