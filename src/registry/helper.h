/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REGISTRY_HELPER_H
#define REGISTRY_HELPER_H

#include <stddef.h>
#include <stdint.h>

#include "base/cancel.h"
#include "registry/login.h"

#define HELPER_ANSWER_MAX (64ul * 1024) /* bytes */

/* A program docker-credential-NAME of the user, run in the user's environment. All borrowed. */
struct helper {
	const char *name; /* helper_name_valid() */
	const char *path; /* where programs are looked for; NULL: nowhere */
	uint64_t timeout_ms;
	struct cancel *cancel;
};

/* NAME is part of the name of a program. */
bool helper_name_valid(const char *name);

/**
 * helper_get() - Ask for the login of a host
 * @err:	Anything else: not installed, too slow, junk; the first line of what it says
 *
 * Return: 1, 0: it has none, negative.
 */
MUST_CHECK int helper_get(const struct helper *h, const char *host, struct login *ret,
			  struct err *err);

typedef int (*helper_fn)(void *user, const char *host, const char *name);
/* All that it has; a negative value of @fn ends it and is returned. */
MUST_CHECK int helper_list(const struct helper *h, helper_fn fn, void *user, struct err *err);

/* The answer to "get", {"Username", "Secret"}; @data is overwritten. Return as helper_get(). */
MUST_CHECK int helper_parse(const char *what, void *data, size_t len, struct login *ret,
			    struct err *err);

#endif /* REGISTRY_HELPER_H */
