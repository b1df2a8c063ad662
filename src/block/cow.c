/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: copy on write
 *
 * A layer is a sparse file: a header, a bitmap with one bit for each cluster, and the clusters,
 * each at the place it has on the disk.  A bit that is set means that the cluster is read from
 * here; then it is whole.  So the first write to a part of a cluster copies the rest from below.
 *
 * Bits are set in memory when the data has been handed to the kernel, and written only after
 * the data is on stable storage: a crash leaves clusters that no bit names, never a bit that
 * names no data.  They are never cleared, so a torn write of the bitmap does no harm.  A
 * flush covers both.
 *
 * #syscalls fdatasync close
 */
#include "block/cow.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "block/internal.h"

#define COW_MAGIC     0x31574f4342534dull /* "MSBCOW1" */
#define BITMAP_AT     4096u		  /* bytes; in the file, as the next */
#define DATA_AT	      (64ull << 20)	  /* behind a bitmap of COW_DISK_MAX */
#define PAGE	      4096u		  /* bytes of the bitmap that are written at once */
#define BITS_PER_PAGE (PAGE * 8ull)

static_assert(BITMAP_AT + COW_DISK_MAX / COW_CLUSTER / 8 <= DATA_AT, "the bitmap has room");

/* Little-endian. */
struct cow_header {
	uint64_t magic, disk_size, file_size, mtime_ns;
};

struct cow {
	struct block block;
	struct block *base; /* owned */
	int fd;		    /* owned */
	bool volatile_data;
	bool any_dirty;
	size_t n_pages;	 /* of the bitmap */
	uint8_t *bits;	 /* owned; n_pages * PAGE bytes */
	uint8_t *dirty;	 /* owned; a byte for each page */
	uint8_t *bounce; /* owned; COW_CLUSTER bytes */
};

int cow_create(int fd, const struct cow_origin *origin)
{
	struct cow_header h = {
		.magic = htole64(COW_MAGIC),
		.disk_size = htole64(origin->disk_size),
		.file_size = htole64(origin->file_size),
		.mtime_ns = htole64(origin->mtime_ns),
	};

	if (origin->disk_size > COW_DISK_MAX)
		return -EFBIG;
	return io_pwrite_full(fd, &h, sizeof(h), 0);
}

int cow_origin_read(int fd, struct cow_origin *ret_origin)
{
	struct cow_header h;
	struct cow_origin o;
	ssize_t n = io_pread_full(fd, &h, sizeof(h), 0);

	if (n < 0)
		return (int)n;
	if (n != (ssize_t)sizeof(h) || le64toh(h.magic) != COW_MAGIC)
		return -EPROTO;
	o.disk_size = le64toh(h.disk_size);
	o.file_size = le64toh(h.file_size);
	o.mtime_ns = le64toh(h.mtime_ns);
	if (o.disk_size > COW_DISK_MAX || o.disk_size % BLOCK_SECTOR != 0)
		return -EPROTO;
	*ret_origin = o;
	return 0;
}

static bool has(const struct cow *c, uint64_t cluster)
{
	return c->bits[cluster / 8] & (1u << cluster % 8);
}

