/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/trust.h"

#include "registry/endpoint.h"

int trust_load(struct endpoint *e, const struct registry_options *options,
	       const struct registry_host *config, struct err *err)
{
	return 0;
}
