/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: virtio-blk
 *
 * A request is a chain: a header of 16 bytes and data to write, then room for data to read
 * and, as its very last byte, the status.  A chain without header or without room for the
 * status cannot be answered, so it breaks the device; everything else gets a status.  Requests
 * are served one after the other, straight between guest memory and the disk's files; a batch
 * ends with one interrupt.
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#include "base/iov.h"
#include "block/block.h"
#include "devices/devices.h"
#include "virtio/device.h"

#define BLK_QUEUE_SIZE 256
#define BLK_SEG_MAX    (BLK_QUEUE_SIZE - 2) /* header and status take a descriptor each */
#define BLK_SIZE_MAX   ((uint32_t)1 << 17)  /* of one segment: 128 KiB; with seg_max below 32 MiB */
/* Data of one request; what a driver that keeps to the two above can ask for fits. */
#define BLK_MAX_BYTES  ((uint64_t)BLK_SEG_MAX * BLK_SIZE_MAX)

#define BLK_DISCARD_SECTORS ((uint32_t)1 << 22) /* of one segment: 2 GiB */
#define BLK_DISCARD_SEGS    16
#define BLK_ZEROES_SECTORS  ((uint32_t)1 << 17) /* 64 MiB: they may have to be written */
#define BLK_ZEROES_SEGS	    1
#define BLK_PHYSICAL_EXP    3 /* 512 << 3: the 4 KiB blocks of the host's file systems */
/*
 * Linux reads ahead twice as much: 1 MiB instead of 128 KiB.  The data lies in the host's page
 * cache, where a larger request costs less than a second one.
 */
#define BLK_OPTIMAL_BYTES   ((uint32_t)1 << 19)

struct blk {
	struct virtio_device dev;
	struct block *block; /* owned */
	char serial[VIRTIO_BLK_ID_BYTES];
	struct virtq_chain chain; /* scratch */
};

/* One request, taken apart. */
struct blk_req {
	uint32_t type;
	uint64_t sector;
	struct iovec *out, *in; /* data, without header and status */
	size_t n_out, n_in;	/* elements */
	size_t out_len, in_len; /* bytes */
	struct iovec status;	/* one byte */
};

static int parse(struct virtq_chain *c, struct blk_req *ret_req)
{
	struct blk_req req = { .out = c->iov, .in = c->iov + c->n_out };
	struct virtio_blk_outhdr hdr;

	if (iov_total(req.out, c->n_out, &req.out_len) < 0 ||
	    iov_total(req.in, c->n_in, &req.in_len) < 0 || req.in_len == 0 ||
	    iov_copy_out(req.out, c->n_out, 0, &hdr, sizeof(hdr)) != sizeof(hdr))
		return -EPROTO;
	req.type = le32toh(hdr.type);
	req.sector = le64toh(hdr.sector);
	req.out_len -= sizeof(hdr);
	req.in_len -= 1;
	if (iov_slice(req.in, c->n_in, req.in_len, 1, &req.status) != 1)
		return -EPROTO;
	req.n_out = iov_slice(req.out, c->n_out, sizeof(hdr), req.out_len, req.out);
	req.n_in = iov_slice(req.in, c->n_in, 0, req.in_len, req.in);
	*ret_req = req;
	return 0;
}

/* Byte offset of a sector number of the guest. */
static int sector_offset(uint64_t sector, uint64_t *ret_offset)
{
	return __builtin_mul_overflow(sector, (uint64_t)BLOCK_SECTOR, ret_offset) ? -EINVAL : 0;
}

static int transfer(struct blk *blk, const struct blk_req *req)
{
	bool write = req->type == VIRTIO_BLK_T_OUT;
	uint64_t offset;
	int r = sector_offset(req->sector, &offset);

	if (r < 0)
		return r;
	if ((write ? req->out_len : req->in_len) > BLK_MAX_BYTES)
		return -EINVAL;
	if (write)
		return block_writev(blk->block, req->out, (int)req->n_out, offset);
	return block_readv(blk->block, req->in, (int)req->n_in, offset);
}

/* One segment of DISCARD or WRITE_ZEROES. */
static int clear_range(struct blk *blk, bool zeroes,
		       const struct virtio_blk_discard_write_zeroes *seg)
{
	uint32_t n_sectors = le32toh(seg->num_sectors), flags = le32toh(seg->flags);
	uint64_t offset, len = (uint64_t)n_sectors * BLOCK_SECTOR;
	int r = sector_offset(le64toh(seg->sector), &offset);

	if (r < 0)
		return r;
	if (flags & ~(zeroes ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0u))
		return -EOPNOTSUPP;
	if (n_sectors > (zeroes ? BLK_ZEROES_SECTORS : BLK_DISCARD_SECTORS))
		return -EINVAL;
	if (zeroes)
		return block_write_zeroes(blk->block, offset, len, flags != 0);
	return block_discard(blk->block, offset, len);
}

