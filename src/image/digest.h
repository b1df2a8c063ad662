/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_DIGEST_H
#define IMAGE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/defer.h"
#include "base/err.h"

#define SHA256_BYTES	32
#define DIGEST_TEXT_MAX 72 /* "sha256:", 64 digits, NUL */

/* SHA-256 of bytes that come in pieces. */
struct digest;

MUST_CHECK int digest_new(struct digest **ret);
void digest_free(struct digest *d);
DEFINE_AUTO(struct digest *, digest_free);
void digest_add(struct digest *d, const void *data, size_t len);
/* Ends the computation; @d can only be freed then. */
void digest_end(struct digest *d, uint8_t out[SHA256_BYTES]);

void digest_of(const void *data, size_t len, uint8_t out[SHA256_BYTES]);

/* "sha256:HEX" */
/* Does the content have the digest that @text names, sha256 or sha512? 0, -EINVAL (no) */
MUST_CHECK int digest_check(const char *text, const void *data, size_t len);
void digest_text(const uint8_t sha[SHA256_BYTES], char out[DIGEST_TEXT_MAX]);
/* The reverse; -EINVAL for any other text. */
MUST_CHECK int digest_parse(const char *text, uint8_t out[SHA256_BYTES]);

#endif /* IMAGE_DIGEST_H */
