/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_RING_H
#define AGENT_RING_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/*
 * The last bytes of an output, addressed by their offset since its start.  New bytes take the
 * place of the oldest.
 */
struct ring {
	uint8_t *data;	/* owned */
	size_t cap;	/* 0 or a power of two */
	uint64_t start; /* offset of the oldest byte that is kept */
	uint64_t end;	/* offset of the next byte; end - start is at most cap */
};

/* Hold @cap bytes from now on, the newest of them; 0 holds none. 0, -ENOMEM: as before. */
MUST_CHECK int ring_resize(struct ring *r, size_t cap);
void ring_done(struct ring *r);

/* Where at most *@len bytes may be written; *@len is made what fits in one piece. cap is not 0. */
void *ring_room(struct ring *r, size_t *len);
/* That many were written. */
void ring_grew(struct ring *r, size_t len);

/* Bytes from offset @from on, which is not before start; *ret_len: how many in one piece. */
const void *ring_at(const struct ring *r, uint64_t from, size_t *ret_len);

static inline size_t ring_kept(const struct ring *r)
{
	return (size_t)(r->end - r->start);
}

#endif /* AGENT_RING_H */
