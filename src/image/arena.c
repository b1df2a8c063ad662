/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "image/limits.h"
#include "image/tree.h"

#define ARENA_BYTES (256 * KIB) /* of one allocation */

struct arena_chunk {
	struct arena_chunk *next;
	size_t used, size;
	_Alignas(16) uint8_t data[];
};

void arena_done(struct arena *a)
{
	struct arena_chunk *c = a->chunks, *next;

	for (; c; c = next) {
		next = c->next;
		free(c);
	}
	a->chunks = NULL;
}

void *arena_get(struct arena *a, size_t len)
{
	struct arena_chunk *c = a->chunks;
	void *p;

	len = (len + 7) & ~(size_t)7;
	if (!c || c->size - c->used < len) {
		size_t size = len > ARENA_BYTES ? len : ARENA_BYTES;

		c = calloc(1, sizeof(*c) + size);
		if (!c)
			return NULL;
		c->size = size;
		c->next = a->chunks;
		a->chunks = c;
	}
	p = c->data + c->used;
	c->used += len;
	return p;
}
