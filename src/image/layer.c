/* SPDX-License-Identifier: Apache-2.0 */
#include "image/layer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/io.h"
#include "image/erofs.h"
#include "image/limits.h"
#include "image/stream.h"
#include "image/tar.h"

#define DATA_BLOCK 4096u /* bytes; holes are made of these, as file systems do */

struct layer_writer {
	struct store_run *run;
	struct layer layer;
	struct digest *raw, *unpacked;
	struct stream *stream;
	struct tar *tar;
	struct arena arena;
	struct tree tree;
	int data_fd;
	uint8_t *buf; /* of COPY_BYTES, to be written at `written` */
	size_t used;
	uint64_t written;
	bool compressed; /* known from the first bytes that come out */
};

static bool is_zero(const uint8_t *p, size_t len)
{
	return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

/* Write the buffer but for blocks of zeros. */
static int flush(struct layer_writer *w)
{
	size_t from = 0, at = 0;

	while (at < w->used) {
		size_t n = w->used - at < DATA_BLOCK ? w->used - at : DATA_BLOCK;
		bool hole = is_zero(w->buf + at, n);
		int r = 0;

		if (hole && from < at)
			r = io_pwrite_full(w->data_fd, w->buf + from, at - from, w->written + from);
		if (r < 0)
			return r;
		at += n;
		if (hole)
			from = at;
	}
	if (from < at) {
		int r = io_pwrite_full(w->data_fd, w->buf + from, at - from, w->written + from);

		if (r < 0)
			return r;
	}
	w->written += w->used;
	w->used = 0;
	return 0;
}

static int on_unpacked(void *user, const uint8_t *data, size_t len, struct err *err)
{
	struct layer_writer *w = user;

	digest_add(w->unpacked, data, len);
	if (tar_feed(w->tar, data, len, err) < 0)
		return -err->code;
	while (len > 0) {
		size_t n = COPY_BYTES - w->used < len ? COPY_BYTES - w->used : len;

		memcpy(w->buf + w->used, data, n);
		w->used += n;
		data += n;
		len -= n;
		if (w->used == COPY_BYTES) {
			int r = flush(w);

			if (r < 0)
				return err_sys(err, -r, "writing a layer");
		}
	}
	return 0;
}

static int on_entry(void *user, const struct tar_entry *e, struct err *err)
{
	struct layer_writer *w = user;

	return tree_add(&w->tree, e, err);
}

static const struct tar_handler handler = { .entry = on_entry };

int layer_new(struct store_run *run, struct layer_writer **ret, struct err *err)
{
	const struct image_limits *limits = &run->store->limits;
	AUTO(layer_free) struct layer_writer *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return err_no_memory(err);
	w->run = run;
	w->data_fd = -1;
	w->buf = malloc(COPY_BYTES);
	if (!w->buf || digest_new(&w->raw) < 0 || digest_new(&w->unpacked) < 0 ||
	    stream_new(on_unpacked, w, limits->layer_bytes, &w->stream) < 0 ||
	    tar_new(&handler, w, limits->file_bytes, &w->tar) < 0 ||
	    tree_init(&w->tree, &w->arena) < 0)
		return err_no_memory(err);
	w->tree.max_entries = limits->entries;
	r = store_run_file(run, w->layer.data_name, &w->data_fd);
	if (r < 0)
		return err_sys(err, -r, "writing a layer");
	*ret = TAKE_PTR(w);
	return 0;
}

void layer_free(struct layer_writer *w)
{
	if (!w)
		return;
	digest_free(w->raw);
	digest_free(w->unpacked);
	stream_free(w->stream);
	tar_free(w->tar);
	tree_done(&w->tree);
	arena_done(&w->arena);
	if (w->data_fd >= 0)
		(void)close(w->data_fd);
	free(w->buf);
	free(w);
}

int layer_feed(struct layer_writer *w, const uint8_t *data, size_t len, struct err *err)
{
	digest_add(w->raw, data, len);
	return stream_feed(w->stream, data, len, err);
}

static int write_tree(struct layer_writer *w, struct err *err)
{
	struct erofs_layer l = { .data_size = w->written, .data_fd = w->data_fd, .tree_fd = -1 };
	AUTO_CLOSE int fd = -1;
	uint64_t disk;
	int r = store_run_file(w->run, w->layer.tree_name, &fd);

	if (r < 0)
		return err_sys(err, -r, "writing a tree");
	return erofs_write(&w->tree, &l, 1, true, fd, &disk, err);
}

int layer_finish(struct layer_writer *w, struct layer *ret, struct err *err)
{
	int r;

	if (stream_finish(w->stream, err) < 0 || tar_finish(w->tar, err) < 0)
		return -err->code;
	r = flush(w);
	/* The last block may be a hole. */
	if (r == 0 && ftruncate(w->data_fd, (off_t)w->written) < 0)
		r = -errno;
	if (r < 0)
		return err_sys(err, -r, "writing a layer");
	(void)sync_file_range(w->data_fd, 0, 0,
			      SYNC_FILE_RANGE_WRITE); /* a shorter fsync() later */
	if (tree_finish(&w->tree, err) < 0 || write_tree(w, err) < 0)
		return -err->code;
	digest_end(w->raw, w->layer.raw);
	digest_end(w->unpacked, w->layer.diff_id);
	w->layer.size = w->written;
	w->layer.n_warnings = w->tree.n_warnings;
	*ret = w->layer;
	return 0;
}

static int publish(struct store_run *run, const char *name, const char *to, struct err *err)
{
	AUTO_CLOSE int fd = openat(run->store->dir_fd, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, errno, "images/%s", name);
	return store_publish(run, name, fd, to, err);
}

/* Is the layer in the store, as far as sizes and the superblock tell? */
static bool is_there(struct store *s, const char *data, const char *tree, uint64_t size)
{
	AUTO_CLOSE int fd = openat(s->dir_fd, tree, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct erofs_layer l = { .data_size = size };
	struct stat d, t;
	uint64_t disk;

	return fd >= 0 && fstat(fd, &t) == 0 &&
	       fstatat(s->dir_fd, data, &d, AT_SYMLINK_NOFOLLOW) == 0 &&
	       (uint64_t)d.st_size == size && erofs_check(fd, (uint64_t)t.st_size, &disk) == 0 &&
	       disk == erofs_data_start((uint64_t)t.st_size, &l, 1);
}

/* Between hold and end of making. The tree file comes last: with it the layer is complete. */
static int publish_files(struct store_run *run, struct layer *l, struct err *err)
{
	char data[STORE_NAME_MAX], tree[STORE_NAME_MAX];

	store_data_name(l->diff_id, data);
	store_tree_name(l->diff_id, tree);
	if (is_there(run->store, data, tree, l->size))
		layer_drop(run, l);
	else if (publish(run, l->data_name, data, err) < 0 ||
		 publish(run, l->tree_name, tree, err) < 0)
		return -err->code;
	l->published = true;
	return 0;
}

int layer_publish(struct store_run *run, struct layer *l, struct err *err)
{
	int r;

	if (l->published)
		return 0;
	if (store_hold(run, l->diff_id, err) < 0 || store_make_begin(run, l->diff_id, err) < 0)
		return -err->code;
	r = publish_files(run, l, err);
	store_make_end(run, l->diff_id);
	return r;
}

void layer_drop(struct store_run *run, struct layer *l)
{
	if (l->published)
		return;
	(void)unlinkat(run->store->dir_fd, l->data_name, 0);
	(void)unlinkat(run->store->dir_fd, l->tree_name, 0);
}