static int clear_ranges(struct blk *blk, const struct blk_req *req)
{
	struct virtio_blk_discard_write_zeroes seg;
	bool zeroes = req->type == VIRTIO_BLK_T_WRITE_ZEROES;
	size_t max = (zeroes ? BLK_ZEROES_SEGS : BLK_DISCARD_SEGS) * sizeof(seg);

	if (req->out_len == 0 || req->out_len > max || req->out_len % sizeof(seg) != 0)
		return -EINVAL;
	for (size_t at = 0; at < req->out_len; at += sizeof(seg)) {
		int r;

		if (iov_copy_out(req->out, req->n_out, at, &seg, sizeof(seg)) != sizeof(seg))
			return -EINVAL;
		r = clear_range(blk, zeroes, &seg);
		if (r < 0)
			return r;
	}
	return 0;
}

static int serve(struct blk *blk, const struct blk_req *req)
{
	switch (req->type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		return transfer(blk, req);
	case VIRTIO_BLK_T_FLUSH:
		return block_flush(blk->block);
	case VIRTIO_BLK_T_GET_ID:
		IGNORE_RESULT(
			!iov_copy_in(req->in, req->n_in, 0, blk->serial, sizeof(blk->serial)));
		return 0;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return clear_ranges(blk, req);
	default:
		return -EOPNOTSUPP;
	}
}

static ssize_t blk_serve(struct virtio_device *dev, struct virtq_chain *c)
{
	uint8_t status = VIRTIO_BLK_S_OK;
	struct blk_req req;
	ssize_t written = 1; /* the status */
	int r = parse(c, &req);

	if (r < 0)
		return r;
	r = serve((struct blk *)dev, &req);
	if (r < 0)
		status = r == -EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
	else if (req.type == VIRTIO_BLK_T_IN)
		written += (ssize_t)req.in_len;
	*(uint8_t *)req.status.iov_base = status;
	return written;
}

static int blk_handle_queue(struct virtio_device *dev, uint16_t qi)
{
	return virtio_serve(dev, qi, &((struct blk *)dev)->chain, blk_serve);
}

static void blk_config_read(struct virtio_device *dev, uint32_t offset, void *buf, uint32_t len)
{
	const struct blk *blk = (const struct blk *)dev;
	struct virtio_blk_config config = {
		.capacity = htole64(blk->block->size / BLOCK_SECTOR),
		.size_max = htole32(BLK_SIZE_MAX),
		.seg_max = htole32(BLK_SEG_MAX),
		.blk_size = htole32(BLOCK_SECTOR),
		.physical_block_exp = BLK_PHYSICAL_EXP,
		.min_io_size = htole16(1 << BLK_PHYSICAL_EXP),
		.opt_io_size = htole32(BLK_OPTIMAL_BYTES / BLOCK_SECTOR),
		.wce = 1,
		.num_queues = htole16(1),
		.max_discard_sectors = htole32(BLK_DISCARD_SECTORS),
		.max_discard_seg = htole32(BLK_DISCARD_SEGS),
		.discard_sector_alignment = htole32(1 << BLK_PHYSICAL_EXP),
		.max_write_zeroes_sectors = htole32(BLK_ZEROES_SECTORS),
		.max_write_zeroes_seg = htole32(BLK_ZEROES_SEGS),
		.write_zeroes_may_unmap = 1,
	};

	memcpy(buf, (const char *)&config + offset, len);
}

static void blk_reset(struct virtio_device *dev)
{
	/* Requests are answered within handle_queue(): nothing is in flight. */
}

static void blk_free(struct virtio_device *dev)
{
	struct blk *blk = (struct blk *)dev;

	block_free(blk->block);
	free(blk);
}

#define BLK_FEATURES                                                                               \
	(BIT(VIRTIO_BLK_F_SIZE_MAX) | BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_BLK_SIZE) |     \
	 BIT(VIRTIO_BLK_F_TOPOLOGY) | BIT(VIRTIO_BLK_F_FLUSH))

#define BLK_OPS(more_features)                                                                     \
	{                                                                                          \
		.name = "blk", .id = VIRTIO_ID_BLOCK, .n_queues = 1, .queue_size = BLK_QUEUE_SIZE, \
		.features = BLK_FEATURES | (more_features),                                        \
		.config_size = sizeof(struct virtio_blk_config), .config_read = blk_config_read,   \
		.handle_queue = blk_handle_queue, .reset = blk_reset, .free = blk_free,            \
	}

static const struct virtio_ops blk_ops =
	BLK_OPS(BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES));
static const struct virtio_ops blk_ro_ops = BLK_OPS(BIT(VIRTIO_BLK_F_RO));

struct virtio_device *blk_new(struct block *block, const char *serial)
{
	struct blk *blk = calloc(1, sizeof(*blk));

	if (!blk)
		return NULL;
	blk->dev.ops = block->read_only ? &blk_ro_ops : &blk_ops;
	blk->block = block;
	memcpy(blk->serial, serial, strnlen(serial, sizeof(blk->serial)));
	return &blk->dev;
}
