/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_STORE_H
#define IMAGE_STORE_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "image/digest.h"
#include "image/image.h"

/*
 * Files of the store.  All names are relative to images/ and made from digests.
 */
#define STORE_NAME_MAX 128 /* bytes of such a name, with NUL */

struct store {
	int dir_fd; /* MSB_HOME/images */
};

void store_blob_name(const uint8_t sha[SHA256_BYTES], char out[STORE_NAME_MAX]);
void store_data_name(const uint8_t diff_id[SHA256_BYTES], char out[STORE_NAME_MAX]);
void store_tree_name(const uint8_t diff_id[SHA256_BYTES], char out[STORE_NAME_MAX]);
void store_merged_name(const uint8_t key[SHA256_BYTES], char out[STORE_NAME_MAX]);

/* Locks of the object @sha until the descriptor is closed. -errno. */
MUST_CHECK int store_lock(struct store *s, const uint8_t sha[SHA256_BYTES], int *ret_fd);

/*
 * Temporary files of one run.  While it is open they are protected; what a dead run left is
 * removed by store_tmp_open().
 */
struct store_tmp {
	struct store *store; /* borrowed */
	int lock_fd;
	uint64_t id;
	unsigned n; /* files made */
};

MUST_CHECK int store_tmp_open(struct store *s, struct store_tmp *ret, struct err *err);
/* Ends it, and removes what is left of it. */
void store_tmp_close(struct store_tmp *t);
static inline void store_tmp_close_auto(struct store_tmp *t)
{
	store_tmp_close(t);
}

/* A new file; its name is filled in. -errno. */
MUST_CHECK int store_tmp_file(struct store_tmp *t, char name[STORE_NAME_MAX], int *ret_fd);
/* fsync, rename to @to, fsync of the folder. */
MUST_CHECK int store_publish(struct store_tmp *t, const char *name, int fd, const char *to,
			     struct err *err);

/* A small document by its digest; the name must not exist with other content. */
MUST_CHECK int store_put_blob(struct store_tmp *t, const void *data, size_t len,
			      uint8_t ret_sha[SHA256_BYTES], struct err *err);
/* The document, checked against its digest. @err: NOT_FOUND, IO */
MUST_CHECK int store_get_blob(struct store *s, const uint8_t sha[SHA256_BYTES], size_t max,
			      struct buf *ret, struct err *err);

#endif /* IMAGE_STORE_H */
