/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_INTERNAL_H
#define LIB_INTERNAL_H

#include <microsandbox.h>

#include "base/err.h"

/* The public error of an internal one; @out may be NULL.  Return: -code. */
int error_out(const struct err *err, struct msb_error *out);
/* The same for an argument that must not be NULL. */
int error_argument(const char *name, struct msb_error *out);

#endif /* LIB_INTERNAL_H */
