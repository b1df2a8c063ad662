/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <ext2fs/ext2_fs.h>
#include <ext2fs/ext2fs.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "base/io.h"
#include "image/image.h"
#include "image/limits.h"

/*
 * DOC: writable disk
 *
 * What mke2fs does, by the same library, without the program.  All structures that are zero
 * stay holes: the file is empty at the start, so inode tables need no clearing (they are
 * marked as zeroed) and the journal's blocks are only reserved.  There is no resize inode, which
 * would cost 4 MiB: Linux grows such a file system with meta_bg.
 */
#define BLOCK		4096u	   /* bytes */
#define BLOCK_LOG	2	   /* BLOCK = 1024 << BLOCK_LOG */
#define INODE_BYTES	256u	   /* room for extra times and small attributes */
#define BYTES_PER_INODE (16 * KIB) /* as mke2fs.conf has it */
#define SIZE_MIN	(8 * MIB)  /* below that there is no room for a journal */
#define JOURNAL_MAX	(64 * MIB) /* bytes */
#define FLEX_BG_LOG	4	   /* 16 groups, as mke2fs.conf has it */

static int ext_err(struct err *err, errcode_t rc, const char *what)
{
	if (rc > 0 && rc < 200) /* plain errno values pass through the library */
		return err_sys(err, (int)rc, "making an ext4 file system: %s", what);
	return err_set(err, ERR_IO, "making an ext4 file system: %s (libext2fs error %ld)", what,
		       (long)rc);
}

static void close_fs_auto(ext2_filsys *fs)
{
	if (*fs)
		ext2fs_free(*fs);
}

static void fill_super(struct ext2_super_block *s, uint64_t size)
{
	uint64_t blocks = size / BLOCK;

	memset(s, 0, sizeof(*s));
	s->s_rev_level = EXT2_DYNAMIC_REV;
	s->s_log_block_size = BLOCK_LOG;
	s->s_log_cluster_size = BLOCK_LOG;
	s->s_inode_size = INODE_BYTES;
	s->s_log_groups_per_flex = FLEX_BG_LOG;
	s->s_feature_compat = EXT2_FEATURE_COMPAT_EXT_ATTR | EXT2_FEATURE_COMPAT_DIR_INDEX;
	s->s_feature_incompat = EXT2_FEATURE_INCOMPAT_FILETYPE | EXT3_FEATURE_INCOMPAT_EXTENTS |
				EXT4_FEATURE_INCOMPAT_64BIT | EXT4_FEATURE_INCOMPAT_FLEX_BG;
	s->s_feature_ro_compat =
		EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER | EXT2_FEATURE_RO_COMPAT_LARGE_FILE |
		EXT4_FEATURE_RO_COMPAT_HUGE_FILE | EXT4_FEATURE_RO_COMPAT_DIR_NLINK |
		EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE | EXT4_FEATURE_RO_COMPAT_METADATA_CSUM;
	s->s_default_mount_opts = EXT2_DEFM_XATTR_USER | EXT2_DEFM_ACL;
	s->s_errors = EXT2_ERRORS_CONTINUE;
	ext2fs_blocks_count_set(s, blocks);
	ext2fs_r_blocks_count_set(s, 0); /* nobody needs a reserve for root: all are root */
	s->s_inodes_count =
		(uint32_t)(size / BYTES_PER_INODE < UINT32_MAX / 2 ? size / BYTES_PER_INODE
								   : UINT32_MAX / 2);
}

static void fill_identity(ext2_filsys fs)
{
	struct ext2_super_block *s = fs->super;
	uint32_t seed[4 + 4];
	ssize_t n = getrandom(seed, sizeof(seed), 0);

	assert(n == (ssize_t)sizeof(seed)); /* at most 256 bytes never fail once seeded */
	memcpy(s->s_uuid, seed, sizeof(s->s_uuid));
	s->s_uuid[6] = (uint8_t)((s->s_uuid[6] & 0x0f) | 0x40); /* RFC 4122 version 4 */
	s->s_uuid[8] = (uint8_t)((s->s_uuid[8] & 0x3f) | 0x80);
	memcpy(s->s_hash_seed, seed + 4, sizeof(s->s_hash_seed));
	s->s_def_hash_version = EXT2_HASH_HALF_MD4;
	s->s_flags |= EXT2_FLAGS_UNSIGNED_HASH;
	s->s_max_mnt_count = -1;
	s->s_checksum_type = EXT2_CRC32C_CHKSUM;
	s->s_want_extra_isize = s->s_min_extra_isize =
		sizeof(struct ext2_inode_large) - EXT2_GOOD_OLD_INODE_SIZE;
	ext2fs_init_csum_seed(fs);
}

static blk_t journal_blocks(uint64_t size)
{
	uint64_t bytes = size / 16;

	if (bytes > JOURNAL_MAX)
		bytes = JOURNAL_MAX;
	if (bytes < 1024ull * BLOCK) /* JBD2_MIN_JOURNAL_BLOCKS */
		bytes = 1024ull * BLOCK;
	return (blk_t)(bytes / BLOCK);
}