static void set(struct cow *c, uint64_t cluster)
{
	c->bits[cluster / 8] |= (uint8_t)(1u << cluster % 8);
	c->dirty[cluster / BITS_PER_PAGE] = 1;
	c->any_dirty = true;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* From the base, or zeros behind its end. */
static int read_base(const struct cow *c, struct iov_pos *pos, uint64_t offset, uint64_t len)
{
	uint64_t below = offset < c->base->size ? min_u64(len, c->base->size - offset) : 0;
	int r = below ? c->base->ops->read(c->base, pos, offset, below) : 0;

	if (r == 0 && below < len)
		iov_pos_zero(pos, len - below);
	return r;
}

/* How many bytes from @offset on, at most @len, lie in clusters that are all here, or all not. */
static uint64_t run_len(const struct cow *c, uint64_t offset, uint64_t len)
{
	uint64_t cluster = offset / COW_CLUSTER, end = (cluster + 1) * COW_CLUSTER;
	bool here = has(c, cluster);

	while (end < offset + len && has(c, end / COW_CLUSTER) == here)
		end += COW_CLUSTER;
	return min_u64(len, end - offset);
}

static int cow_read(struct block *b, struct iov_pos *pos, uint64_t offset, uint64_t len)
{
	const struct cow *c = (const struct cow *)b;
	int r = 0;

	for (uint64_t done = 0; r == 0 && done < len;) {
		uint64_t at = offset + done, n = run_len(c, at, len - done);

		if (has(c, at / COW_CLUSTER))
			r = file_read(c->fd, pos, DATA_AT + at, n);
		else
			r = read_base(c, pos, at, n);
		done += n;
	}
	return r;
}

/* The cluster's bytes on the disk: the last one may be shorter. */
static uint64_t cluster_len(const struct cow *c, uint64_t cluster)
{
	return min_u64(COW_CLUSTER, c->block.size - cluster * COW_CLUSTER);
}

/*
 * Bring @cluster here, with @len bytes at @into taken from @pos, or zeros if that is NULL, and the
 * rest from below.
 */
static int copy_up(struct cow *c, uint64_t cluster, struct iov_pos *pos, uint64_t into,
		   uint64_t len)
{
	uint64_t at = cluster * COW_CLUSTER, n = cluster_len(c, cluster);
	struct iovec iov = { c->bounce, n };
	struct iov_pos whole = { &iov, 1, 0 };
	int r = read_base(c, &whole, at, n);

	if (r < 0)
		return r;
	if (pos)
		iov_pos_take(pos, c->bounce + into, len);
	else
		memset(c->bounce + into, 0, len);
	whole = (struct iov_pos){ &iov, 1, 0 };
	r = file_write(c->fd, &whole, DATA_AT + at, n);
	if (r == 0)
		set(c, cluster);
	return r;
}

/* Bytes from @at, at most @len, that are whole clusters, the last of the disk included. */
static uint64_t whole_clusters(const struct cow *c, uint64_t at, uint64_t len)
{
	if (at % COW_CLUSTER != 0)
		return 0;
	return at + len == c->block.size ? len : len - len % COW_CLUSTER;
}

static int cow_write(struct block *b, struct iov_pos *pos, uint64_t offset, uint64_t len)
{
	struct cow *c = (struct cow *)b;
	int r = 0;

	for (uint64_t done = 0; r == 0 && done < len;) {
		uint64_t at = offset + done, n = run_len(c, at, len - done);
		bool here = has(c, at / COW_CLUSTER);
		uint64_t whole = here ? n : whole_clusters(c, at, n);

		if (whole > 0) {
			n = whole;
			r = file_write(c->fd, pos, DATA_AT + at, n);
			for (uint64_t i = at; r == 0 && !here && i < at + n; i += COW_CLUSTER)
				set(c, i / COW_CLUSTER);
		} else {
			n = min_u64(n, COW_CLUSTER - at % COW_CLUSTER);
			r = copy_up(c, at / COW_CLUSTER, pos, at % COW_CLUSTER, n);
		}
		done += n;
	}
	return r;
}

/* What is here becomes a hole; what is not reads as before. */
static int cow_discard(struct block *b, uint64_t offset, uint64_t len)
{
	struct cow *c = (struct cow *)b;
	int r = 0;

	for (uint64_t done = 0; r == 0 && done < len;) {
		uint64_t at = offset + done, n = run_len(c, at, len - done);

		if (has(c, at / COW_CLUSTER))
			r = file_discard(c->fd, DATA_AT + at, n);
		done += n;
	}
	return r;
}

static int cow_write_zeroes(struct block *b, uint64_t offset, uint64_t len, bool unmap)
{
	struct cow *c = (struct cow *)b;
	int r = 0;

	for (uint64_t done = 0; r == 0 && done < len;) {
		uint64_t at = offset + done, n = run_len(c, at, len - done);
		bool here = has(c, at / COW_CLUSTER);
		uint64_t whole = here ? n : whole_clusters(c, at, n);

		if (whole > 0) {
			n = whole;
			/* A hole of the file is none of the disk: something may lie there from
			 * before a crash. */
			r = file_zero(c->fd, DATA_AT + at, n, unmap);
			for (uint64_t i = at; r == 0 && !here && i < at + n; i += COW_CLUSTER)
				set(c, i / COW_CLUSTER);
		} else {
			n = min_u64(n, COW_CLUSTER - at % COW_CLUSTER);
			r = copy_up(c, at / COW_CLUSTER, NULL, at % COW_CLUSTER, n);
		}
		done += n;
	}
	return r;
}

static int write_bitmap(struct cow *c)
{
	for (size_t i = 0; i < c->n_pages; i++) {
		int r = 0;

		if (c->dirty[i])
			r = io_pwrite_full(c->fd, c->bits + i * PAGE, PAGE,
					   (off_t)(BITMAP_AT + i * PAGE));
		if (r < 0)
			return r;
	}
	return fdatasync(c->fd) < 0 ? -errno : 0;
}

static int cow_flush(struct block *b)
{
	struct cow *c = (struct cow *)b;
	int r;

	if (c->volatile_data)
		return 0;
	if (fdatasync(c->fd) < 0)
		return -errno;
	if (!c->any_dirty)
		return 0;
	r = write_bitmap(c);
	if (r == 0) {
		memset(c->dirty, 0, c->n_pages);
		c->any_dirty = false;
	}
	return r;
}

static void cow_done(struct cow *c)
{
	free(c->bits);
	free(c->dirty);
	free(c->bounce);
	free(c);
}

static void cow_free(struct block *b)
{
	struct cow *c = (struct cow *)b;

	block_free(c->base);
	(void)close(c->fd);
	cow_done(c);
}

static const struct block_ops cow_ops = {
	.read = cow_read,
	.write = cow_write,
	.discard = cow_discard,
	.write_zeroes = cow_write_zeroes,
	.flush = cow_flush,
	.free = cow_free,
};

static int load_bitmap(struct cow *c, int fd)
{
	uint64_t n_clusters = (c->block.size + COW_CLUSTER - 1) / COW_CLUSTER;
	ssize_t n;

	c->n_pages = (size_t)((n_clusters + BITS_PER_PAGE - 1) / BITS_PER_PAGE);
	c->bits = calloc(c->n_pages + 1, PAGE);
	c->dirty = calloc(c->n_pages + 1, 1);
	c->bounce = malloc(COW_CLUSTER);
	if (!c->bits || !c->dirty || !c->bounce)
		return -ENOMEM;
	n = io_pread_full(fd, c->bits, c->n_pages * PAGE, BITMAP_AT); /* may be shorter: zeros */
	return n < 0 ? (int)n : 0;
}

int cow_new(struct block *base, int fd, bool volatile_data, struct block **ret_block)
{
	struct cow_origin origin;
	struct cow *c;
	int r = cow_origin_read(fd, &origin);

	if (r < 0)
		return r;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->block = (struct block){ .ops = &cow_ops, .size = origin.disk_size };
	c->base = base;
	c->fd = fd;
	c->volatile_data = volatile_data;
	r = load_bitmap(c, fd);
	if (r < 0) {
		cow_done(c);
		return r;
	}
	*ret_block = &c->block;
	return 0;
}
