/* SPDX-License-Identifier: Apache-2.0 */
#include "base/iov.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static size_t copy(const struct iovec *iov, size_t n, size_t offset, uint8_t *buf, size_t len,
		   bool in)
{
	size_t done = 0;

	for (size_t i = 0; i < n && done < len; i++) {
		size_t part = iov[i].iov_len;
		uint8_t *base = iov[i].iov_base;

		if (offset >= part) {
			offset -= part;
			continue;
		}
		base += offset;
		part -= offset;
		offset = 0;
		if (part > len - done)
			part = len - done;
		if (in)
			memcpy(base, buf + done, part);
		else
			memcpy(buf + done, base, part);
		done += part;
	}
	/* What was copied is what the caller judges: no second look at the guest's memory. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return done;
}

size_t iov_copy_out(const struct iovec *iov, size_t n, size_t offset, void *buf, size_t len)
{
	return copy(iov, n, offset, buf, len, false);
}

size_t iov_copy_in(const struct iovec *iov, size_t n, size_t offset, const void *buf, size_t len)
{
	/* Only read from: the cast goes through an integer for -Wcast-qual. */
	return copy(iov, n, offset, (uint8_t *)(uintptr_t)buf, len, true);
}

int iov_total(const struct iovec *iov, size_t n, size_t *ret_len)
{
	size_t total = 0;

	for (size_t i = 0; i < n; i++)
		if (__builtin_add_overflow(total, iov[i].iov_len, &total) || total > UINT32_MAX)
			return -EOVERFLOW;
	*ret_len = total;
	return 0;
}

size_t iov_slice(const struct iovec *iov, size_t n, size_t offset, size_t len, struct iovec *out)
{
	size_t n_out = 0;

	for (size_t i = 0; i < n && len > 0; i++) {
		struct iovec v = iov[i];

		if (offset >= v.iov_len) {
			offset -= v.iov_len;
			continue;
		}
		v.iov_base = (uint8_t *)v.iov_base + offset;
		v.iov_len -= offset;
		offset = 0;
		if (v.iov_len > len)
			v.iov_len = len;
		len -= v.iov_len;
		out[n_out++] = v;
	}
	return n_out;
}
