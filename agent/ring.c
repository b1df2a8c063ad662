/* SPDX-License-Identifier: Apache-2.0 */
#include "ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

int ring_resize(struct ring *r, size_t cap)
{
	struct ring n = { .cap = cap, .start = r->start, .end = r->end };

	n.data = cap ? malloc(cap) : NULL;
	if (cap && !n.data)
		return -ENOMEM;
	if (ring_kept(&n) > cap)
		n.start = n.end - cap;
	for (uint64_t at = n.start; at < n.end;) {
		size_t len;
		const void *p = ring_at(r, at, &len);
		size_t to = at & (cap - 1);

		len = min_size(len, cap - to);
		memcpy(n.data + to, p, len);
		at += len;
	}
	free(r->data);
	*r = n;
	return 0;
}

void ring_done(struct ring *r)
{
	free(r->data);
	*r = (struct ring){ .start = r->end, .end = r->end };
}

void *ring_room(struct ring *r, size_t *len)
{
	size_t to = r->end & (r->cap - 1);

	*len = min_size(*len, r->cap - to);
	return r->data + to;
}

void ring_grew(struct ring *r, size_t len)
{
	r->end += len;
	if (ring_kept(r) > r->cap)
		r->start = r->end - r->cap;
}

const void *ring_at(const struct ring *r, uint64_t from, size_t *ret_len)
{
	size_t at = r->cap ? from & (r->cap - 1) : 0;

	*ret_len = min_size((size_t)(r->end - from), r->cap - at);
	return r->data + at;
}
