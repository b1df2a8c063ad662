/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_IOV_H
#define BASE_IOV_H

#include <stddef.h>
#include <sys/uio.h>

#include "base/err.h"

/* Iovecs as one run of bytes.  The memory may be the guest's: copy out, then judge. */

/**
 * iov_copy_out() - Copy from iov[0..n) to a buffer of ours
 * @offset:	Bytes to skip at the front
 * Return: bytes copied; below @len when the iovecs end before.
 */
MUST_CHECK size_t iov_copy_out(const struct iovec *iov, size_t n, size_t offset, void *buf,
			       size_t len);

/* The same from a buffer of ours into iov[0..n). */
MUST_CHECK size_t iov_copy_in(const struct iovec *iov, size_t n, size_t offset, const void *buf,
			      size_t len);

/* Sum of the lengths. Return: 0, -EOVERFLOW past 32 bits (virtio 1.2, 2.7.4: the limit of a chain). */
MUST_CHECK int iov_total(const struct iovec *iov, size_t n, size_t *ret_len);

/**
 * iov_slice() - Iovecs of the bytes [@offset, @offset + @len) of iov[0..n)
 * @out:	Room for @n elements; may be @iov itself
 * Return: number of elements in @out; together they are shorter than @len when @iov ends before.
 */
MUST_CHECK size_t iov_slice(const struct iovec *iov, size_t n, size_t offset, size_t len,
			    struct iovec *out);

#endif /* BASE_IOV_H */
