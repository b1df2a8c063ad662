/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_dump HOME ARCHIVE OUT: load an archive ("-": standard input) into the store below HOME
 * and write the root disk of its first image to the file OUT, sparse.  For tests and measuring;
 * OUT "-" only loads.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "image/image.h"

static int copy(const struct image_extent *e, int out)
{
	static char buf[1 << 20];
	uint64_t at = 0;

	while (at < e->len) {
		ssize_t n = io_pread_full(e->fd, buf, sizeof(buf), at);

		if (n <= 0)
			return -1;
		if (io_pwrite_full(out, buf, (size_t)n, e->disk_offset + at) < 0)
			return -1;
		at += (uint64_t)n;
	}
	return 0;
}

static int dump(struct store_run *run, const char *digest, const char *path, struct err *err)
{
	AUTO(image_free) struct image *img = NULL;
	AUTO_CLOSE int out = -1;

	if (image_open(run, digest, NULL, &img, err) < 0)
		return -1;
	for (size_t i = 0; i < img->n_extents; i++)
		printf("extent %llu %llu\n", (unsigned long long)img->extents[i].disk_offset,
		       (unsigned long long)img->extents[i].len);
	if (strcmp(path, "-") == 0)
		return 0;
	out = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (out < 0 || ftruncate(out, (off_t)img->disk_size) < 0)
		return err_sys(err, errno, "%s", path);
	for (size_t i = 0; i < img->n_extents; i++) {
		if (copy(&img->extents[i], out) < 0)
			return err_sys(err, EIO, "%s", path);
	}
	return 0;
}

int main(int argc, char **argv)
{
	AUTO(store_close) struct store *s = NULL;
	AUTO(store_run_close) struct store_run *run = NULL;
	struct load_result r = { 0 };
	struct err err = ERR_INIT;
	AUTO_CLOSE int home = -1;
	AUTO_CLOSE int in = -1;

	if (argc != 4)
		return 2;
	home = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	in = strcmp(argv[2], "-") == 0 ? dup(0) : open(argv[2], O_RDONLY | O_CLOEXEC);
	if (home < 0 || in < 0)
		return 2;
	if (store_open(home, NULL, &s, &err) < 0 || store_run_open(s, NULL, &run, &err) < 0 ||
	    image_load(run, in, argv[2], NULL, &r, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	for (size_t i = 0; i < r.n_images; i++) {
		printf("image %s %s %llu\n", r.images[i].manifest_digest, r.images[i].config_digest,
		       (unsigned long long)r.images[i].size);
		for (size_t k = 0; k < r.images[i].n_names; k++)
			printf("name %s\n", r.images[i].names[k]);
	}
	printf("warnings %u\n", r.n_warnings);
	if (dump(run, r.images[0].manifest_digest, argv[3], &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	load_result_done(&r);
	return 0;
}
