/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input is the front of a disk of 4 MiB, after a byte of choices.  Checksums of a GPT are made
 * right, else no input would get past them.
 */
#include <endian.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "diskimg/internal.h"

#define DISK_SIZE   (4u << 20)
#define HEADER	    512u /* bytes; where the GPT is */
#define HEADER_SIZE 92u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t u32_at(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static void put_crc(uint8_t *at, const uint8_t *data, size_t len)
{
	uint32_t crc = htole32((uint32_t)crc32(0, data, (uInt)len));

	memcpy(at, &crc, sizeof(crc));
}

static void make_right(uint8_t *disk)
{
	uint64_t n = (uint64_t)u32_at(disk + HEADER + 80) * u32_at(disk + HEADER + 84);
	uint64_t at = (uint64_t)u32_at(disk + HEADER + 72) * 512;

	if (at < DISK_SIZE && n <= DISK_SIZE - at)
		put_crc(disk + HEADER + 88, disk + at, n);
	memset(disk + HEADER + 16, 0, 4);
	put_crc(disk + HEADER + 16, disk + HEADER, HEADER_SIZE);
}

static void look(struct block *disk, uint32_t partition, const char *fstype)
{
	struct disk_root root;
	struct err err = ERR_INIT;

	if (disk_root_find(disk, "fuzz", partition, fstype, &root, &err) < 0)
		return;
	if (root.len == 0 || root.len > disk->size || root.offset > disk->size - root.len)
		__builtin_trap(); /* it lies on the disk */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t bytes[DISK_SIZE];
	struct block_extent e = { .len = DISK_SIZE };
	struct block *disk = NULL;

	if (size < 1 || size > DISK_SIZE)
		return 0;
	memset(bytes, 0, sizeof(bytes));
	memcpy(bytes, data + 1, size - 1);
	if (data[0] & 1)
		make_right(bytes);
	e.fd = memfd_create("disk", MFD_CLOEXEC);
	if (e.fd < 0 || write(e.fd, bytes, size > 128 * 1024 ? size : 128 * 1024) < 0 ||
	    block_extents_new(&e, 1, DISK_SIZE, &disk) < 0)
		return 0;
	look(disk, 0, NULL);
	look(disk, data[0] >> 1, data[0] & 2 ? "ext4" : NULL);
	block_free(disk);
	return 0;
}
