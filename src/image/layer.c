/* SPDX-License-Identifier: Apache-2.0 */
#include "image/layer.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "base/io.h"
#include "base/work.h"
#include "image/erofs.h"
#include "image/limits.h"
#include "image/ring.h"
#include "image/room.h"
#include "image/stream.h"
#include "tar/tar.h"

/*
 * DOC: the pipeline of a layer
 *
 * bytes ─ sha256 ─ gunzip or unzstd ─ sha256 ─ ring ─ tar reader ─ tree ─ tree file
 *                                                  └─ data file
 *
 * What stands before the ring runs on the caller's thread, the rest on one of the writer's own.
 * A failure behind the ring is kept in `failure` and stops the ring, so the caller meets it at its
 * next block.
 */
#define DATA_BLOCK 4096u /* bytes; holes are made of these, as file systems do */

/* Write-back is started in pieces of this size, so that the final fsync() is short. */
#define WRITE_BACK_BYTES (8 * MIB)

struct layer_writer {
	struct store_run *run;
	struct layer layer;
	struct ring *ring;
	struct work_pool *thread; /* NULL: it has ended */

	/* the caller's side */
	struct digest *raw, *unpacked; /* unpacked: only of what was compressed */
	int raw_fd; /* owned; what is kept of the bytes as they come; -1: nothing */
	struct stream *stream;
	uint8_t *block; /* borrowed from the ring; NULL: none */
	size_t used;
	bool compressed, waited;

	/* the thread's side, and the caller's when the thread has ended */
	struct tar *tar;
	struct arena arena;
	struct tree tree;
	int data_fd;
	atomic_uint_least64_t written;
	uint64_t written_back;
	struct err failure;
};

/* ---- behind the ring ------------------------------------------------------------------ */

