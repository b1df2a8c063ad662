/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: qcow2
 *
 * Two levels of tables, L1 and L2, lead from a cluster of the disk to one of the file.  Tables
 * are read through a small cache of pages of the file; L1 and L2 are alike to it, and its size
 * does not depend on the image.  Each entry is checked when it is used: reserved bits, alignment,
 * and that what it names lies in the file.  The file may be changed by others meanwhile; then
 * reads fail or give other bytes, and no more.
 *
 * #syscalls pread64 close
 */
#include "block/qcow2.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "block/internal.h"

#define PAGE	4096u /* bytes of the file that are read at once for a table */
#define N_PAGES 512u  /* in the cache: 2 MiB */

#define L1_RESERVED 0x7f000000000001ffull
#define L1_OFFSET   0x00fffffffffffe00ull
#define L2_PACKED   (1ull << 62)
#define L2_ZERO	    (1ull << 0) /* version 3 */
#define L2_RESERVED 0x3f000000000001feull
#define L2_OFFSET   0x00fffffffffffe00ull
#define L2_FLAGS    (3ull << 62) /* packed, and "used once", which is for writers */

struct page {
	uint64_t number; /* of the page in the file, plus 1; 0: empty */
	uint8_t data[PAGE];
};

struct qcow2 {
	struct block block;
	int fd; /* owned */
	uint64_t file_size;
	struct qcow2_header header;
	struct page pages[N_PAGES];
};

/* Big-endian number at @offset of the file, a multiple of 8. */
static int table_entry(struct qcow2 *q, uint64_t offset, uint64_t *ret)
{
	uint64_t number = offset / PAGE + 1, value;
	struct page *page = &q->pages[number % N_PAGES];

	if (q->file_size < sizeof(value) || offset > q->file_size - sizeof(value))
		return -EIO;
	if (page->number != number) {
		ssize_t n;

		page->number = 0;
		n = io_pread_full(q->fd, page->data, PAGE, offset / PAGE * PAGE);
		if (n < 0)
			return (int)n;
		if ((size_t)n < offset % PAGE + sizeof(value))
			return -EIO; /* the file has shrunk */
		memset(page->data + n, 0, PAGE - (size_t)n);
		page->number = number;
	}
	memcpy(&value, page->data + offset % PAGE, sizeof(value));
	*ret = be64toh(value);
	return 0;
}

/* Offset of the L2 table that the L1 entry @i names; 0: there is none. */
static int l2_table(struct qcow2 *q, uint64_t i, uint64_t *ret_offset)
{
	uint64_t cluster = 1ull << q->header.cluster_bits, entry = 0, offset;
	int r = table_entry(q, q->header.l1_offset + i * sizeof(entry), &entry);

	if (r < 0)
		return r;
	offset = entry & L1_OFFSET;
	if ((entry & L1_RESERVED) || offset % cluster != 0)
		return -EIO;
	if (offset != 0 && (cluster > q->file_size || offset > q->file_size - cluster))
		return -EIO;
	*ret_offset = offset;
	return 0;
}

static int take_packed(const struct qcow2 *q, uint64_t entry, struct qcow2_place *ret)
{
	/* The length takes as many bits as a cluster has sectors, below the two flags. */
	unsigned offset_bits = 62 - (q->header.cluster_bits - 8);
	uint64_t offset = entry & ((1ull << offset_bits) - 1);
	uint64_t sectors = ((entry & ~L2_FLAGS) >> offset_bits) + 1;

	if (offset >= q->file_size)
		return -EIO;
	*ret = (struct qcow2_place){
		.kind = QCOW2_PACKED,
		.offset = offset,
		.len = (uint32_t)(sectors * BLOCK_SECTOR - offset % BLOCK_SECTOR),
	};
	return 0;
}

static int take_entry(const struct qcow2 *q, uint64_t entry, struct qcow2_place *ret)
{
	uint64_t offset = entry & L2_OFFSET;
	bool zero = entry & L2_ZERO;

	if (entry & L2_PACKED)
		return take_packed(q, entry, ret);
	if ((entry & L2_RESERVED) || (zero && q->header.version < 3) ||
	    offset % (1ull << q->header.cluster_bits) != 0 || offset >= q->file_size)
		return -EIO;
	*ret = (struct qcow2_place){ .kind = zero || offset == 0 ? QCOW2_HOLE : QCOW2_DATA,
				     .offset = offset };
	return 0;
}

