/* SPDX-License-Identifier: Apache-2.0 */
#include "image/digest.h"

#include <assert.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/num.h"

struct digest {
	EVP_MD_CTX *ctx;
};

int digest_new(struct digest **ret)
{
	AUTO(digest_free) struct digest *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->ctx = EVP_MD_CTX_new();
	if (!d->ctx || EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) != 1)
		return -ENOMEM;
	*ret = TAKE_PTR(d);
	return 0;
}

void digest_free(struct digest *d)
{
	if (!d)
		return;
	EVP_MD_CTX_free(d->ctx);
	free(d);
}

void digest_add(struct digest *d, const void *data, size_t len)
{
	int ok = EVP_DigestUpdate(d->ctx, data, len);

	assert(ok == 1); /* fails for wrong use only */
}

void digest_end(struct digest *d, uint8_t out[SHA256_BYTES])
{
	int ok = EVP_DigestFinal_ex(d->ctx, out, NULL);

	assert(ok == 1);
}

void digest_of(const void *data, size_t len, uint8_t out[SHA256_BYTES])
{
	int ok = EVP_Digest(data, len, out, NULL, EVP_sha256(), NULL);

	assert(ok == 1);
}

void digest_text(const uint8_t sha[SHA256_BYTES], char out[DIGEST_TEXT_MAX])
{
	memcpy(out, "sha256:", sizeof("sha256:"));
	hex_encode(sha, SHA256_BYTES, out + 7);
}

int digest_check(const char *text, const void *data, size_t len)
{
	uint8_t want[EVP_MAX_MD_SIZE], found[EVP_MAX_MD_SIZE];
	bool is_512 = strncmp(text, "sha512:", 7) == 0;
	size_t n = is_512 ? 64 : SHA256_BYTES;
	int ok;

	if ((!is_512 && strncmp(text, "sha256:", 7) != 0) ||
	    hex_decode(text + 7, strlen(text + 7), want, n) < 0)
		return -EINVAL;
	ok = EVP_Digest(data, len, found, NULL, is_512 ? EVP_sha512() : EVP_sha256(), NULL);
	assert(ok == 1);
	return memcmp(want, found, n) == 0 ? 0 : -EINVAL;
}

int digest_parse(const char *text, uint8_t out[SHA256_BYTES])
{
	if (strncmp(text, "sha256:", 7) != 0)
		return -EINVAL;
	return hex_decode(text + 7, strlen(text + 7), out, SHA256_BYTES);
}
