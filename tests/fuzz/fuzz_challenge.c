/* SPDX-License-Identifier: Apache-2.0 */
/* The input is lines of an HTTP header. What is taken keeps its promises. */
#include <assert.h>
#include <string.h>

#include "registry/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_head h = { 0 };
	struct challenge c = { 0 };
	const char *at = (const char *)data, *end = at + size;

	challenge_parse(&c, at, size);
	assert(strnlen(c.realm, sizeof(c.realm)) < sizeof(c.realm));
	assert(strnlen(c.service, sizeof(c.service)) < sizeof(c.service));
	assert(c.kind < CHALLENGE_KIND_MAX && (c.kind != CHALLENGE_BEARER || c.realm[0]));
	while (at < end) {
		const char *lf = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)((lf ? lf + 1 : end) - at);

		if (http_head_line(&h, at, len) < 0)
			break;
		at += len;
		assert(h.bytes <= HEAD_BYTES_MAX);
		assert(h.status == 0 || (h.status >= 100 && h.status <= 999));
		assert(strnlen(h.location, sizeof(h.location)) < sizeof(h.location));
		assert(strnlen(h.type, sizeof(h.type)) < sizeof(h.type));
		assert(!h.has_range || h.total == 0 || h.first < h.total);
	}
	return 0;
}
