/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REGISTRY_RETRY_H
#define REGISTRY_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "registry/registry.h"

#define RETRY_TRIES    5		    /* without progress */
#define RETRY_PROGRESS (1ull * 1024 * 1024) /* bytes that start the count anew */

/* The usual ones. */
extern const struct registry_times registry_times;

/* What is known between two tries; zeroed before the first. */
struct retry {
	unsigned failed; /* tries since the last progress */
	uint64_t mark;	 /* bytes that were there then */
};

/**
 * retry_next() - After a try that failed: how long to wait before the next
 * @done:	Bytes that have arrived so far
 * @after_s:	What the server asks for; -1: nothing
 * @random:	Spreads the clients of a server that came back
 *
 * Return: milliseconds, -1: give up.
 */
int64_t retry_next(struct retry *r, const struct registry_times *times, uint64_t done,
		   int64_t after_s, uint32_t random);

/* An answer that may be another one soon. */
bool retry_status(unsigned status);

#endif /* REGISTRY_RETRY_H */
