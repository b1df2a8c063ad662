/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <ext2fs/ext2_fs.h>
#include <ext2fs/ext2fs.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/spawn.h"
#include "image/image.h"

#define MIB (1ull << 20)

static const struct {
	const char *name;
	uint64_t size;
} sizes[] = {
	{ "64 MiB", 64 * MIB },	      { "256 MiB", 256 * MIB },	      { "8 GiB", 8192 * MIB },
	{ "odd", 300 * MIB + 12345 }, { "1 TiB", 1024 * 1024 * MIB },
};

/* As Linux counts at each mount: it rewrites every superblock that has another figure. */
static uint64_t overhead_of(ext2_filsys fs)
{
	struct ext2_inode journal;
	uint64_t n = 0;

	for (dgrp_t i = 0; i < fs->group_desc_count; i++)
		n += 2 + fs->inode_blocks_per_group +
		     (ext2fs_bg_has_super(fs, i) ? 1 + fs->desc_blocks : 0);
	ASSERT_EQ(ext2fs_read_inode(fs, fs->super->s_journal_inum, &journal), 0);
	return n + EXT2_I_SIZE(&journal) / fs->blocksize;
}

static void check_overhead(const char *path)
{
	ext2_filsys fs;

	ASSERT_EQ(ext2fs_open(path, EXT2_FLAG_64BITS, 0, 0, unix_io_manager, &fs), 0);
	ASSERT_EQ(fs->super->s_overhead_clusters, overhead_of(fs));
	ext2fs_free(fs);
}

TEST(small_and_quick)
{
	for_cases(c, sizes) {
		struct err err = ERR_INIT;
		char path[] = "/tmp/test_ext4_XXXXXX";
		AUTO_CLOSE int fd = mkostemp(path, O_CLOEXEC);
		uint64_t start = clock_now_ns();
		struct stat st;
		int r;

		ASSERT(fd >= 0);
		r = ext4_create(fd, c->size, &err);
		if (r < 0)
			printf("# %s\n", err.msg);
		ASSERT_EQ(r, 0);
		printf("# %llu us\n", (unsigned long long)(clock_now_ns() - start) / 1000);
		check_overhead(path);
		ASSERT_EQ(fstat(fd, &st), 0);
		printf("# %llu KiB allocated\n", (unsigned long long)st.st_blocks / 2);
		ASSERT(st.st_size <= (off_t)c->size && st.st_size > (off_t)(c->size - 4096));
		if (c->size <= 8192 * MIB)
			ASSERT((uint64_t)st.st_blocks * 512 < 2 * MIB);
		if (access("/tmp/keep-ext4", F_OK) != 0)
			(void)unlink(path);
		else
			printf("# kept %s\n", path);
	}
}

TEST(too_small)
{
	struct err err = ERR_INIT;
	char path[] = "/tmp/test_ext4_XXXXXX";
	AUTO_CLOSE int fd = mkostemp(path, O_CLOEXEC);

	ASSERT(fd >= 0);
	(void)unlink(path);
	ASSERT(ext4_create(fd, 4096, &err) < 0);
	ASSERT_EQ(err.code, ERR_INVALID);
}

TAP_MAIN()
