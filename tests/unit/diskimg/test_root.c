/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <endian.h>
#include <string.h>
#include <sys/mman.h>
#include <zlib.h>

#include "diskimg/internal.h"

#define SECTOR	  512u
#define DISK_SIZE (4u << 20)
#define ROOT_TYPE "\xe3\xbc\x68\x4f\xcd\xe8\xb1\x4d\x96\xe7\xfb\xca\xf9\x84\xb7\x09"
#define DATA_TYPE "\xaf\x3d\xc6\x0f\x83\x84\x72\x47\x8e\x79\x3d\x69\xd8\x47\x7d\xe4"

static uint8_t disk_bytes[DISK_SIZE];

static void put16(size_t at, uint16_t v)
{
	v = htole16(v);
	memcpy(disk_bytes + at, &v, sizeof(v));
}

static void put32(size_t at, uint32_t v)
{
	v = htole32(v);
	memcpy(disk_bytes + at, &v, sizeof(v));
}

static void put64(size_t at, uint64_t v)
{
	v = htole64(v);
	memcpy(disk_bytes + at, &v, sizeof(v));
}

/* An ext4 superblock of @kib blocks of 1 KiB. */
static void put_ext4(size_t at, uint32_t kib)
{
	put32(at + 1024 + 4, kib);
	put32(at + 1024 + 24, 0);
	put16(at + 1024 + 56, 0xef53);
}

struct entry {
	const char *type; /* 16 bytes; NULL: unused */
	uint64_t first, last;
};

/* A header at @lba for the entries at @entries_lba. */
static void put_gpt(uint64_t lba, uint64_t entries_lba, const struct entry *e, uint32_t n)
{
	size_t h = lba * SECTOR, t = entries_lba * SECTOR;

	memset(disk_bytes + t, 0, n * 128u);
	for (uint32_t i = 0; i < n; i++) {
		if (!e[i].type)
			continue;
		memcpy(disk_bytes + t + i * 128u, e[i].type, 16);
		put64(t + i * 128u + 32, e[i].first);
		put64(t + i * 128u + 40, e[i].last);
	}
	memset(disk_bytes + h, 0, SECTOR);
	memcpy(disk_bytes + h, "EFI PART", 8);
	put32(h + 8, 0x10000);
	put32(h + 12, 92);
	put64(h + 24, lba);
	put64(h + 72, entries_lba);
	put32(h + 80, n);
	put32(h + 84, 128);
	put32(h + 88, (uint32_t)crc32(0, disk_bytes + t, n * 128u));
	put32(h + 16, (uint32_t)crc32(0, disk_bytes + h, 92));
}

static void put_mbr(size_t at, int i, uint8_t type, uint32_t first, uint32_t count)
{
	size_t e = at + 446 + 16 * (size_t)i;

	disk_bytes[e + 4] = type;
	put32(e + 8, first);
	put32(e + 12, count);
	disk_bytes[at + 510] = 0x55;
	disk_bytes[at + 511] = 0xaa;
}

static struct block *disk(void)
{
	struct block_extent e = { .len = DISK_SIZE, .fd = memfd_create("disk", MFD_CLOEXEC) };
	struct block *b = NULL;

	ASSERT_EQ(write(e.fd, disk_bytes, DISK_SIZE), DISK_SIZE);
	ASSERT_EQ(block_extents_new(&e, 1, DISK_SIZE, &b), 0);
	return b;
}

/* The root of the disk as it is now; a part of the error, or NULL. */
static struct disk_root root(uint32_t partition, const char *fstype, const char *error)
{
	struct disk_root found = { .partition = 999 };
	struct err err = ERR_INIT;
	struct block *b = disk();
	int r = disk_root_find(b, "x.raw", partition, fstype, &found, &err);

	if (!error && r < 0)
		TAP_FAIL("%s", err.msg);
	if (error && r == 0)
		TAP_FAIL("took partition %u", found.partition);
	if (error && !strstr(err.msg, error))
		TAP_FAIL("'%s' is not in: %s", error, err.msg);
	if (error)
		ASSERT_EQ(found.partition, 999);
	block_free(b);
	return found;
}

TEST(the_whole_disk)
{
	struct disk_root r;

	put_ext4(0, DISK_SIZE / 1024);
	put_mbr(0, 0, 0x83, 8, 100); /* boot code may look like a table */
	r = root(0, NULL, NULL);
	ASSERT_EQ(r.partition, 0);
	ASSERT_EQ(r.offset, 0);
	ASSERT_EQ(r.len, DISK_SIZE);
	ASSERT_STR(r.fstype, "ext4");
	ASSERT(r.last);
	put_ext4(0, DISK_SIZE / 1024 + 1);
	root(0, NULL, "is cut off");
}

