/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: a disk of extents
 *
 * The disk is a sorted list of extents, each a piece of a raw file or of another back end.  A
 * request is cut into runs: the longest piece that lies in one extent or in one gap.
 *
 * A request that would touch a read-only extent or a gap is refused before its first byte is
 * written.
 *
 * #syscalls fdatasync close
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "block/block.h"
#include "block/internal.h"

struct extents {
	struct block block;
	size_t n;
	struct block_extent list[]; /* descriptors owned */
};

/* A run of a request: in one extent, or in a gap (extent NULL). */
struct run {
	const struct block_extent *extent;
	uint64_t file_offset;
	uint64_t len;
};

/* The run at @offset, at most @len bytes. */
static struct run run_at(const struct extents *x, uint64_t offset, uint64_t len)
{
	size_t lo = 0, hi = x->n; /* list[lo - 1] starts at or before offset, list[hi] after it */
	uint64_t left;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (x->list[mid].disk_offset <= offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo > 0) {
		const struct block_extent *e = &x->list[lo - 1];
		uint64_t into = offset - e->disk_offset;

		if (into < e->len) {
			left = e->len - into;
			return (struct run){ e, e->file_offset + into, left < len ? left : len };
		}
	}
	left = lo < x->n ? x->list[lo].disk_offset - offset : len;
	return (struct run){ NULL, 0, left < len ? left : len };
}

static int extents_read(struct block *b, struct iov_pos *pos, uint64_t offset, uint64_t len)
{
	const struct extents *x = (const struct extents *)b;
	int r = 0;

	for (uint64_t done = 0; r == 0 && done < len;) {
		struct run run = run_at(x, offset + done, len - done);
		const struct block_extent *e = run.extent;

		if (!e)
			iov_pos_zero(pos, run.len);
		else if (e->block)
			r = e->block->ops->read(e->block, pos, run.file_offset, run.len);
		else
			r = file_read(e->fd, pos, run.file_offset, run.len);
		done += run.len;
	}
	return r;
}

/* 0 if all of the range lies in writable extents, else -EROFS. */
static int check_writable(const struct extents *x, uint64_t offset, uint64_t len)
{
	for (uint64_t done = 0; done < len;) {
		struct run run = run_at(x, offset + done, len - done);

		if (!run.extent || !run.extent->writable)
			return -EROFS;
		done += run.len;
	}
	return 0;
}

static int extents_write(struct block *b, struct iov_pos *pos, uint64_t offset, uint64_t len)
{
	const struct extents *x = (const struct extents *)b;
	int r = check_writable(x, offset, len);

	for (uint64_t done = 0; r == 0 && done < len;) {
		struct run run = run_at(x, offset + done, len - done);
		const struct block_extent *e = run.extent;

		if (e->block)
			r = e->block->ops->write(e->block, pos, run.file_offset, run.len);
		else
			r = file_write(e->fd, pos, run.file_offset, run.len);
		done += run.len;
	}
	return r;
}

static int extents_discard(struct block *b, uint64_t offset, uint64_t len)
{
	const struct extents *x = (const struct extents *)b;
	int r = check_writable(x, offset, len);

	for (uint64_t done = 0; r == 0 && done < len;) {
		struct run run = run_at(x, offset + done, len - done);
		const struct block_extent *e = run.extent;

		if (e->block)
			r = e->block->ops->discard(e->block, run.file_offset, run.len);
		else
			r = file_discard(e->fd, run.file_offset, run.len);
		done += run.len;
	}
	return r;
}

static int extents_write_zeroes(struct block *b, uint64_t offset, uint64_t len, bool unmap)
{
	const struct extents *x = (const struct extents *)b;
	int r = check_writable(x, offset, len);

	for (uint64_t done = 0; r == 0 && done < len;) {
		struct run run = run_at(x, offset + done, len - done);
		const struct block_extent *e = run.extent;

		if (e->block)
			r = e->block->ops->write_zeroes(e->block, run.file_offset, run.len, unmap);
		else
			r = file_zero(e->fd, run.file_offset, run.len, unmap);
		done += run.len;
	}
	return r;
}

static int flush_extent(const struct block_extent *e)
{
	if (!e->writable || e->volatile_data)
		return 0;
	if (e->block)
		return e->block->ops->flush(e->block);
	return fdatasync(e->fd) < 0 ? -errno : 0;
}

/* Every file is asked, also after a failure; the first failure is told. */
static int extents_flush(struct block *b)
{
	const struct extents *x = (const struct extents *)b;
	int result = 0;

	for (size_t i = 0; i < x->n; i++) {
		int r = flush_extent(&x->list[i]);

		if (result == 0)
			result = r;
	}
	return result;
}

static void extents_free(struct block *b)
{
	struct extents *x = (struct extents *)b;

	for (size_t i = 0; i < x->n; i++) {
		if (x->list[i].block)
			block_free(x->list[i].block);
		else
			(void)close(x->list[i].fd);
	}
	free(x);
}

static const struct block_ops extents_ops = {
	.read = extents_read,
	.write = extents_write,
	.discard = extents_discard,
	.write_zeroes = extents_write_zeroes,
	.flush = extents_flush,
	.free = extents_free,
};

/* Check @e against the end of its predecessor and round its length up to a sector. */
static int take_extent(struct block_extent *e, uint64_t prev_end, uint64_t disk_size,
		       uint64_t *ret_end)
{
	uint64_t file_end, end;

	if ((e->fd < 0 && !e->block) || e->len == 0 || e->disk_offset % BLOCK_SECTOR != 0 ||
	    e->file_offset % BLOCK_SECTOR != 0)
		return -EINVAL;
	if (__builtin_add_overflow(e->len, BLOCK_SECTOR - 1, &e->len))
		return -EINVAL;
	e->len -= e->len % BLOCK_SECTOR;
	if (__builtin_add_overflow(e->file_offset, e->len, &file_end) || file_end > INT64_MAX)
		return -EINVAL;
	if (e->block && (file_end > e->block->size || (e->writable && e->block->read_only)))
		return -EINVAL;
	if (e->disk_offset < prev_end || __builtin_add_overflow(e->disk_offset, e->len, &end) ||
	    end > disk_size)
		return -EINVAL;
	*ret_end = end;
	return 0;
}

int block_extents_new(const struct block_extent *extents, size_t n, uint64_t size,
		      struct block **ret_block)
{
	AUTO_FREE struct extents *x = NULL;
	uint64_t end = 0;
	size_t bytes;

	if (size % BLOCK_SECTOR != 0)
		return -EINVAL;
	if (__builtin_mul_overflow(n, sizeof(x->list[0]), &bytes) ||
	    __builtin_add_overflow(bytes, sizeof(*x), &bytes))
		return -EINVAL;
	x = calloc(1, bytes);
	if (!x)
		return -ENOMEM;
	x->block = (struct block){ .ops = &extents_ops, .size = size, .read_only = true };
	x->n = n;
	for (size_t i = 0; i < n; i++) {
		int r;

		x->list[i] = extents[i];
		r = take_extent(&x->list[i], end, size, &end);
		if (r < 0)
			return r;
		if (x->list[i].writable)
			x->block.read_only = false;
	}
	*ret_block = &TAKE_PTR(x)->block;
	return 0;
}
