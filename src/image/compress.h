/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_COMPRESS_H
#define IMAGE_COMPRESS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/*
 * Compression on several threads.  The result depends on the input only, not on the number of
 * threads nor on their timing.
 */
enum compress_kind { COMPRESS_NONE, COMPRESS_GZIP, COMPRESS_ZSTD, COMPRESS_KIND_MAX };

struct compress_io {
	/* Up to @len bytes; fewer mean the end. A count, or negative with *err set. */
	ssize_t (*read)(void *user, void *buf, size_t len, struct err *err);
	int (*write)(void *user, const void *data, size_t len, struct err *err);
	void *user; /* borrowed */
};

/**
 * compress_run() - Read all, compress, write all
 * @kind:	COMPRESS_GZIP: one member; COMPRESS_ZSTD: frames one behind the other
 * @threads:	1 to 8; 0: as many as there are usable CPUs
 *
 * Both functions of @io are called on this thread, in order.
 */
MUST_CHECK int compress_run(enum compress_kind kind, unsigned threads, const struct compress_io *io,
			    struct err *err);

#endif /* IMAGE_COMPRESS_H */
