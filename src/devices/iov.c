/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/iov.h"

#include <string.h>

uint64_t iov_total(const struct iov_cursor *c)
{
	uint64_t total = 0;

	for (int i = 0; i < c->n; i++)
		total += c->iov[i].iov_len;
	return total;
}

void iov_skip(struct iov_cursor *c, uint64_t len)
{
	while (c->n > 0 && len >= c->iov->iov_len) {
		len -= c->iov->iov_len;
		c->iov++;
		c->n--;
	}
	if (c->n > 0) {
		c->iov->iov_base = (char *)c->iov->iov_base + len;
		c->iov->iov_len -= len;
	}
}

void iov_cut(struct iov_cursor *c, uint64_t len)
{
	int i;

	for (i = 0; i < c->n && len > 0; i++) {
		if (c->iov[i].iov_len > len)
			c->iov[i].iov_len = len;
		len -= c->iov[i].iov_len;
	}
	c->n = i;
}

size_t iov_read(struct iov_cursor *c, void *buf, size_t len)
{
	size_t done = 0;

	while (done < len && c->n > 0) {
		size_t part = c->iov->iov_len < len - done ? c->iov->iov_len : len - done;

		if (part > 0)
			memcpy((char *)buf + done, c->iov->iov_base, part);
		done += part;
		iov_skip(c, part);
	}
	return done;
}

size_t iov_write(struct iov_cursor *c, const void *buf, size_t len)
{
	size_t done = 0;

	while (done < len && c->n > 0) {
		size_t part = c->iov->iov_len < len - done ? c->iov->iov_len : len - done;

		if (part > 0)
			memcpy(c->iov->iov_base, (const char *)buf + done, part);
		done += part;
		iov_skip(c, part);
	}
	return done;
}
