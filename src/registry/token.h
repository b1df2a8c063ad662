/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REGISTRY_TOKEN_H
#define REGISTRY_TOKEN_H

#include <stdint.h>

#include "registry/endpoint.h"
#include "registry/login.h"

/* What a token server gives. */
struct token {
	char *text;	 /* owned, secret_free(); visible ASCII */
	uint64_t life_s; /* how long it is good */
};

/**
 * token_fetch() - Get a token for pulling from an endpoint
 * @e:		Its challenge has the token server
 * @login:	NULL: as anybody
 * @plain:	The endpoint itself is spoken to without TLS
 * @a:		The last answer of the token server, for its status and whether to try again
 * @err:	registry-auth: the login is refused; registry-unreachable, registry-protocol
 *
 * Blocks.
 */
MUST_CHECK int token_fetch(const struct registry_options *options, struct http *http,
			   const struct endpoint *e, const struct login *login, bool plain,
			   struct http_answer *a, struct token *ret, struct err *err);

/* The document that a token server answers; @data is overwritten. */
MUST_CHECK int token_parse(const char *what, void *data, size_t len, struct token *ret,
			   struct err *err);

#endif /* REGISTRY_TOKEN_H */
