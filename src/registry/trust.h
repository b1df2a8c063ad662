/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REGISTRY_TRUST_H
#define REGISTRY_TRUST_H

#include "registry/registry.h"

struct endpoint;

/**
 * trust_load() - Certificates for an endpoint, beside the system's
 * @config:	Its entry of config.json; may be NULL
 * @err:	A file that is named and cannot be read
 *
 * From the call, config.json, and certs.d/HOST of docker and of containers in /etc.
 */
MUST_CHECK int trust_load(struct endpoint *e, const struct registry_options *options,
			  const struct registry_host *config, struct err *err);

#endif /* REGISTRY_TRUST_H */
