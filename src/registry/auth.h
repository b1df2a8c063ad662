/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REGISTRY_AUTH_H
#define REGISTRY_AUTH_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "registry/challenge.h"
#include "registry/credentials.h"
#include "registry/login.h"

/*
 * What an endpoint is told of who asks.  Nothing, until it asks with a challenge; then a login is
 * looked up, once, and a token fetched if that is what it wants.  All threads share the result.
 */
struct auth {
	pthread_mutex_t lock;
	/* Under lock. */
	bool looked_up;
	struct login login;		 /* empty: none was found */
	char from[CREDENTIALS_FROM_MAX]; /* where it was; "": in the call, or nowhere */
	struct challenge challenge;	 /* the last one */
	char *header;			 /* owned, secret; NULL: none yet */
	uint64_t generation;		 /* counts headers */
	uint64_t expires_ns;		 /* CLOCK_MONOTONIC; UINT64_MAX: never */
};

struct registry;
struct endpoint;
struct http_answer;

void auth_init(struct auth *a);
void auth_done(struct auth *a);

/**
 * auth_header() - What to send with a request
 * @what:	What is asked for, for messages
 * @ret_header:	Value of Authorization, secret_free(); NULL: nothing
 * @a:		Told if a token that ended could not be fetched anew: whether to try again
 */
MUST_CHECK int auth_header(struct registry *r, struct endpoint *e, const char *what,
			   char **ret_header, uint64_t *ret_generation, struct http_answer *a,
			   struct err *err);

/**
 * auth_renew() - The endpoint answered 401
 * @a:		Its answer; replaced by that of the token server
 * @generation:	Of the header it got; if another thread has made a newer one, that is taken
 * @err:	registry-auth, image-not-found, and as http_fetch(), see @a
 */
MUST_CHECK int auth_renew(struct registry *r, struct endpoint *e, const char *what,
			  uint64_t generation, struct http_answer *a, struct err *err);

/* It refuses what we have: fill err with who, where from, and what to do. */
int auth_refused(struct endpoint *e, const char *what, struct err *err);

#endif /* REGISTRY_AUTH_H */
