/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REGISTRY_CHALLENGE_H
#define REGISTRY_CHALLENGE_H

#include <stddef.h>

#define CHALLENGE_REALM_MAX   1024 /* bytes with the NUL; a URL */
#define CHALLENGE_SERVICE_MAX 256
#define CHALLENGE_SCHEME_MAX  32

/* What a server wants to know. A larger kind is preferred to a smaller one. */
enum challenge_kind {
	CHALLENGE_NONE,
	CHALLENGE_OTHER, /* nothing that we can do, see scheme */
	CHALLENGE_BASIC,
	CHALLENGE_BEARER, /* has a realm */
	CHALLENGE_KIND_MAX,
};

struct challenge {
	enum challenge_kind kind;
	char scheme[CHALLENGE_SCHEME_MAX];   /* as the server spells it, printable */
	char realm[CHALLENGE_REALM_MAX];     /* of Bearer: URL of the token server */
	char service[CHALLENGE_SERVICE_MAX]; /* of Bearer; may be "" */
};

/**
 * challenge_parse() - Read the value of a WWW-Authenticate header (RFC 9110, 11.6.1)
 * @c:	The best challenge so far; replaced if the header has a better one
 *
 * What is broken or too long for struct challenge counts as CHALLENGE_OTHER.
 */
void challenge_parse(struct challenge *c, const char *text, size_t len);

#endif /* REGISTRY_CHALLENGE_H */