TEST(nothing_that_is_known)
{
	root(0, NULL, "neither partitions nor a known file system");
	memcpy(disk_bytes, "XFSB", 4);
	root(0, NULL, "has xfs, which the guest cannot mount");
	ASSERT_STR(root(0, "ext4", NULL).fstype, "ext4"); /* the user knows better */
	root(1, NULL, "has no partition 1");
}

TEST(gpt_by_type_by_content_by_number)
{
	static const struct entry typed[] = { { DATA_TYPE, 100, 199 },
					      { NULL, 0, 0 },
					      { ROOT_TYPE, 200, 399 } };
	static const struct entry plain[] = { { DATA_TYPE, 100, 199 }, { DATA_TYPE, 200, 399 } };
	struct disk_root r;

	put_ext4(100 * SECTOR, 50);
	put_ext4(200 * SECTOR, 100);
	put_gpt(1, 2, typed, 3);
	r = root(0, NULL, NULL);
	ASSERT_EQ(r.partition, 3);
	ASSERT_EQ(r.offset, 200 * SECTOR);
	ASSERT_EQ(r.len, 200 * SECTOR);
	ASSERT(r.last);
	r = root(1, NULL, NULL);
	ASSERT_EQ(r.partition, 1);
	ASSERT(!r.last);
	put_gpt(1, 2, plain, 2);
	root(0, NULL, "several file systems");
	root(0, NULL, "1 (ext4, 0 MiB), 2 (ext4, 0 MiB)");
	memset(disk_bytes + 100 * SECTOR, 0, 4096);
	ASSERT_EQ(root(0, NULL, NULL).partition, 2); /* the only one */
	root(0, "erofs", "no file system that the guest can mount");
	root(1, NULL, "no file system there");
	ASSERT_STR(root(1, "erofs", NULL).fstype, "erofs");
}

TEST(a_damaged_gpt_has_a_second_copy)
{
	static const struct entry e[] = { { ROOT_TYPE, 100, 199 } };
	uint64_t end = DISK_SIZE / SECTOR - 1;

	put_ext4(100 * SECTOR, 50);
	put_gpt(1, 2, e, 1);
	put_gpt(end, end - 8, e, 1);
	disk_bytes[SECTOR + 40] ^= 1; /* its checksum is wrong */
	ASSERT_EQ(root(0, NULL, NULL).partition, 1);
	disk_bytes[(end - 8) * SECTOR + 33] ^= 1; /* and that of the other's entries */
	root(0, NULL, "neither partitions");
}

TEST(partitions_outside_of_the_disk_are_none)
{
	static const struct entry e[] = {
		{ ROOT_TYPE, 100, DISK_SIZE / SECTOR },	     { ROOT_TYPE, 5, 4 },
		{ ROOT_TYPE, UINT64_MAX, UINT64_MAX },	     { ROOT_TYPE, 0, UINT64_MAX },
		{ ROOT_TYPE, 1ull << 60, (1ull << 60) + 5 }, { ROOT_TYPE, 0, 100 },
	};
	struct partition_table t = { 0 };
	struct block *b;

	put_gpt(1, 2, e, 6);
	b = disk();
	ASSERT_EQ(partition_table_read(b, &t), 0);
	ASSERT_STR(t.kind, "GPT");
	ASSERT_EQ(t.n, 0);
	block_free(b);
}

TEST(gpt_headers_that_lie)
{
	static const struct {
		const char *name;
		size_t at;
		uint64_t value;
	} lies[] = {
		{ "no entries", 80, 128ull << 32 },
		{ "2^32 entries", 80, 128ull << 32 | UINT32_MAX },
		{ "entries of 0", 80, 1 },
		{ "entries of 2^32", 80, (uint64_t)UINT32_MAX << 32 | 1 },
		{ "entries past the end", 72, 1ull << 55 },
		{ "entries that wrap", 72, UINT64_MAX },
		{ "another place", 24, 5 },
		{ "long header", 8, 4096ull << 32 },
		{ "short header", 8, 91ull << 32 },
	};
	static const struct entry e[] = { { ROOT_TYPE, 100, 199 } };

	for_cases(c, lies) {
		struct partition_table t = { 0 };
		struct block *b;

		memset(disk_bytes, 0, sizeof(disk_bytes));
		put_gpt(1, 2, e, 1);
		put64(SECTOR + c->at, c->value);
		put32(SECTOR + 16, 0);
		put32(SECTOR + 16, (uint32_t)crc32(0, disk_bytes + SECTOR, 92));
		b = disk();
		ASSERT_EQ(partition_table_read(b, &t), 0);
		if (t.kind)
			TAP_FAIL("was taken as %s", t.kind);
		block_free(b);
	}
}

