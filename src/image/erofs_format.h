/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_EROFS_FORMAT_H
#define IMAGE_EROFS_FORMAT_H

#include <stdint.h>

/*
 * On-disk form of EROFS, little endian, as Documentation/filesystems/erofs.rst and the
 * superblock that Linux 6.1 reads.  Only what we use.
 */
#define EROFS_SUPER_OFFSET 1024
#define EROFS_MAGIC	   0xe0f5e1e2u
#define EROFS_BLOCK_BITS   9
#define EROFS_META_OFFSET  1536 /* where the root inode is: behind the superblock's block */
#define EROFS_SLOT	   32	/* an inode number counts these bytes */

#define EROFS_COMPAT_CHECKSUM  0x1u
#define EROFS_INCOMPAT_CHUNKED 0x4u

struct erofs_super {
	uint32_t magic;
	uint32_t checksum; /* crc32c from here to the end of the block, itself 0 */
	uint32_t feature_compat;
	uint8_t block_bits;
	uint8_t ext_slots;
	uint16_t root_nid;
	uint64_t inodes;
	uint64_t build_time;
	uint32_t build_time_ns;
	uint32_t blocks;
	uint32_t meta_block;
	uint32_t xattr_block;
	uint8_t uuid[16];
	uint8_t volume_name[16];
	uint32_t feature_incompat;
	uint16_t compression;
	uint16_t extra_devices;
	uint16_t device_slot;
	uint8_t dir_block_bits;
	uint8_t reserved[37];
} __attribute__((packed));
_Static_assert(sizeof(struct erofs_super) == 128, "superblock");

enum { EROFS_FLAT_PLAIN = 0, EROFS_FLAT_INLINE = 2, EROFS_CHUNKED = 4 };
#define EROFS_EXTENDED 1u

struct erofs_inode {
	uint16_t format; /* EROFS_EXTENDED | layout << 1 */
	uint16_t xattr_count;
	uint16_t mode;
	uint16_t reserved;
	uint64_t size;
	uint32_t u; /* first block, device number, or bits of a chunk - EROFS_BLOCK_BITS */
	uint32_t ino;
	uint32_t uid, gid;
	uint64_t mtime;
	uint32_t mtime_ns;
	uint32_t nlink;
	uint8_t reserved2[16];
} __attribute__((packed));
_Static_assert(sizeof(struct erofs_inode) == 64, "inode");

#define EROFS_CHUNK_BITS_MASK 31u
#define EROFS_HOLE	      UINT32_MAX

struct erofs_dirent {
	uint64_t nid;
	uint16_t name_offset; /* from the start of the block */
	uint8_t type;
	uint8_t reserved;
} __attribute__((packed));
_Static_assert(sizeof(struct erofs_dirent) == 12, "dirent");

struct erofs_xattr_header {
	uint32_t name_filter;
	uint8_t shared_count;
	uint8_t reserved[7];
} __attribute__((packed));
_Static_assert(sizeof(struct erofs_xattr_header) == 12, "xattr header");

struct erofs_xattr_entry {
	uint8_t name_len;
	uint8_t prefix;
	uint16_t value_len;
} __attribute__((packed));

/* Prefixes of attribute names by their number. */
struct erofs_prefix {
	uint8_t number;
	const char *text;
};
extern const struct erofs_prefix erofs_prefixes[];
extern const unsigned erofs_n_prefixes;

uint32_t erofs_crc32c(const void *data, unsigned len);

/* Marks in the tree file of a layer; never in a merged image. */
#define MARK_OPAQUE  "trusted.msb.opaque"
#define MARK_IMPLIED "trusted.msb.implied"
#define MARK_LINK    "trusted.msb.link"

#endif /* IMAGE_EROFS_FORMAT_H */
