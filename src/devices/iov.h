/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_IOV_H
#define DEVICES_IOV_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/*
 * Half a descriptor chain, walked from its front.  The elements are changed on the way; the
 * memory behind them is the guest's and is touched once a byte.
 */
struct iov_cursor {
	struct iovec *iov;
	int n;
};

/* Bytes left. A chain has at most VIRTQ_MAX_SIZE elements of 4 GiB, so this cannot overflow. */
uint64_t iov_total(const struct iov_cursor *c);

/* Copy up to @len bytes out of or into the front and go past them; returns the count. */
size_t iov_read(struct iov_cursor *c, void *buf, size_t len);
size_t iov_write(struct iov_cursor *c, const void *buf, size_t len);

/* Go past @len bytes, or all. */
void iov_skip(struct iov_cursor *c, uint64_t len);

/* Keep the first @len bytes only. */
void iov_cut(struct iov_cursor *c, uint64_t len);

#endif /* DEVICES_IOV_H */
