/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <endian.h>
#include <string.h>
#include <zlib.h>

#include "diskimg/internal.h"

#define SECTOR	       512u
#define MBR_ENTRIES    446u /* bytes; in the sector, as the next */
#define MBR_SIGNATURE  510u
#define MBR_PROTECTIVE 0xee /* a GPT follows */
#define GPT_HEADER_MIN 92u
#define GPT_ENTRY_MIN  128u
#define GPT_BYTES_MAX  (256u << 10) /* of all entries; the usual table has 16 KiB */

/* Little-endian, as it lies on the disk. */
struct gpt_header {
	uint8_t signature[8];
	uint32_t revision, header_size, header_crc, reserved;
	uint64_t my_lba, other_lba, first_usable, last_usable;
	uint8_t guid[16];
	uint64_t entries_lba;
	uint32_t n_entries, entry_size, entries_crc;
} __attribute__((packed));
static_assert(sizeof(struct gpt_header) == GPT_HEADER_MIN, "no padding");

struct gpt_entry {
	uint8_t type[16], guid[16];
	uint64_t first_lba, last_lba;
};

struct mbr_entry {
	uint8_t status, chs_first[3], type, chs_last[3];
	uint32_t first, count; /* sectors */
};
static_assert(sizeof(struct mbr_entry) == 16, "no padding");

/* "Root partition" of the Discoverable Partitions Specification, in the order of the disk. */
#if defined(__x86_64__)
static const uint8_t linux_root_type[16] = /* 4f68bce3-e8cd-4db1-96e7-fbcaf984b709 */
	{ 0xe3, 0xbc, 0x68, 0x4f, 0xcd, 0xe8, 0xb1, 0x4d,
	  0x96, 0xe7, 0xfb, 0xca, 0xf9, 0x84, 0xb7, 0x09 };
#elif defined(__aarch64__)
static const uint8_t linux_root_type[16] = /* b921b045-1df0-41c3-af44-4c6f280d3fae */
	{ 0x45, 0xb0, 0x21, 0xb9, 0xf0, 0x1d, 0xc3, 0x41,
	  0xaf, 0x44, 0x4c, 0x6f, 0x28, 0x0d, 0x3f, 0xae };
#else
#error "the type of a root partition of this architecture"
#endif

int disk_read(struct block *disk, void *out, size_t len, uint64_t offset)
{
	size_t n = len;

	if (offset >= disk->size)
		n = 0;
	else if (len > disk->size - offset)
		n = (size_t)(disk->size - offset);
	memset((char *)out + n, 0, len - n);
	return block_readv(disk, &(struct iovec){ out, n }, n > 0, n > 0 ? offset : 0);
}

/* Sectors that do not lie on the disk are no partition. */
static void add_partition(struct partition_table *t, const struct block *disk, uint32_t number,
			  uint64_t first, uint64_t count, bool linux_root)
{
	uint64_t sectors = disk->size / SECTOR;

	if (t->n == PARTITIONS_MAX || first == 0 || count == 0 || first > sectors ||
	    count > sectors - first)
		return;
	t->list[t->n++] = (struct partition){
		.number = number,
		.offset = first * SECTOR,
		.len = count * SECTOR,
		.linux_root = linux_root,
	};
}

/* The checked header at @lba; -ENOENT: there is none. */
static int gpt_header(struct block *disk, uint64_t lba, struct gpt_header *ret)
{
	uint8_t sector[SECTOR];
	struct gpt_header h;
	uint32_t size;
	int r = disk_read(disk, sector, sizeof(sector), lba * SECTOR);

	if (r < 0)
		return r;
	memcpy(&h, sector, sizeof(h));
	size = le32toh(h.header_size);
	if (memcmp(h.signature, "EFI PART", sizeof(h.signature)) != 0 || size < GPT_HEADER_MIN ||
	    size > sizeof(sector) || le64toh(h.my_lba) != lba)
		return -ENOENT;
	memset(sector + offsetof(struct gpt_header, header_crc), 0, sizeof(h.header_crc));
	if (crc32(0, sector, size) != le32toh(h.header_crc))
		return -ENOENT;
	*ret = h;
	return 0;
}

