/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REGISTRY_FILE_H
#define REGISTRY_FILE_H

#include "base/buf.h"
#include "base/err.h"

/**
 * small_file_read() - The whole of a small file
 * @ret:	Owned by the caller.  Its memory never moved, so secret_buf_done() wipes all of it
 *
 * Return: 0, -EFBIG: more than @max bytes, or -errno.
 */
MUST_CHECK int small_file_read(int dir_fd, const char *path, size_t max, struct buf *ret);

#endif /* REGISTRY_FILE_H */
