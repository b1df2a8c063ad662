/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REGISTRY_HEAD_H
#define REGISTRY_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "registry/challenge.h"

#define HEAD_BYTES_MAX	  (64ul * 1024) /* of all lines of one answer */
#define HEAD_LOCATION_MAX 8192		/* bytes with the NUL; signed URLs have up to 4 KiB */
#define HEAD_TYPE_MAX	  128

/* The header of an answer, as far as it matters here. */
struct http_head {
	size_t bytes;		  /* seen so far */
	unsigned status;	  /* 0: none yet */
	char type[HEAD_TYPE_MAX]; /* Content-Type without parameters; "" if none */
	char location[HEAD_LOCATION_MAX];
	struct challenge challenge;
	bool has_length; /* Content-Length */
	uint64_t length;
	bool has_range;	       /* Content-Range: bytes first-last/total */
	uint64_t first, total; /* total 0: not told ("*") */
};

/**
 * http_head_line() - Take one line, with or without its line end
 * @h:	Zeroed before the first line.  A status line starts anew but for the count of bytes
 *
 * Return: 0, -E2BIG: HEAD_BYTES_MAX, -EPROTO: a field that matters is broken.
 */
MUST_CHECK int http_head_line(struct http_head *h, const char *line, size_t len);

#endif /* REGISTRY_HEAD_H */
