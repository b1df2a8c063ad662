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

#endif /* IMAGE_OPEN_H */
