/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REGISTRY_LOGIN_H
#define REGISTRY_LOGIN_H

#include <stdbool.h>

#include "base/err.h"
#include "registry/secret.h"

/* What opens a registry: one of user with password, identity token, bearer token. All owned. */
struct login {
	char *user;
	char *password;
	char *identity_token; /* a refresh token, to be exchanged */
	char *bearer_token;   /* as it is */
};

static inline void login_done(struct login *l)
{
	free(l->user);
	secret_free(l->password);
	secret_free(l->identity_token);
	secret_free(l->bearer_token);
	*l = (struct login){ 0 };
}
static inline void login_done_auto(struct login *l)
{
	login_done(l);
}

static inline bool login_present(const struct login *l)
{
	return l->password || l->identity_token || l->bearer_token;
}

#define LOGIN_USER_MAX	 4096	       /* bytes */
#define LOGIN_SECRET_MAX (64ul * 1024) /* bytes; a token may be long */

/* No control characters, and at most @max bytes: fit for a header. */
bool login_plain(const char *text, size_t max);

/*
 * Copies of @user and @secret; user "<token>" says that the secret is an identity token.
 * 0, -EINVAL: too long, or control characters in it; -ENOMEM.
 */
MUST_CHECK int login_set(struct login *l, const char *user, const char *secret);

#endif /* REGISTRY_LOGIN_H */
