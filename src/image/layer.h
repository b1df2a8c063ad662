/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_LAYER_H
#define IMAGE_LAYER_H

#include "image/digest.h"
#include "image/store.h"

/*
 * One pass from the bytes of a layer, as they come, to its data file and tree file.
 *
 * layer_new(), layer_feed() as often as bytes come, layer_end(), layer_wait(), layer_free(): all on
 * one thread, which hashes and decompresses.  A thread of the writer's own parses and writes,
 * RING_BLOCKS blocks behind at most.  Between layer_end() and layer_wait() other layers may be fed.
 */
struct layer_writer;

/* What came out; in temporary files until it is published. */
struct layer {
	uint8_t raw[SHA256_BYTES];     /* digest of the bytes as they came */
	uint8_t diff_id[SHA256_BYTES]; /* digest of the unpacked archive */
	uint64_t size;		       /* of the unpacked archive */
	char data_name[STORE_NAME_MAX], tree_name[STORE_NAME_MAX];
	char raw_name[STORE_NAME_MAX]; /* the bytes as they came; "": they are not kept */
	unsigned n_warnings;
	bool published;
};

/* Errors of all: INVALID (no good layer), "limit-exceeded", "disk-full", IO. */
MUST_CHECK int layer_new(struct store_run *run, struct layer_writer **ret, struct err *err);
/* Whatever it was doing ends; the temporary files of a layer that was not waited for go. */
void layer_free(struct layer_writer *w);
DEFINE_AUTO(struct layer_writer *, layer_free);

MUST_CHECK int layer_feed(struct layer_writer *w, const uint8_t *data, size_t len, struct err *err);
/* Only count them in the digest of what came: layer_feed() has failed. */
void layer_hash(struct layer_writer *w, const uint8_t *data, size_t len);
/* No more bytes come. @ret_raw: digest of those that came; set in any case */
MUST_CHECK int layer_end(struct layer_writer *w, uint8_t ret_raw[SHA256_BYTES], struct err *err);
/* It is written; after an error only layer_free() may follow. */
MUST_CHECK int layer_wait(struct layer_writer *w, struct layer *ret, struct err *err);

/* Bytes of the data file so far. */
uint64_t layer_written(const struct layer_writer *w);

/* How many writers at once are of use: one for each usable CPU, within LAYER_JOBS_MAX. */
unsigned layer_jobs(void);
#define LAYER_JOBS_MAX 8

/* Put it into the store, unless it is there; the run holds it from then on. */
MUST_CHECK int layer_publish(struct store_run *run, struct layer *l, struct err *err);
/* The same for the maker of the object, who holds it; @replace: also if it is there. */
MUST_CHECK int layer_publish_made(struct store_run *run, struct layer *l, bool replace,
				  struct err *err);
/* Remove the temporary files. */
void layer_drop(struct store_run *run, struct layer *l);

/* Is the layer in the store, as far as sizes and the superblock tell? @ret_size: of its data */
bool layer_is_there(struct store *s, const uint8_t diff_id[SHA256_BYTES], uint64_t *ret_size);

#endif /* IMAGE_LAYER_H */
