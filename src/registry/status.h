/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REGISTRY_STATUS_H
#define REGISTRY_STATUS_H

#include "registry/endpoint.h"

/* An answer that is not 2xx as an error. @what: what was asked for. */
int status_tell(const struct http_answer *a, struct endpoint *e, const char *what, struct err *err);

#endif /* REGISTRY_STATUS_H */