int qcow2_find(struct qcow2 *q, uint64_t offset, struct qcow2_place *ret_place)
{
	unsigned bits = q->header.cluster_bits, l2_bits = bits - 3;
	uint64_t cluster = offset >> bits, l2 = 0, entry = 0;
	int r;

	if (offset >= q->block.size)
		return -EINVAL;
	r = l2_table(q, cluster >> l2_bits, &l2);
	if (r < 0)
		return r;
	if (l2 == 0) {
		*ret_place = (struct qcow2_place){ .kind = QCOW2_HOLE };
		return 0;
	}
	r = table_entry(q, l2 + (cluster & ((1ull << l2_bits) - 1)) * sizeof(entry), &entry);
	return r < 0 ? r : take_entry(q, entry, ret_place);
}

/* @next goes on where @first, @len bytes from its cluster's start, ends. */
static bool follows(const struct qcow2_place *first, uint64_t len, const struct qcow2_place *next)
{
	return next->kind == first->kind &&
	       (next->kind == QCOW2_HOLE || next->offset == first->offset + len);
}

/* The place at @offset and how many of the next @len bytes follow it. */
static int find_run(struct qcow2 *q, uint64_t offset, uint64_t len, struct qcow2_place *ret_place,
		    uint64_t *ret_len)
{
	uint64_t cluster = 1ull << q->header.cluster_bits, into = offset % cluster;
	uint64_t n = cluster;
	int r = qcow2_find(q, offset, ret_place);

	while (r == 0 && n < into + len) {
		struct qcow2_place next;

		r = qcow2_find(q, offset - into + n, &next);
		if (r == 0 && !follows(ret_place, n, &next))
			break;
		n += cluster;
	}
	ret_place->offset += into;
	*ret_len = n - into < len ? n - into : len;
	return r;
}

static int qcow2_read(struct block *b, struct iov_pos *pos, uint64_t offset, uint64_t len)
{
	struct qcow2 *q = (struct qcow2 *)b;

	for (uint64_t done = 0; done < len;) {
		struct qcow2_place place = { .kind = QCOW2_HOLE };
		uint64_t n = 0;
		int r = find_run(q, offset + done, len - done, &place, &n);

		if (r == 0 && place.kind == QCOW2_PACKED)
			r = -EIO;
		if (r == 0 && place.kind == QCOW2_DATA)
			r = file_read(q->fd, pos, place.offset, n);
		else if (r == 0)
			iov_pos_zero(pos, n);
		if (r < 0)
			return r;
		done += n;
	}
	return 0;
}

static int qcow2_no_write(struct block *b, struct iov_pos *pos, uint64_t offset, uint64_t len)
{
	return -EROFS;
}

static int qcow2_no_discard(struct block *b, uint64_t offset, uint64_t len)
{
	return -EROFS;
}

static int qcow2_no_zeroes(struct block *b, uint64_t offset, uint64_t len, bool unmap)
{
	return -EROFS;
}

static int qcow2_flush(struct block *b)
{
	return 0;
}

static void qcow2_free_block(struct block *b)
{
	struct qcow2 *q = (struct qcow2 *)b;

	(void)close(q->fd);
	free(q);
}

static const struct block_ops qcow2_ops = {
	.read = qcow2_read,
	.write = qcow2_no_write,
	.discard = qcow2_no_discard,
	.write_zeroes = qcow2_no_zeroes,
	.flush = qcow2_flush,
	.free = qcow2_free_block,
};

int qcow2_open(int fd, const char *path, struct qcow2 **ret_q, struct err *err)
{
	uint8_t head[QCOW2_HEADER_MAX];
	AUTO_FREE struct qcow2 *q = NULL;
	struct stat st;
	ssize_t n = io_pread_full(fd, head, sizeof(head), 0);
	int r;

	if (n < 0 || fstat(fd, &st) < 0)
		return err_sys(err, n < 0 ? (int)-n : errno, "read disk image '%s'", path);
	q = calloc(1, sizeof(*q));
	if (!q)
		return err_no_memory(err);
	q->file_size = (uint64_t)st.st_size;
	r = qcow2_header_parse(head, (size_t)n, q->file_size, path, &q->header, err);
	if (r < 0)
		return r;
	q->fd = fd;
	q->block = (struct block){
		.ops = &qcow2_ops,
		.size = (q->header.disk_size + BLOCK_SECTOR - 1) / BLOCK_SECTOR * BLOCK_SECTOR,
		.read_only = true,
	};
	*ret_q = TAKE_PTR(q);
	return 0;
}

