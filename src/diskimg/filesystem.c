/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <string.h>

#include "diskimg/internal.h"

#define PROBE_BYTES (68u << 10) /* the furthest mark is that of btrfs, at 64 KiB */

#define EXT4_AT		   1024u /* bytes; its superblock */
#define EXT4_BLOCKS_LO	   0x04u /* in the superblock, as the next */
#define EXT4_LOG_BLOCK	   0x18u
#define EXT4_INCOMPAT	   0x60u
#define EXT4_BLOCKS_HI	   0x150u
#define EXT4_LOG_BLOCK_MAX 6u /* 64 KiB */
#define EXT4_64BIT	   0x80u
#define EROFS_AT	   1024u
#define EROFS_BLOCK_BITS   0x0cu
#define EROFS_BLOCKS	   0x24u

/* What a region is told by; the first that fits. */
static const struct mark {
	const char *type;
	uint32_t offset;
	const char *bytes;
	uint32_t len;
	bool mountable; /* built into the guest's kernel, kernel/core.config */
} marks[] = {
	{ "ext4", EXT4_AT + 0x38, "\x53\xef", 2, true }, /* ext2 and ext3 too */
	{ "erofs", EROFS_AT, "\xe2\xe1\xf5\xe0", 4, true },
	{ "xfs", 0, "XFSB", 4, false },
	{ "squashfs", 0, "hsqs", 4, false },
	{ "luks", 0, "LUKS\xba\xbe", 6, false },
	{ "f2fs", 1024, "\x10\x20\xf5\xf2", 4, false },
	{ "lvm", 512 + 24, "LVM2 001", 8, false },
	{ "ntfs", 3, "NTFS    ", 8, false },
	{ "exfat", 3, "EXFAT   ", 8, false },
	{ "vfat", 82, "FAT32   ", 8, false },
	{ "vfat", 54, "FAT16   ", 8, false },
	{ "vfat", 54, "FAT12   ", 8, false },
	{ "swap", 4086, "SWAPSPACE2", 10, false },
	{ "iso9660", 32768 + 1, "CD001", 5, false },
	{ "btrfs", 65536 + 64, "_BHRfS_M", 8, false },
};

static uint32_t u32_at(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static uint64_t ext4_size(const uint8_t *super)
{
	uint32_t log_block = u32_at(super + EXT4_LOG_BLOCK);
	uint64_t blocks = u32_at(super + EXT4_BLOCKS_LO), size;

	if (u32_at(super + EXT4_INCOMPAT) & EXT4_64BIT)
		blocks |= (uint64_t)u32_at(super + EXT4_BLOCKS_HI) << 32;
	if (log_block > EXT4_LOG_BLOCK_MAX ||
	    __builtin_mul_overflow(blocks, 1024ull << log_block, &size))
		return 0;
	return size;
}

/* 0: no size that could be. */
static uint64_t size_of(const struct mark *m, const uint8_t *data)
{
	uint8_t bits;

	if (strcmp(m->type, "ext4") == 0)
		return ext4_size(data + EXT4_AT);
	bits = data[EROFS_AT + EROFS_BLOCK_BITS];
	if (bits < 9 || bits > 16)
		return 0;
	return (uint64_t)u32_at(data + EROFS_AT + EROFS_BLOCKS) << bits;
}

int filesystem_probe(struct block *disk, uint64_t offset, uint64_t len, struct filesystem *ret_fs)
{
	AUTO_FREE uint8_t *data = calloc(1, PROBE_BYTES);
	int r;

	if (!data)
		return -ENOMEM;
	r = disk_read(disk, data, len < PROBE_BYTES ? (size_t)len : PROBE_BYTES, offset);
	if (r < 0)
		return r;
	*ret_fs = (struct filesystem){ 0 };
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		const struct mark *m = &marks[i];
		uint64_t size;

		if (memcmp(data + m->offset, m->bytes, m->len) != 0)
			continue;
		size = m->mountable ? size_of(m, data) : 0;
		if (m->mountable && size == 0)
			continue;
		*ret_fs = (struct filesystem){ m->type, m->mountable, size };
		return 0;
	}
	return 0;
}

const char *disk_fstype(const char *fstype)
{
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		if (marks[i].mountable && strcmp(marks[i].type, fstype) == 0)
			return marks[i].type;
	return NULL;
}