static int gpt_at(struct block *disk, uint64_t lba, struct partition_table *ret)
{
	AUTO_FREE uint8_t *entries = NULL;
	struct gpt_header h;
	uint64_t bytes, at;
	uint32_t n, size;
	int r = gpt_header(disk, lba, &h);

	if (r < 0)
		return r;
	n = le32toh(h.n_entries);
	size = le32toh(h.entry_size);
	bytes = (uint64_t)n * size;
	if (size < GPT_ENTRY_MIN || size % 8 != 0 || n == 0 || bytes > GPT_BYTES_MAX ||
	    __builtin_mul_overflow(le64toh(h.entries_lba), (uint64_t)SECTOR, &at))
		return -ENOENT;
	entries = malloc(bytes + SECTOR);
	if (!entries)
		return -ENOMEM;
	r = disk_read(disk, entries, (bytes + SECTOR - 1) / SECTOR * SECTOR, at);
	if (r < 0)
		return r;
	if (crc32(0, entries, (uInt)bytes) != le32toh(h.entries_crc))
		return -ENOENT;
	*ret = (struct partition_table){ .kind = "GPT" };
	for (uint32_t i = 0; i < n; i++) {
		static const uint8_t unused[16];
		struct gpt_entry e;
		uint64_t first, last;

		memcpy(&e, entries + (size_t)i * size, sizeof(e));
		first = le64toh(e.first_lba);
		last = le64toh(e.last_lba);
		if (memcmp(e.type, unused, sizeof(unused)) == 0 || last < first ||
		    last == UINT64_MAX)
			continue;
		add_partition(ret, disk, i + 1, first, last - first + 1,
			      memcmp(e.type, linux_root_type, sizeof(e.type)) == 0);
	}
	return 0;
}

/* A sector with a table of four. 0, -ENOENT, -errno. */
static int mbr_sector(struct block *disk, uint64_t lba, struct mbr_entry ret[4])
{
	uint8_t sector[SECTOR];
	int r = disk_read(disk, sector, sizeof(sector), lba * SECTOR);

	if (r < 0)
		return r;
	if (sector[MBR_SIGNATURE] != 0x55 || sector[MBR_SIGNATURE + 1] != 0xaa)
		return -ENOENT;
	memcpy(ret, sector + MBR_ENTRIES, 4 * sizeof(*ret));
	for (int i = 0; i < 4; i++) /* what is code, not a table, has other bytes here */
		if (ret[i].status & 0x7f)
			return -ENOENT;
	return 0;
}

static bool is_extended(uint8_t type)
{
	return type == 0x05 || type == 0x0f || type == 0x85;
}

/* The chain of logical partitions in the extended one at @start; a loop ends with the list. */
static int read_logical(struct block *disk, uint64_t start, struct partition_table *t)
{
	uint64_t at = start;

	for (uint32_t number = 5; number <= PARTITIONS_MAX; number++) {
		struct mbr_entry e[4];
		int r = mbr_sector(disk, at, e);

		if (r < 0)
			return r == -ENOENT ? 0 : r;
		if (e[0].type != 0 && !is_extended(e[0].type))
			add_partition(t, disk, number, at + le32toh(e[0].first),
				      le32toh(e[0].count), false);
		if (!is_extended(e[1].type) || e[1].first == 0)
			return 0;
		at = start + le32toh(e[1].first);
	}
	return 0;
}

static int read_mbr(struct block *disk, struct partition_table *ret)
{
	struct mbr_entry e[4];
	int r = mbr_sector(disk, 0, e);

	if (r < 0)
		return r;
	*ret = (struct partition_table){ .kind = "MBR" };
	for (uint32_t i = 0; r == 0 && i < 4; i++) {
		if (is_extended(e[i].type))
			r = read_logical(disk, le32toh(e[i].first), ret);
		else if (e[i].type != 0 && e[i].type != MBR_PROTECTIVE)
			add_partition(ret, disk, i + 1, le32toh(e[i].first), le32toh(e[i].count),
				      false);
	}
	if (r == 0 && ret->n == 0)
		ret->kind = NULL;
	return r;
}

int partition_table_read(struct block *disk, struct partition_table *ret_table)
{
	int r = gpt_at(disk, 1, ret_table);

	if (r == -ENOENT && disk->size >= 2ull * SECTOR)
		r = gpt_at(disk, disk->size / SECTOR - 1, ret_table);
	if (r == -ENOENT)
		r = read_mbr(disk, ret_table);
	if (r == -ENOENT) {
		*ret_table = (struct partition_table){ 0 };
		r = 0;
	}
	return r;
}
