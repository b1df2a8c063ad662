/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_LAYER_H
#define IMAGE_LAYER_H

#include "image/digest.h"
#include "image/store.h"

/*
 * One pass from the bytes of a layer, as they come, to its data file and tree file.
 */
struct layer_writer;

/* What came out; in temporary files until layer_publish(). */
struct layer {
	uint8_t raw[SHA256_BYTES];     /* digest of the bytes as they came */
	uint8_t diff_id[SHA256_BYTES]; /* digest of the unpacked archive */
	uint64_t size;		       /* of the unpacked archive */
	char data_name[STORE_NAME_MAX], tree_name[STORE_NAME_MAX];
	unsigned n_warnings;
	bool published;
};

MUST_CHECK int layer_new(struct store_run *run, struct layer_writer **ret, struct err *err);
void layer_free(struct layer_writer *w);
DEFINE_AUTO(struct layer_writer *, layer_free);
MUST_CHECK int layer_feed(struct layer_writer *w, const uint8_t *data, size_t len, struct err *err);
MUST_CHECK int layer_finish(struct layer_writer *w, struct layer *ret, struct err *err);

/* Put it into the store, unless it is there; the run holds it from then on. */
MUST_CHECK int layer_publish(struct store_run *run, struct layer *l, struct err *err);
/* Remove the temporary files. */
void layer_drop(struct store_run *run, struct layer *l);

#endif /* IMAGE_LAYER_H */