struct block *qcow2_block(struct qcow2 *q)
{
	return &q->block;
}

void qcow2_free(struct qcow2 *q)
{
	if (q)
		qcow2_free_block(&q->block);
}

const struct qcow2_header *qcow2_header(const struct qcow2 *q)
{
	return &q->header;
}

/* ---- all tables at once ---- */

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The tables of an image, as qcow2_check() goes through them. */
struct check {
	struct qcow2 *q;
	const char *path;
	struct err *err;
	uint64_t *l2; /* offsets, sorted; owned by qcow2_check() */
	size_t n_l2;
};

static bool in_l1(const struct check *c, uint64_t offset)
{
	const struct qcow2_header *h = &c->q->header;

	return offset >= h->l1_offset && offset < h->l1_offset + h->l1_used * sizeof(uint64_t);
}

static int bad_entry(const struct check *c, const char *table, uint64_t i, const char *why)
{
	return err_set(c->err, ERR_INVALID,
		       "disk image '%s' is damaged: entry %llu of %s %s\n"
		       "look at it: qemu-img check %s",
		       c->path, (unsigned long long)i, table, why, c->path);
}

static int collect_l2(struct check *c)
{
	const struct qcow2_header *h = &c->q->header;

	for (uint32_t i = 0; i < h->l1_used; i++) {
		uint64_t offset = 0;
		int r = l2_table(c->q, i, &offset);

		if (r < 0)
			return bad_entry(c, "its L1 table", i,
					 "names no place in the file for an L2 table");
		if (offset != 0 && in_l1(c, offset))
			return bad_entry(c, "its L1 table", i, "names the L1 table itself");
		if (offset != 0)
			c->l2[c->n_l2++] = offset;
	}
	qsort(c->l2, c->n_l2, sizeof(*c->l2), compare_u64);
	for (size_t i = 1; i < c->n_l2; i++)
		if (c->l2[i] == c->l2[i - 1])
			return err_set(c->err, ERR_INVALID,
				       "disk image '%s' is damaged: its L2 table at %llu is used "
				       "twice\nlook at it: qemu-img check %s",
				       c->path, (unsigned long long)c->l2[i], c->path);
	return 0;
}

static int check_l2(const struct check *c, uint64_t offset, struct qcow2_count *count)
{
	uint64_t n = 1ull << (c->q->header.cluster_bits - 3);
	char table[64];

	(void)snprintf(table, sizeof(table), "its L2 table at %llu", (unsigned long long)offset);
	for (uint64_t i = 0; i < n; i++) {
		struct qcow2_place place = { .kind = QCOW2_HOLE };
		uint64_t entry = 0;
		int r = table_entry(c->q, offset + i * sizeof(entry), &entry);

		if (r == 0)
			r = take_entry(c->q, entry, &place);
		if (r < 0)
			return bad_entry(c, table, i, "names no place in the file for a cluster");
		if (place.kind == QCOW2_DATA &&
		    (in_l1(c, place.offset) ||
		     bsearch(&place.offset, c->l2, c->n_l2, sizeof(*c->l2), compare_u64)))
			return bad_entry(c, table, i, "names a table as data");
		count->packed += place.kind == QCOW2_PACKED;
		count->data += place.kind == QCOW2_DATA;
	}
	return 0;
}

int qcow2_check(struct qcow2 *q, const char *path, struct qcow2_count *ret_count, struct err *err)
{
	AUTO_FREE uint64_t *l2 = calloc((size_t)q->header.l1_used + 1, sizeof(*l2));
	struct check c = { .q = q, .path = path, .err = err, .l2 = l2 };
	struct qcow2_count count = { 0 };
	int r;

	if (!l2)
		return err_no_memory(err);
	r = collect_l2(&c);
	for (size_t i = 0; r == 0 && i < c.n_l2; i++)
		r = check_l2(&c, l2[i], &count);
	if (r == 0)
		*ret_count = count;
	return r;
}
