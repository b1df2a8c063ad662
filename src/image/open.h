/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_OPEN_H
#define IMAGE_OPEN_H

#include "image/docs.h"
#include "image/store.h"

/* Files of a layer, in the store or still temporary. */
struct layer_files {
	char data[STORE_NAME_MAX];
	char tree[STORE_NAME_MAX];
};

/* Make the merged image of these layers, if it is missing. @err: INVALID: a hard link to nothing */
MUST_CHECK int merged_make(struct store_run *run, const struct sha *diff_ids,
			   const struct layer_files *files, size_t n, struct err *err);

/* Manifest and config of an image, held. @err: NOT_FOUND: no manifest; IO */
MUST_CHECK int image_read_docs(struct store_run *run, const uint8_t sha[SHA256_BYTES],
			       struct manifest *m, struct config *c, struct err *err);
/* Key of a merged image: format and layers. */
MUST_CHECK int merged_key(const struct sha *diff_ids, size_t n, uint8_t key[SHA256_BYTES],
			  struct err *err);

/* ---- files.c ---- */

/* What is known of a file; NULL: nothing. */
const struct image_file *image_files_find(const struct image_files *known, const char *name);
/* Is the file at @fd the one that was recorded? */
MUST_CHECK bool image_file_same(const struct image_file *known, int fd);
/* Digest of a whole file. -errno; -ECANCELED once @cancel fires */
MUST_CHECK int file_digest(int fd, const struct cancel *cancel, uint8_t ret_sha[SHA256_BYTES]);

/* ---- verify.c ---- */

/**
 * layer_verify() - Read a layer and compare it with its digests
 * @tree_digest: As recorded; NULL: not known
 *
 * Bad data is set aside; a tree file that is bad or missing is built anew, from good data.
 */
MUST_CHECK int layer_verify(struct store_run *run, const uint8_t diff_id[SHA256_BYTES],
			    const char *tree_digest, enum image_piece *ret_data,
			    enum image_piece *ret_tree, struct err *err);

#endif /* IMAGE_OPEN_H */
