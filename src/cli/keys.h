/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_KEYS_H
#define CLI_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Keys that a user types to leave a terminal session, looked for in what is typed. */
#define KEYS_MAX     16
#define KEYS_DEFAULT "ctrl-]"

struct keys {
	uint8_t bytes[KEYS_MAX];
	size_t n;	/* 0: there are none */
	size_t matched; /* bytes that were typed and held back so far */
};

/* "ctrl-p,ctrl-q", "ctrl-]", "x"; "": none. 0 or -EINVAL. */
MUST_CHECK int keys_parse(const char *text, struct keys *ret);

/**
 * keys_filter() - Pass input on until the keys are in it
 * @out:	Room for @len + KEYS_MAX bytes; may not overlap @in
 * @ret_done:	The keys are complete; what comes behind them is dropped
 * Return: bytes in @out.  A beginning of the keys is held back until the next call.
 */
size_t keys_filter(struct keys *k, const uint8_t *in, size_t len, uint8_t *out, bool *ret_done);

#endif /* CLI_KEYS_H */
