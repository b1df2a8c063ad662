/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REGISTRY_TRUST_H
#define REGISTRY_TRUST_H

#include "registry/registry.h"

struct endpoint;
struct http;

/**
 * trust_load() - Certificates for an endpoint, beside the system's
 * @config:	Its entry of config.json; may be NULL
 * @etc:	"/etc": certs.d/HOST of docker and containers in it is read, too
 * @err:	A file that is named and cannot be used
 */
MUST_CHECK int trust_load(struct endpoint *e, const struct registry_options *options,
			  const struct http *http, const struct registry_host *config,
			  const char *etc, struct err *err);

#endif /* REGISTRY_TRUST_H */