static bool is_zero(const uint8_t *p, size_t len)
{
	return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

/* Write a block but for blocks of zeros. */
static int write_data(struct layer_writer *w, const uint8_t *data, size_t len, uint64_t offset)
{
	size_t from = 0, at = 0;
	int r = 0;

	while (at < len && r == 0) {
		size_t n = len - at < DATA_BLOCK ? len - at : DATA_BLOCK;

		if (is_zero(data + at, n)) {
			if (from < at)
				r = io_pwrite_full(w->data_fd, data + from, at - from,
						   offset + from);
			from = at + n;
		}
		at += n;
	}
	return r == 0 && from < at
		       ? io_pwrite_full(w->data_fd, data + from, at - from, offset + from)
		       : r;
}

static int take_block(struct layer_writer *w, const uint8_t *data, size_t len, struct err *err)
{
	uint64_t offset = atomic_load_explicit(&w->written, memory_order_relaxed),
		 end = offset + len;
	int r = write_data(w, data, len, offset);

	if (r < 0)
		return store_write_failed(w->run->store, -r, "a layer", err);
	atomic_store_explicit(&w->written, end, memory_order_relaxed);
	if (end - w->written_back >= WRITE_BACK_BYTES) {
		if (store_check_room(w->run->store, 0, err) < 0)
			return -err->code;
		(void)sync_file_range(w->data_fd, (off_t)w->written_back,
				      (off_t)(end - w->written_back), SYNC_FILE_RANGE_WRITE);
		w->written_back = end;
	}
	return tar_feed(w->tar, data, len, err);
}

static int write_tree(struct layer_writer *w, struct err *err)
{
	struct erofs_layer l = { .data_size = w->layer.size, .data_fd = w->data_fd, .tree_fd = -1 };
	AUTO_CLOSE int fd = -1;
	uint64_t disk;
	int r = store_run_file(w->run, w->layer.tree_name, &fd);

	if (r < 0)
		return store_write_failed(w->run->store, -r, "a tree", err);
	if (erofs_write(&w->tree, &l, 1, true, fd, &disk, err) < 0)
		return err->sys ? store_write_failed(w->run->store, err->sys, "a tree", err)
				: -(int)err->code;
	(void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	return 0;
}

static int finish(struct layer_writer *w, struct err *err)
{
	uint64_t size = atomic_load_explicit(&w->written, memory_order_relaxed);

	if (tar_finish(w->tar, err) < 0)
		return -err->code;
	/* The last block may be a hole. */
	if (ftruncate(w->data_fd, (off_t)size) < 0)
		return store_write_failed(w->run->store, errno, "a layer", err);
	(void)sync_file_range(w->data_fd, (off_t)w->written_back, 0, SYNC_FILE_RANGE_WRITE);
	w->layer.size = size;
	if (tree_finish(&w->tree, err) < 0 || write_tree(w, err) < 0)
		return -err->code;
	w->layer.n_warnings = w->tree.n_warnings;
	tree_done(&w->tree);
	arena_done(&w->arena);
	return 0;
}

static int take_all(struct layer_writer *w, struct err *err)
{
	const uint8_t *data = NULL;
	size_t len = 0;
	int r;

	while ((r = ring_get(w->ring, &data, &len)) > 0) {
		if (take_block(w, data, len, err) < 0)
			return -err->code;
		ring_drop(w->ring);
	}
	return r < 0 ? err_set(err, ERR_CANCELLED, "cancelled") : finish(w, err);
}

static void run_thread(void *arg)
{
	struct layer_writer *w = arg;

	if (take_all(w, &w->failure) < 0)
		ring_stop(w->ring);
}

static int on_entry(void *user, const struct tar_entry *e, struct err *err)
{
	struct layer_writer *w = user;

	return tree_add(&w->tree, e, err);
}

static const struct tar_handler handler = { .entry = on_entry };

/* ---- before the ring ------------------------------------------------------------------ */

/* The thread has stopped the ring: say why. */
static int thread_failed(struct layer_writer *w, struct err *err)
{
	work_pool_free(TAKE_PTR(w->thread));
	*err = w->failure;
	return -err->code;
}

static int on_unpacked(void *user, const uint8_t *data, size_t len, struct err *err)
{
	struct layer_writer *w = user;

	w->compressed = stream_is_compressed(w->stream);
	if (w->compressed)
		digest_add(w->unpacked, data, len);
	while (len > 0) {
		size_t n = RING_BLOCK_BYTES - w->used < len ? RING_BLOCK_BYTES - w->used : len;
		int r = w->block ? 0 : ring_room(w->ring, &w->block);

		if (r < 0)
			return r == -EPIPE ? thread_failed(w, err) : err_no_memory(err);
		memcpy(w->block + w->used, data, n);
		w->used += n;
		data += n;
		len -= n;
		if (w->used == RING_BLOCK_BYTES) {
			ring_put(w->ring, w->used);
			w->block = NULL;
			w->used = 0;
		}
	}
	return 0;
}

int layer_new(struct store_run *run, struct layer_writer **ret, struct err *err)
{
	const struct image_limits *limits = &run->store->limits;
	AUTO(layer_free) struct layer_writer *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return err_no_memory(err);
	w->run = run;
	w->data_fd = w->raw_fd = -1;
	if (digest_new(&w->raw) < 0 || digest_new(&w->unpacked) < 0 || ring_new(&w->ring) < 0 ||
	    stream_new(on_unpacked, w, limits->layer_bytes, &w->stream) < 0 ||
	    tar_new(&handler, w, limits->file_bytes, &w->tar) < 0 ||
	    tree_init(&w->tree, &w->arena) < 0)
		return err_no_memory(err);
	w->tree.max_entries = limits->entries;
	w->tree.cancel = run->cancel;
	r = store_run_file(run, w->layer.data_name, &w->data_fd);
	if (r == 0 && run->store->keep_blobs)
		r = store_run_file(run, w->layer.raw_name, &w->raw_fd);
	if (r < 0)
		return store_write_failed(run->store, -r, "a layer", err);
	r = work_pool_new(NULL, 1, &w->thread);
	if (r == 0)
		r = work_submit(w->thread, w, run_thread, NULL);
	if (r < 0)
		return err_sys(err, -r, "starting a thread");
	*ret = TAKE_PTR(w);
	return 0;
}

void layer_free(struct layer_writer *w)
{
	if (!w)
		return;
	if (w->thread) {
		ring_stop(w->ring);
		work_pool_free(w->thread);
	}
	if (!w->waited && w->data_fd >= 0)
		layer_drop(w->run, &w->layer);
	digest_free(w->raw);
	digest_free(w->unpacked);
	stream_free(w->stream);
	tar_free(w->tar);
	tree_done(&w->tree);
	arena_done(&w->arena);
	ring_free(w->ring);
	if (w->data_fd >= 0)
		(void)close(w->data_fd);
	if (w->raw_fd >= 0)
		(void)close(w->raw_fd);
	free(w);
}

static int keep_raw(struct layer_writer *w, const uint8_t *data, size_t len, struct err *err)
{
	int r = w->raw_fd >= 0 ? io_write_full(w->raw_fd, data, len) : 0;

	return r < 0 ? store_write_failed(w->run->store, -r, "a layer", err) : 0;
}

/* What came uncompressed is the data file itself. */
static void drop_plain(struct layer_writer *w)
{
	if (w->raw_fd < 0 || stream_is_compressed(w->stream))
		return;
	(void)unlinkat(w->run->store->dir_fd, w->layer.raw_name, 0);
	(void)close(TAKE_FD(w->raw_fd));
	w->layer.raw_name[0] = '\0';
}

int layer_feed(struct layer_writer *w, const uint8_t *data, size_t len, struct err *err)
{
	digest_add(w->raw, data, len);
	if (keep_raw(w, data, len, err) < 0 || stream_feed(w->stream, data, len, err) < 0)
		return -err->code;
	if (stream_is_known(w->stream))
		drop_plain(w);
	return 0;
}

void layer_hash(struct layer_writer *w, const uint8_t *data, size_t len)
{
	digest_add(w->raw, data, len);
}

int layer_end(struct layer_writer *w, uint8_t ret_raw[SHA256_BYTES], struct err *err)
{
	digest_end(w->raw, w->layer.raw);
	memcpy(ret_raw, w->layer.raw, SHA256_BYTES);
	if (stream_finish(w->stream, err) < 0)
		return -err->code;
	drop_plain(w);
	if (w->used > 0)
		ring_put(w->ring, w->used);
	ring_end(w->ring);
	if (w->compressed)
		digest_end(w->unpacked, w->layer.diff_id);
	else
		memcpy(w->layer.diff_id, w->layer.raw, SHA256_BYTES);
	return 0;
}

int layer_wait(struct layer_writer *w, struct layer *ret, struct err *err)
{
	work_pool_free(TAKE_PTR(w->thread));
	if (w->failure.code != ERR_NONE) {
		*err = w->failure;
		return -err->code;
	}
	w->waited = true;
	*ret = w->layer;
	return 0;
}

unsigned layer_jobs(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;

	return n < LAYER_JOBS_MAX ? (unsigned)n : LAYER_JOBS_MAX;
}

uint64_t layer_written(const struct layer_writer *w)
{
	return atomic_load_explicit(&w->written, memory_order_relaxed);
}
