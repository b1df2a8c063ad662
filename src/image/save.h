/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_SAVE_H
#define IMAGE_SAVE_H

#include "image/compress.h"
#include "image/docs.h"
#include "image/store.h"
#include "image/tar_write.h"
#include "json/json.h"

/*
 * An archive that is being written; save.c has the images, save_layer.c their layers.
 */

/* A layer as it stands in an OCI archive. */
struct saved_layer {
	struct sha diff_id, blob; /* blob: digest of its bytes there */
	uint64_t size;		  /* of these, in bytes */
	enum compress_kind kind;
};

struct save {
	struct store_run *run;	      /* borrowed */
	const struct save_options *o; /* borrowed */
	struct tar_out out;
	uint8_t *buf;	   /* owned; of COPY_BYTES */
	struct sha *blobs; /* owned: what the archive has already */
	size_t n_blobs;
	struct saved_layer *anew; /* owned: what was compressed by us */
	size_t n_anew;
	struct buf index, docker; /* index.json, manifest.json */
	struct json_out index_json, docker_json;
};

/* Take note that the archive has it. 1: it had it before; -ENOMEM. */
MUST_CHECK int save_note_blob(struct save *s, const struct sha *sha);

/**
 * save_layer() - Put a layer into the archive, unless it is there
 * @original:	Its digest in the stored manifest
 * @err:	IO with reason "image-corrupt": it is not what it was
 *
 * As in the manifest if the store can give that and the options ask for nothing else.
 */
MUST_CHECK int save_layer(struct save *s, const struct sha *diff_id, const struct sha *original,
			  struct saved_layer *ret, struct err *err);
/* The unpacked layer under the name @name, unless it is there; @ret_size in bytes. */
MUST_CHECK int save_plain_layer(struct save *s, const struct sha *diff_id, const char *name,
				uint64_t *ret_size, struct err *err);

#endif /* IMAGE_SAVE_H */
