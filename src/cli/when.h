/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_WHEN_H
#define CLI_WHEN_H

#include <stdint.h>

#include "base/err.h"

/* Times in options and in output. */

#define WHEN_TEXT_MAX 40 /* bytes, with NUL */

/**
 * when_parse() - A time: so long ago ("10m", "1h30m"), or RFC 3339 ("2026-01-31T12:00:00Z", "+01:00")
 * @now_ns:	Wall clock, since the epoch
 * Return: 0, -EINVAL.
 */
MUST_CHECK int when_parse(const char *text, uint64_t now_ns, uint64_t *ret_ms);
/* RFC 3339 with milliseconds, in UTC. */
void when_print(uint64_t ns, char out[static WHEN_TEXT_MAX]);

#endif /* CLI_WHEN_H */
