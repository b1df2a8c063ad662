/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_STORE_H
#define IMAGE_STORE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "image/digest.h"
#include "image/image.h"

/*
 * Files of the store.  All names are relative to images/ and made from digests.
 */
struct store {
	int dir_fd; /* MSB_HOME/images */
	struct image_limits limits;
	bool keep_blobs;	 /* layers as they came are kept too, if they were compressed */
	atomic_uint n_downloads; /* of layers, by all pulls of this store */
};

void store_blob_name(const uint8_t sha[SHA256_BYTES], char out[STORE_NAME_MAX]);
void store_data_name(const uint8_t diff_id[SHA256_BYTES], char out[STORE_NAME_MAX]);
void store_tree_name(const uint8_t diff_id[SHA256_BYTES], char out[STORE_NAME_MAX]);
void store_merged_name(const uint8_t key[SHA256_BYTES], char out[STORE_NAME_MAX]);

/* ---- locks.c: the locks of a run ------------------------------------------------------- */

struct store_run {
	struct store *store;   /* borrowed */
	struct cancel *cancel; /* borrowed; NULL: none */
	int lock_fd;	       /* owned: images/lock; its locks are those of the run */
	uint64_t id;
	atomic_uint n_files;
	pthread_mutex_t lock;
	/* under lock */
	uint64_t *making; /* owned: the objects that a thread of this run makes */
	size_t n_making;
};

/*
 * An object is all files of one digest: a layer (by diff_id, data and tree), a blob, a merged
 * image (by its key).  The order for what may have to be made:
 *
 *	store_hold(), look; if it is missing: store_make_begin(), look again, make it,
 *	store_publish(), store_make_end().
 *
 * A thread makes one object at a time and waits for no other meanwhile.  All functions from any
 * thread of the run.
 */

/*
 * Nobody removes the object until the run is closed; may be asked for any number of times.  Waits for
 * a removal that is under way.  @err: CANCELLED, IO
 */
MUST_CHECK int store_hold(struct store_run *run, const uint8_t sha[SHA256_BYTES], struct err *err);

/* Become its maker: 0, -EAGAIN if it has one (another thread, run or process), -errno. */
MUST_CHECK int store_make_try(struct store_run *run, const uint8_t sha[SHA256_BYTES]);
/* The same, but waits for the other maker: it has ended, or died. @err: CANCELLED, IO */
MUST_CHECK int store_make_begin(struct store_run *run, const uint8_t sha[SHA256_BYTES],
				struct err *err);
void store_make_end(struct store_run *run, const uint8_t sha[SHA256_BYTES]);

/*
 * The object for the one who removes it: 0, -EAGAIN while any run holds it, -errno.  The run itself must
 * not hold it.
 */
MUST_CHECK int store_remove_try(struct store_run *run, const uint8_t sha[SHA256_BYTES]);
void store_remove_end(struct store_run *run, const uint8_t sha[SHA256_BYTES]);
/* Between two tries; *pause_ms is 0 before the first. @err: CANCELLED */
MUST_CHECK int store_pause(struct store_run *run, int *pause_ms, struct err *err);

/* ---- new files -------------------------------------------------------------------------- */

/* A temporary file of the run; its name is filled in. -errno. */
MUST_CHECK int store_run_file(struct store_run *run, char name[STORE_NAME_MAX], int *ret_fd);
/* fsync, rename to @to, fsync of the folder. */
MUST_CHECK int store_publish(struct store_run *run, const char *name, int fd, const char *to,
			     struct err *err);

/* A small document by its digest, held from now on; what is there and damaged is replaced. */
MUST_CHECK int store_put_blob(struct store_run *run, const void *data, size_t len,
			      uint8_t ret_sha[SHA256_BYTES], struct err *err);
/* Move a file that is bad to images/bad; its name there is told. -errno */
MUST_CHECK int store_set_aside(struct store *s, const char *name, char ret_to[STORE_NAME_MAX]);
/* The document, checked against its digest. @err: NOT_FOUND, IO */
MUST_CHECK int store_get_blob(struct store *s, const uint8_t sha[SHA256_BYTES], size_t max,
			      struct buf *ret, struct err *err);

#endif /* IMAGE_STORE_H */
