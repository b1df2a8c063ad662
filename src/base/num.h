/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/**
 * parse_u64() - The whole of @text as a decimal number
 * @max:	Largest value that is taken
 * Return: 0, -EINVAL (empty, a sign, any other character), -ERANGE.  *ret is set only on 0.
 */
MUST_CHECK int parse_u64(const char *text, uint64_t max, uint64_t *ret);

/* The same for text that has a length and no NUL, in base 8, 10 or 16. */
MUST_CHECK int parse_u64_n(const char *text, size_t len, unsigned base, uint64_t max,
			   uint64_t *ret);

/* @len lower-case hex digits of @data, and a NUL: @out has room for 2 * len + 1 bytes. */
void hex_encode(const void *data, size_t len, char *out);

/* Bytes of a hex text of exactly 2 * @len lower-case digits. Return: 0 or -EINVAL. */
MUST_CHECK int hex_decode(const char *text, size_t text_len, uint8_t *out, size_t len);

#endif /* BASE_NUM_H */
