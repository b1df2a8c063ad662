/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/basic.h"

#include <errno.h>
#include <stdio.h>

#include "base/base64.h"
#include "registry/secret.h"

int basic_pair(const char *prefix, const char *user, const char *password, char **ret)
{
	AUTO(secret_free) char *plain = NULL;
	size_t len, start = strlen(prefix);
	char *text;

	if (asprintf(&plain, "%s:%s", user ? user : "", password) < 0) {
		plain = NULL;
		return -ENOMEM;
	}
	len = strlen(plain);
	text = calloc(1, start + BASE64_ENCODED(len) + 1);
	if (!text)
		return -ENOMEM;
	memcpy(text, prefix, start);
	base64_encode(plain, len, text + start);
	*ret = text;
	return 0;
}
