/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/login.h"

#include <string.h>

bool login_plain(const char *text, size_t max)
{
	size_t n = 0;

	for (; text[n]; n++) {
		if ((unsigned char)text[n] < 0x20 || text[n] == 0x7f)
			return false;
	}
	return n <= max;
}

int login_set(struct login *l, const char *user, const char *secret)
{
	char **to = strcmp(user, "<token>") == 0 ? &l->identity_token : &l->password;
	char *name, *copy;

	if (!login_plain(user, LOGIN_USER_MAX) || !login_plain(secret, LOGIN_SECRET_MAX))
		return -EINVAL;
	name = strdup(user);
	copy = strdup(secret);
	if (!name || !copy) {
		free(name);
		secret_free(copy);
		return -ENOMEM;
	}
	free(l->user);
	secret_free(*to);
	l->user = name;
	*to = copy;
	return 0;
}
