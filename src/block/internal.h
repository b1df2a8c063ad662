/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BLOCK_INTERNAL_H
#define BLOCK_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"

/*
 * A position in a vector of the caller.  It moves along with the pieces of a request, so no
 * vector is ever copied as a whole, and a back end hands it on to the one below.
 */
struct iov_pos {
	const struct iovec *iov;
	int n;
	size_t done; /* bytes of iov[0] that are behind us */
};

/* Copy @len bytes out of the vector, or zero them in it, and move on. The vector has them. */
void iov_pos_take(struct iov_pos *pos, void *out, uint64_t len);
void iov_pos_zero(struct iov_pos *pos, uint64_t len);

/* A piece of a raw file.  All are 0 or -errno, and go on after EINTR. */

/* What lies past the end of the file reads as zeros. */
MUST_CHECK int file_read(int fd, struct iov_pos *pos, uint64_t offset, uint64_t len);
MUST_CHECK int file_write(int fd, struct iov_pos *pos, uint64_t offset, uint64_t len);
/* Give the range back; a file system that cannot is no error. */
MUST_CHECK int file_discard(int fd, uint64_t offset, uint64_t len);
/* Zeros, written out where the file system has no better way; @unmap: it need not be allocated. */
MUST_CHECK int file_zero(int fd, uint64_t offset, uint64_t len, bool unmap);

#endif /* BLOCK_INTERNAL_H */
