/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_RING_H
#define IMAGE_RING_H

#include <stddef.h>
#include <stdint.h>

#include "base/defer.h"
#include "base/err.h"

/*
 * Bytes from one thread to another, in blocks that are handed over whole: one writer fills them,
 * one reader empties them, each waits for the other.  Blocks are allocated when first used.
 */
#define RING_BLOCKS	 4
#define RING_BLOCK_BYTES ((size_t)1 << 20)

struct ring;

/* -ENOMEM */
MUST_CHECK int ring_new(struct ring **ret_ring);
void ring_free(struct ring *r);
DEFINE_AUTO(struct ring *, ring_free);

/* Writer: a block of RING_BLOCK_BYTES to fill, until ring_put(). 0, -EPIPE (stopped), -ENOMEM */
MUST_CHECK int ring_room(struct ring *r, uint8_t **ret_block);
/* The first @len bytes of that block are filled. */
void ring_put(struct ring *r, size_t len);
/* No more come. */
void ring_end(struct ring *r);

/* Reader: the next block, until ring_drop(). 1, 0 (no more come), -EPIPE (stopped) */
MUST_CHECK int ring_get(struct ring *r, const uint8_t **ret_block, size_t *ret_len);
void ring_drop(struct ring *r);

/* Either side gives up: the other one does not wait any more. */
void ring_stop(struct ring *r);

#endif /* IMAGE_RING_H */
