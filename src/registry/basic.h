/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REGISTRY_BASIC_H
#define REGISTRY_BASIC_H

#include "base/err.h"

/* base64 of "USER:PASSWORD" behind @prefix; secret_free(). 0 or -ENOMEM. */
MUST_CHECK int basic_pair(const char *prefix, const char *user, const char *password, char **ret);

/* "Basic ...", the value of an Authorization header. */
#define basic_header(user, password, ret) basic_pair("Basic ", user, password, ret)

#endif /* REGISTRY_BASIC_H */
