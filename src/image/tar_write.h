/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_TAR_WRITE_H
#define IMAGE_TAR_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/*
 * A tar archive, written front to back: files and folders of root, without times, so that the
 * same content gives the same bytes.  Names have less than 100 bytes; they are ours.
 */
struct cancel;

struct tar_out {
	int fd;			     /* borrowed */
	const struct cancel *cancel; /* borrowed; NULL: none */
	bool is_file;		     /* a write to it does not wait for a reader */
	uint64_t left;		     /* bytes that the present file still wants */
	uint64_t size;		     /* of the present file */
};

/* @cancel ends a wait for the reader of a pipe. */
void tar_out_init(struct tar_out *t, int fd, const struct cancel *cancel);
MUST_CHECK int tar_out_folder(struct tar_out *t, const char *name, struct err *err);
/* Header of a file; exactly @size bytes follow by tar_out_add(). */
MUST_CHECK int tar_out_file(struct tar_out *t, const char *name, uint64_t size, struct err *err);
/* The last bytes of a file pad it too. */
MUST_CHECK int tar_out_add(struct tar_out *t, const void *data, size_t len, struct err *err);
/* The end of the archive. */
MUST_CHECK int tar_out_end(struct tar_out *t, struct err *err);

#endif /* IMAGE_TAR_WRITE_H */
