/* SPDX-License-Identifier: Apache-2.0 */
#include "block/block.h"

#include <errno.h>

#include "block/internal.h"

static int check_range(const struct block *b, uint64_t offset, uint64_t len)
{
	uint64_t end;

	if (offset % BLOCK_SECTOR != 0 || len % BLOCK_SECTOR != 0)
		return -EINVAL;
	if (__builtin_add_overflow(offset, len, &end) || end > b->size)
		return -EINVAL;
	return 0;
}

static int check_iov(const struct block *b, const struct iovec *iov, int n_iov, uint64_t offset,
		     uint64_t *ret_len)
{
	uint64_t len = 0;

	for (int i = 0; i < n_iov; i++)
		if (__builtin_add_overflow(len, iov[i].iov_len, &len))
			return -EINVAL;
	*ret_len = len;
	return check_range(b, offset, len);
}

int block_readv(struct block *b, const struct iovec *iov, int n_iov, uint64_t offset)
{
	uint64_t len;
	int r = check_iov(b, iov, n_iov, offset, &len);

	if (r < 0 || len == 0)
		return r;
	return b->ops->read(b, &(struct iov_pos){ iov, n_iov, 0 }, offset, len);
}

int block_writev(struct block *b, const struct iovec *iov, int n_iov, uint64_t offset)
{
	uint64_t len;
	int r = check_iov(b, iov, n_iov, offset, &len);

	if (r < 0)
		return r;
	if (b->read_only)
		return -EROFS;
	if (len == 0)
		return 0;
	return b->ops->write(b, &(struct iov_pos){ iov, n_iov, 0 }, offset, len);
}

int block_discard(struct block *b, uint64_t offset, uint64_t len)
{
	int r = check_range(b, offset, len);

	if (r < 0)
		return r;
	if (b->read_only)
		return -EROFS;
	return len == 0 ? 0 : b->ops->discard(b, offset, len);
}

int block_write_zeroes(struct block *b, uint64_t offset, uint64_t len, bool unmap)
{
	int r = check_range(b, offset, len);

	if (r < 0)
		return r;
	if (b->read_only)
		return -EROFS;
	return len == 0 ? 0 : b->ops->write_zeroes(b, offset, len, unmap);
}

int block_flush(struct block *b)
{
	return b->ops->flush(b);
}

void block_free(struct block *b)
{
	if (b)
		b->ops->free(b);
}