TEST(mbr_and_its_logical_partitions)
{
	struct partition_table t = { 0 };
	struct block *b;

	put_mbr(0, 0, 0x83, 64, 100);
	put_mbr(0, 1, 0x05, 1000, 4000);
	put_mbr(0, 3, 0x83, 0, 100); /* at the table itself */
	put_mbr(1000 * SECTOR, 0, 0x83, 8, 50);
	put_mbr(1000 * SECTOR, 1, 0x05, 500, 100);
	put_mbr(1500 * SECTOR, 0, 0x83, 8, 60);
	b = disk();
	ASSERT_EQ(partition_table_read(b, &t), 0);
	ASSERT_STR(t.kind, "MBR");
	ASSERT_EQ(t.n, 3);
	ASSERT_EQ(t.list[0].number, 1);
	ASSERT_EQ(t.list[1].number, 5);
	ASSERT_EQ(t.list[1].offset, 1008 * SECTOR);
	ASSERT_EQ(t.list[2].number, 6);
	ASSERT_EQ(t.list[2].offset, 1508 * SECTOR);
	ASSERT_EQ(t.list[2].len, 60 * SECTOR);
	block_free(b);
}

TEST(a_loop_of_logical_partitions_ends)
{
	struct partition_table t = { 0 };
	struct block *b;

	put_mbr(0, 0, 0x0f, 1000, 4000);
	put_mbr(1000 * SECTOR, 0, 0x83, 8, 50);
	put_mbr(1000 * SECTOR, 1, 0x05, UINT32_MAX, 100);
	b = disk();
	ASSERT_EQ(partition_table_read(b, &t), 0);
	ASSERT_EQ(t.n, 1);
	block_free(b);
	put_mbr(1000 * SECTOR, 1, 0x05, 500, 100);
	put_mbr(1500 * SECTOR, 1, 0x05, 500, 100); /* itself */
	put_mbr(1500 * SECTOR, 0, 0x83, 8, 50);
	b = disk();
	ASSERT_EQ(partition_table_read(b, &t), 0);
	ASSERT(t.n <= PARTITIONS_MAX);
	block_free(b);
}

TEST(file_systems_by_their_marks)
{
	static const struct {
		const char *name;
		size_t at;
		const char *bytes;
	} marks[] = {
		{ "xfs", 0, "XFSB" },		{ "squashfs", 0, "hsqs" },
		{ "luks", 0, "LUKS\xba\xbe" },	{ "vfat", 82, "FAT32   " },
		{ "ntfs", 3, "NTFS    " },	{ "lvm", 536, "LVM2 001" },
		{ "swap", 4086, "SWAPSPACE2" }, { "iso9660", 32769, "CD001" },
		{ "btrfs", 65600, "_BHRfS_M" },
	};

	for_cases(c, marks) {
		struct filesystem fs;
		struct block *b;

		memset(disk_bytes, 0, sizeof(disk_bytes));
		memcpy(disk_bytes + c->at, c->bytes, strlen(c->bytes));
		b = disk();
		ASSERT_EQ(filesystem_probe(b, 0, DISK_SIZE, &fs), 0);
		ASSERT_STR(fs.type, c->name);
		ASSERT(!fs.mountable);
		ASSERT_EQ(filesystem_probe(b, 0, c->at / SECTOR * SECTOR, &fs), 0);
		ASSERT(!fs.type); /* its mark lies behind the partition */
		block_free(b);
	}
}

TEST(sizes_of_file_systems)
{
	struct filesystem fs;
	struct block *b;

	put_ext4(0, 1024);
	put32(1024 + 24, 2);	/* blocks of 4 KiB */
	put32(1024 + 96, 0x80); /* 64bit */
	put32(1024 + 0x150, 1);
	b = disk();
	ASSERT_EQ(filesystem_probe(b, 0, DISK_SIZE, &fs), 0);
	ASSERT_EQ(fs.size, ((1ull << 32) + 1024) * 4096);
	block_free(b);
	put32(1024 + 24, 7); /* no block has 128 KiB */
	b = disk();
	ASSERT_EQ(filesystem_probe(b, 0, DISK_SIZE, &fs), 0);
	ASSERT(!fs.type);
	block_free(b);
	memset(disk_bytes, 0, sizeof(disk_bytes));
	put32(1024, 0xe0f5e1e2);
	disk_bytes[1024 + 12] = 12;
	put32(1024 + 36, 10);
	b = disk();
	ASSERT_EQ(filesystem_probe(b, 0, DISK_SIZE, &fs), 0);
	ASSERT_STR(fs.type, "erofs");
	ASSERT_EQ(fs.size, 40960);
	ASSERT(fs.mountable);
	block_free(b);
}

TAP_MAIN()
