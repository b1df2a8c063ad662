/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: compression in blocks
 *
 * The input is cut into blocks of one size, which are compressed each for itself by a pool of
 * threads and written in order.  gzip: each block is a piece of one deflate stream, primed with
 * the 32 KiB before it and ended on a byte boundary by a sync flush; an empty last piece ends the
 * stream.  zstd: each block is a frame.
 */
#include "image/compress.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/work.h"
#include "image/limits.h"

#define BLOCK_BYTES (2 * MIB)
#define DICT_BYTES  (32 * KIB) /* window of deflate */
#define FLUSH_BYTES 16	       /* more than deflateBound() knows of: the sync flush */
#define THREADS_MAX 8u
#define GZIP_LEVEL  6 /* of zlib and gzip */
#define ZSTD_LEVEL  3 /* of zstd */

struct block {
	struct compress *c;
	uint8_t *in; /* owned; DICT_BYTES in front of BLOCK_BYTES */
	size_t dict; /* bytes of the first that count */
	size_t len;
	uint8_t *out; /* owned */
	size_t out_len;
	uint32_t crc;
	int error;
	bool done; /* under the lock */
};

struct compress {
	enum compress_kind kind;
	const struct compress_io *io; /* borrowed */
	struct work_pool *pool;
	struct block blocks[THREADS_MAX + 2]; /* a ring: one is filled and one written meanwhile */
	unsigned n_blocks, first, n_busy;
	size_t out_max;
	uint32_t crc;
	uint64_t total;
	pthread_mutex_t lock;
	pthread_cond_t done;
};

static unsigned usable_cpus(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return (unsigned)CPU_COUNT(&set);
}

