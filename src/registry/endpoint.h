/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REGISTRY_ENDPOINT_H
#define REGISTRY_ENDPOINT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "registry/auth.h"
#include "registry/http.h"

/* One place that has the repository: a mirror, or the registry itself. */
struct endpoint {
	char *name;	  /* "ghcr.io", "mirror.local:5000": for messages and credentials */
	char *repository; /* as it is called there */
	char *base[2];	  /* owned: "https://ghcr.io/v2"; then what to try if that is not reached */
	bool is_mirror;
	bool insecure;
	struct http_tls tls; /* borrows the following */
	struct buf ca;
	char *client_cert, *client_key;
	struct auth auth;
	/* Any thread. */
	atomic_uint base_known; /* 1 + index of the base that answers; 0: not known yet */
	atomic_bool gone;	/* a mirror that failed or lied */
};

/**
 * endpoint_init() - The place that @options know as @host
 * @mirror:	Base URL; NULL: the registry @host itself
 * @err:	INVALID: a broken URL; a file that cannot be read
 */
MUST_CHECK int endpoint_init(struct endpoint *e, const struct registry_options *options,
			     const struct http *http, const char *host, const char *mirror,
			     const char *repository, struct err *err);
void endpoint_done(struct endpoint *e);

/* The entry of config.json for a host, NULL if there is none. */
const struct registry_host *endpoint_config(const struct registry_options *options,
					    const char *host);

#endif /* REGISTRY_ENDPOINT_H */
