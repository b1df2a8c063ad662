/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* RFC 4648, section 4. Sizes without a NUL; neither function writes one. */
#define BASE64_ENCODED(len) (((len) + 2) / 3 * 4)
#define BASE64_DECODED(len) ((len) / 4 * 3 + 2)

/* BASE64_ENCODED(@len) bytes to @out. */
void base64_encode(const void *data, size_t len, char *out);

/**
 * base64_decode() - Bytes of a text; padding may be missing
 * @out:	Room for BASE64_DECODED(@len)
 * Return: 0 or -EINVAL.
 */
MUST_CHECK int base64_decode(const char *text, size_t len, uint8_t *out, size_t *ret_len);

#endif /* BASE_BASE64_H */
