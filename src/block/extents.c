/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: a disk of extents
 *
 * The disk is a sorted list of extents, each a piece of a raw file.  A request is cut into
 * runs: the longest piece that lies in one extent or in one gap.  A position in the caller's
 * vector moves along with the runs, so no vector is ever copied as a whole.
 *
 * A request that would touch a read-only extent or a gap is refused before its first byte is
 * written.
 *
 * #syscalls preadv pwritev fallocate fdatasync close
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block/block.h"

#define IOV_BATCH  128	       /* elements of one preadv()/pwritev(): 2 KiB of stack */
#define ZERO_CHUNK (64 * 1024) /* bytes of zeros of one pwritev() element */

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

/* A position in a vector of the caller. */
struct iov_pos {
	const struct iovec *iov;
	int n;
	size_t done; /* bytes of iov[0] that are behind us */
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

/* Elements for the next @max bytes at most; returns their number. */
static int iov_slice(const struct iov_pos *pos, uint64_t max, struct iovec out[IOV_BATCH])
{
	size_t skip = pos->done;
	int n = 0;

	for (int i = 0; i < pos->n && n < IOV_BATCH && max > 0; i++) {
		size_t len = pos->iov[i].iov_len - skip;

		if (len > max)
			len = max;
		if (len > 0)
			out[n++] = (struct iovec){ (char *)pos->iov[i].iov_base + skip, len };
		max -= len;
		skip = 0;
	}
	return n;
}

static void iov_advance(struct iov_pos *pos, size_t len)
{
	while (pos->n > 0 && len >= pos->iov->iov_len - pos->done) {
		len -= pos->iov->iov_len - pos->done;
		pos->iov++;
		pos->n--;
		pos->done = 0;
	}
	pos->done += len;
}

static void iov_zero(struct iov_pos *pos, uint64_t len)
{
	struct iovec part[IOV_BATCH];

	while (len > 0) {
		int n = iov_slice(pos, len, part);

		assert(n > 0); /* the caller counted the vector */
		for (int i = 0; i < n; i++) {
			memset(part[i].iov_base, 0, part[i].iov_len);
			iov_advance(pos, part[i].iov_len);
			len -= part[i].iov_len;
		}
	}
}

static int read_run(struct iov_pos *pos, const struct run *run)
{
	struct iovec part[IOV_BATCH];
	uint64_t done = 0;

	while (done < run->len) {
		int n_part = iov_slice(pos, run->len - done, part);
		ssize_t n = preadv(run->extent->fd, part, n_part, (off_t)(run->file_offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0) { /* past the end of the file */
			iov_zero(pos, run->len - done);
			return 0;
		}
		iov_advance(pos, (size_t)n);
		done += (uint64_t)n;
	}
	return 0;
}

static int write_run(struct iov_pos *pos, const struct run *run)
{
	struct iovec part[IOV_BATCH];
	uint64_t done = 0;

	while (done < run->len) {
		int n_part = iov_slice(pos, run->len - done, part);
		ssize_t n =
			pwritev(run->extent->fd, part, n_part, (off_t)(run->file_offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		iov_advance(pos, (size_t)n);
		done += (uint64_t)n;
	}
	return 0;
}

static int extents_readv(struct block *b, const struct iovec *iov, int n_iov, uint64_t offset,
			 uint64_t len)
{
	const struct extents *x = (const struct extents *)b;
	struct iov_pos pos = { iov, n_iov, 0 };

	for (uint64_t done = 0; done < len;) {
		struct run run = run_at(x, offset + done, len - done);
		int r = 0;

		if (run.extent)
			r = read_run(&pos, &run);
		else
			iov_zero(&pos, run.len);
		if (r < 0)
			return r;
		done += run.len;
	}
	return 0;
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

static int extents_writev(struct block *b, const struct iovec *iov, int n_iov, uint64_t offset,
			  uint64_t len)
{
	const struct extents *x = (const struct extents *)b;
	struct iov_pos pos = { iov, n_iov, 0 };
	int r = check_writable(x, offset, len);

	for (uint64_t done = 0; r == 0 && done < len;) {
		struct run run = run_at(x, offset + done, len - done);

		r = write_run(&pos, &run);
		done += run.len;
	}
	return r;
}

static int allocate(const struct run *run, int mode)
{
	int r;

	do {
		r = fallocate(run->extent->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)run->file_offset,
			      (off_t)run->len);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

static int discard_run(const struct run *run)
{
	int r = allocate(run, FALLOC_FL_PUNCH_HOLE);

	return r == -EOPNOTSUPP ? 0 : r; /* a discard is a hint */
}

static int zero_run(const struct run *run, bool unmap)
{
	static const uint8_t zeros[ZERO_CHUNK];
	struct iovec iov[IOV_BATCH];
	uint64_t done = 0;
	int r = allocate(run, unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);

	if (r != -EOPNOTSUPP)
		return r;
	for (int i = 0; i < IOV_BATCH; i++)
		iov[i] = (struct iovec){ (void *)(uintptr_t)zeros, sizeof(zeros) };
	while (done < run->len) {
		struct run part = { run->extent, run->file_offset + done, run->len - done };
		struct iov_pos pos = { iov, IOV_BATCH, 0 };

		if (part.len > sizeof(zeros) * IOV_BATCH)
			part.len = sizeof(zeros) * IOV_BATCH;
		r = write_run(&pos, &part);
		if (r < 0)
			return r;
		done += part.len;
	}
	return 0;
}

static int extents_discard(struct block *b, uint64_t offset, uint64_t len)
{
	const struct extents *x = (const struct extents *)b;
	int r = check_writable(x, offset, len);

	for (uint64_t done = 0; r == 0 && done < len;) {
		struct run run = run_at(x, offset + done, len - done);

		r = discard_run(&run);
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

		r = zero_run(&run, unmap);
		done += run.len;
	}
	return r;
}

/* Every file is asked, also after a failure; the first failure is told. */
static int extents_flush(struct block *b)
{
	const struct extents *x = (const struct extents *)b;
	int result = 0;

	for (size_t i = 0; i < x->n; i++) {
		const struct block_extent *e = &x->list[i];

		if (e->writable && !e->volatile_data && fdatasync(e->fd) < 0 && result == 0)
			result = -errno;
	}
	return result;
}

static void extents_free(struct block *b)
{
	struct extents *x = (struct extents *)b;

	for (size_t i = 0; i < x->n; i++)
		(void)close(x->list[i].fd);
	free(x);
}

static const struct block_ops extents_ops = {
	.readv = extents_readv,
	.writev = extents_writev,
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

	if (e->fd < 0 || e->len == 0 || e->disk_offset % BLOCK_SECTOR != 0 ||
	    e->file_offset % BLOCK_SECTOR != 0)
		return -EINVAL;
	if (__builtin_add_overflow(e->len, BLOCK_SECTOR - 1, &e->len))
		return -EINVAL;
	e->len -= e->len % BLOCK_SECTOR;
	if (__builtin_add_overflow(e->file_offset, e->len, &file_end) || file_end > INT64_MAX)
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