static int deflate_block(struct block *b, size_t out_max)
{
	z_stream z = { 0 };
	int r;

	if (deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	if (b->dict > 0)
		(void)deflateSetDictionary(&z, b->in + DICT_BYTES - b->dict, (unsigned)b->dict);
	z.next_in = b->in + DICT_BYTES;
	z.avail_in = (unsigned)b->len;
	z.next_out = b->out;
	z.avail_out = (unsigned)out_max;
	r = deflate(&z, Z_SYNC_FLUSH);
	b->out_len = out_max - z.avail_out;
	/* A result that fills the room may not be all of it. */
	r = r == Z_OK && z.avail_in == 0 && z.avail_out > 0 ? 0 : -EOVERFLOW;
	(void)deflateEnd(&z);
	b->crc = (uint32_t)crc32(0, b->in + DICT_BYTES, (unsigned)b->len);
	return r;
}

static int zstd_block(struct block *b, size_t out_max)
{
	size_t n = ZSTD_compress(b->out, out_max, b->in + DICT_BYTES, b->len, ZSTD_LEVEL);

	if (ZSTD_isError(n))
		return -ENOMEM;
	b->out_len = n;
	return 0;
}

static void run_block(void *job)
{
	struct block *b = job;
	struct compress *c = b->c;
	int r = c->kind == COMPRESS_GZIP ? deflate_block(b, c->out_max) : zstd_block(b, c->out_max);

	(void)pthread_mutex_lock(&c->lock);
	b->error = r;
	b->done = true;
	(void)pthread_cond_signal(&c->done);
	(void)pthread_mutex_unlock(&c->lock);
}

static size_t out_bound(enum compress_kind kind)
{
	return kind == COMPRESS_GZIP ? compressBound(BLOCK_BYTES) + FLUSH_BYTES
				     : ZSTD_compressBound(BLOCK_BYTES);
}

static void compress_free(struct compress *c)
{
	if (!c)
		return;
	work_pool_free(c->pool); /* waits for what is under way */
	for (unsigned i = 0; i < c->n_blocks; i++) {
		free(c->blocks[i].in);
		free(c->blocks[i].out);
	}
	(void)pthread_cond_destroy(&c->done);
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}
DEFINE_AUTO(struct compress *, compress_free);

static int compress_new(enum compress_kind kind, unsigned threads, struct compress **ret)
{
	AUTO(compress_free) struct compress *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	(void)pthread_mutex_init(&c->lock, NULL);
	(void)pthread_cond_init(&c->done, NULL);
	if (threads == 0)
		threads = usable_cpus();
	if (threads > THREADS_MAX)
		threads = THREADS_MAX;
	c->kind = kind;
	c->out_max = out_bound(kind);
	c->n_blocks = threads + 2;
	for (unsigned i = 0; i < c->n_blocks; i++) {
		c->blocks[i].c = c;
		c->blocks[i].in = malloc(DICT_BYTES + BLOCK_BYTES);
		c->blocks[i].out = malloc(c->out_max);
		if (!c->blocks[i].in || !c->blocks[i].out)
			return -ENOMEM;
	}
	r = work_pool_new(NULL, threads, &c->pool);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(c);
	return 0;
}

/* Wait for the oldest block and write it. */
static int collect(struct compress *c, struct err *err)
{
	struct block *b = &c->blocks[c->first];

	(void)pthread_mutex_lock(&c->lock);
	while (!b->done)
		(void)pthread_cond_wait(&c->done, &c->lock);
	(void)pthread_mutex_unlock(&c->lock);
	c->first = (c->first + 1) % c->n_blocks;
	c->n_busy--;
	if (b->error < 0)
		return err_sys(err, -b->error, "compressing a layer");
	c->crc = (uint32_t)crc32_combine(c->crc, b->crc, (z_off_t)b->len);
	c->total += b->len;
	return c->io->write(c->io->user, b->out, b->out_len, err);
}

/* The next block. Return: 1, 0 at the end, negative with *err set. */
static int submit(struct compress *c, struct err *err)
{
	struct block *b = &c->blocks[(c->first + c->n_busy) % c->n_blocks];
	const struct block *before =
		&c->blocks[(c->first + c->n_busy - 1 + c->n_blocks) % c->n_blocks];
	ssize_t n = c->io->read(c->io->user, b->in + DICT_BYTES, BLOCK_BYTES, err);
	int r;

	if (n <= 0)
		return (int)n;
	b->len = (size_t)n;
	b->dict = 0;
	if (before->len == BLOCK_BYTES) {
		b->dict = DICT_BYTES;
		memcpy(b->in, before->in + BLOCK_BYTES, DICT_BYTES); /* its last bytes */
	}
	b->done = false;
	r = work_submit(c->pool, b, run_block, NULL);
	if (r < 0)
		return err_sys(err, -r, "compressing a layer");
	c->n_busy++;
	return 1;
}

static int write_head(struct compress *c, struct err *err)
{
	/* No name, no time, no flags; 255: made by an unknown system. */
	static const uint8_t head[] = { 0x1f, 0x8b, Z_DEFLATED, 0, 0, 0, 0, 0, 0, 255 };

	return c->io->write(c->io->user, head, sizeof(head), err);
}

static int write_tail(struct compress *c, struct err *err)
{
	/* An empty last block, CRC-32 and length modulo 2^32, both little-endian. */
	uint8_t tail[10] = { 3, 0 };

	for (unsigned i = 0; i < 4; i++) {
		tail[2 + i] = (uint8_t)(c->crc >> (8 * i));
		tail[6 + i] = (uint8_t)(c->total >> (8 * i));
	}
	return c->io->write(c->io->user, tail, sizeof(tail), err);
}

int compress_run(enum compress_kind kind, unsigned threads, const struct compress_io *io,
		 struct err *err)
{
	AUTO(compress_free) struct compress *c = NULL;
	int r = compress_new(kind, threads, &c);

	if (r < 0)
		return err_sys(err, -r, "starting to compress");
	c->io = io;
	if (kind == COMPRESS_GZIP && write_head(c, err) < 0)
		return -err->code;
	do {
		if (c->n_busy == c->n_blocks - 1 && collect(c, err) < 0)
			return -err->code;
		r = submit(c, err);
	} while (r > 0);
	while (r == 0 && c->n_busy > 0)
		r = collect(c, err);
	if (r < 0)
		return r;
	return kind == COMPRESS_GZIP ? write_tail(c, err) : 0;
}
