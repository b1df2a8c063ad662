/* SPDX-License-Identifier: Apache-2.0 */
#include "virtio/memory.h"

#include <stddef.h>

static void *at(const struct guest_region *r, gpa_t gpa, uint64_t len)
{
	uint64_t off, end;

	if (__builtin_sub_overflow(gpa, r->base, &off) || __builtin_add_overflow(off, len, &end) ||
	    end > r->size)
		return NULL;
	return r->host + off;
}

void *mem_at_hint(const struct guest_mem *mem, gpa_t gpa, uint64_t len, uint32_t *hint)
{
	if (*hint < mem->n_regions) {
		void *host = at(&mem->regions[*hint], gpa, len);

		if (host)
			return host;
	}
	for (uint32_t i = 0; i < mem->n_regions; i++) {
		void *host = at(&mem->regions[i], gpa, len);

		if (host) {
			*hint = i;
			return host;
		}
	}
	return NULL;
}

void *mem_at(const struct guest_mem *mem, gpa_t gpa, uint64_t len)
{
	uint32_t hint = 0;

	return mem_at_hint(mem, gpa, len, &hint);
}
