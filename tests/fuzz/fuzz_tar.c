/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input is one layer; checksums of headers are put right first.  What it becomes is written
 * as a tree file, read back, merged and written again.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/io.h"
#include "image/erofs.h"
#include "image/image.h"
#include "tar/tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_entry(void *user, const struct tar_entry *e, struct err *err)
{
	return tree_add(user, e, err);
}

static void fix_sums(uint8_t *p, size_t size)
{
	for (size_t at = 0; at + 512 <= size; at += 512) {
		unsigned sum = 8 * ' ';
		char text[9];

		/* Only where a header may be: with a magic. */
		if (memcmp(p + at + 257, "ustar", 5) != 0)
			continue;
		for (unsigned i = 0; i < 512; i++)
			sum += i >= 148 && i < 156 ? 0 : p[at + i];
		(void)snprintf(text, sizeof(text), "%06o", sum);
		memcpy(p + at + 148, text, 7);
		p[at + 155] = ' ';
	}
}

static void round_trip(struct tree *t, int data_fd, uint64_t size)
{
	struct erofs_layer l = { .data_size = size, .data_fd = data_fd, .tree_fd = -1 };
	AUTO(arena_done) struct arena arena = { 0 };
	AUTO(tree_done) struct tree upper = { 0 };
	AUTO(tree_done) struct tree merged = { 0 };
	AUTO_CLOSE int fd = memfd_create("tree", MFD_CLOEXEC);
	AUTO_CLOSE int out = memfd_create("merged", MFD_CLOEXEC);
	struct err err = ERR_INIT;
	uint64_t disk, again;
	struct stat st;
	void *map;

	assert(fd >= 0 && out >= 0);
	if (erofs_write(t, &l, 1, true, fd, &disk, &err) < 0) {
		assert(err.code == ERR_INVALID);
		return;
	}
	assert(fstat(fd, &st) == 0);
	assert(erofs_check(fd, (uint64_t)st.st_size, &again) == 0 && again == disk);
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	assert(map != MAP_FAILED);
	assert(tree_init(&upper, &arena) == 0 && tree_init(&merged, &arena) == 0);
	assert(erofs_read(map, (size_t)st.st_size, 0, &upper) == 0);
	(void)munmap(map, (size_t)st.st_size);
	if (merge_layer(&merged, &upper, &err) < 0)
		return;
	l.tree_fd = fd;
	if (erofs_write(&merged, &l, 1, false, out, &disk, &err) < 0)
		assert(err.code == ERR_INVALID);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct tar_handler handler = { .entry = on_entry };
	AUTO_FREE uint8_t *copy = malloc(size + 1);
	AUTO(arena_done) struct arena arena = { 0 };
	AUTO(tree_done) struct tree t = { 0 };
	AUTO(tar_free) struct tar *tar = NULL;
	AUTO_CLOSE int fd = memfd_create("data", MFD_CLOEXEC);
	struct err err = ERR_INIT;
	size_t half = size / 3;

	assert(copy && fd >= 0);
	memcpy(copy, data, size);
	fix_sums(copy, size);
	assert(io_pwrite_full(fd, copy, size, 0) == 0);
	assert(tree_init(&t, &arena) == 0 &&
	       tar_new(&handler, &t, image_limits_default.file_bytes, &tar) == 0);
	if (tar_feed(tar, copy, half, &err) < 0 ||
	    tar_feed(tar, copy + half, size - half, &err) < 0 || tar_finish(tar, &err) < 0 ||
	    tree_finish(&t, &err) < 0)
		return 0;
	round_trip(&t, fd, size);
	return 0;
}