/*
 * Call when only metadata is in use.  Linux computes the same figure at each mount, and where
 * the superblock has another it writes all superblocks: 18 requests before a first boot is ready.
 */
static void set_overhead(ext2_filsys fs, uint64_t size)
{
	blk64_t used = ext2fs_blocks_count(fs->super) - ext2fs_free_blocks_count(fs->super);

	fs->super->s_overhead_clusters = (uint32_t)used + journal_blocks(size);
}

/* Inode tables lie in a file of holes: unused ones are known to be zero. */
static void mark_tables(ext2_filsys fs)
{
	for (dgrp_t i = 0; i < fs->group_desc_count; i++) {
		ext2fs_bg_flags_set(fs, i, EXT2_BG_INODE_ZEROED);
		ext2fs_group_desc_csum_set(fs, i);
	}
}

static errcode_t make_tables(ext2_filsys fs)
{
	errcode_t rc = ext2fs_allocate_tables(fs);

	if (rc)
		return rc;
	mark_tables(fs);
	for (ext2_ino_t i = EXT2_ROOT_INO + 1; i < EXT2_FIRST_INODE(fs->super); i++)
		ext2fs_inode_alloc_stats2(fs, i, +1, 0);
	ext2fs_mark_ib_dirty(fs);
	/* The bad-blocks inode is in use and empty. */
	ext2fs_mark_inode_bitmap2(fs->inode_map, EXT2_BAD_INO);
	ext2fs_inode_alloc_stats2(fs, EXT2_BAD_INO, +1, 0);
	return ext2fs_update_bb_inode(fs, NULL);
}

static errcode_t make_dirs(ext2_filsys fs)
{
	struct ext2_inode inode;
	ext2_ino_t upper;
	errcode_t rc = ext2fs_mkdir(fs, EXT2_ROOT_INO, EXT2_ROOT_INO, NULL);

	if (!rc)
		rc = ext2fs_read_inode(fs, EXT2_ROOT_INO, &inode);
	if (rc)
		return rc;
	inode.i_uid = inode.i_gid = 0;
	inode.i_mode = LINUX_S_IFDIR | 0755;
	rc = ext2fs_write_inode(fs, EXT2_ROOT_INO, &inode);
	/* What overlayfs needs; lost+found is left to e2fsck. */
	if (!rc)
		rc = ext2fs_mkdir(fs, EXT2_ROOT_INO, 0, "work");
	if (!rc)
		rc = ext2fs_mkdir(fs, EXT2_ROOT_INO, 0, "upper");
	if (!rc)
		rc = ext2fs_lookup(fs, EXT2_ROOT_INO, "upper", 5, NULL, &upper);
	if (!rc)
		rc = ext2fs_read_inode(fs, upper, &inode);
	if (rc)
		return rc;
	/* The agent, which sees the image's root, gives it owner and mode: before, it has none. */
	inode.i_mode = LINUX_S_IFDIR;
	return ext2fs_write_inode(fs, upper, &inode);
}

static int build(ext2_filsys fs, uint64_t size, struct err *err)
{
	errcode_t rc;

	fill_identity(fs);
	rc = make_tables(fs);
	if (rc)
		return ext_err(err, rc, "tables");
	set_overhead(fs, size);
	rc = make_dirs(fs);
	if (rc)
		return ext_err(err, rc, "directories");
	rc = ext2fs_add_journal_inode(fs, journal_blocks(size),
				      EXT2_MKJOURNAL_LAZYINIT | EXT2_MKJOURNAL_NO_MNT_CHECK);
	if (rc)
		return ext_err(err, rc, "journal");
	ext2fs_mark_super_dirty(fs);
	fs->flags &= ~EXT2_FLAG_SUPER_ONLY;
	return 0;
}

int ext4_create(int fd, uint64_t size, struct err *err)
{
	struct ext2_super_block param;
	AUTO(close_fs) ext2_filsys fs = NULL;
	char path[32];
	errcode_t rc;

	if (size < SIZE_MIN)
		return err_set(err, ERR_INVALID, "a root disk has at least %llu MiB",
			       SIZE_MIN / MIB);
	size -= size % BLOCK;
	if (ftruncate(fd, 0) < 0 || ftruncate(fd, (off_t)size) < 0)
		return err_sys(err, errno, "setting the size of a root disk");
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fill_super(&param, size);
	rc = ext2fs_initialize(path, EXT2_FLAG_64BITS | EXT2_FLAG_RW, &param, unix_io_manager, &fs);
	if (rc)
		return ext_err(err, rc, "superblock");
	if (build(fs, size, err) < 0)
		return -err->code;
	/* Whether the file must last is the caller's to know. */
	rc = ext2fs_flush2(fs, EXT2_FLAG_FLUSH_NO_SYNC);
	if (rc)
		return ext_err(err, rc, "writing");
	return 0;
}
