/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REGISTRY_FAIL_H
#define REGISTRY_FAIL_H

#include "base/err.h"

/* Each gives an error that is set its public number and stable word; returns -code. */
int fail_unreachable(struct err *err);
int fail_protocol(struct err *err);
int fail_limit(struct err *err);
int fail_auth(struct err *err);	     /* stage "auth" */
int fail_not_found(struct err *err); /* image-not-found */
int fail_cancelled(struct err *err); /* sets it, too */

/* Compilers look into no other file: see base/err.h. */
#define fail_unreachable(err) err_negative(fail_unreachable(err))
#define fail_protocol(err)    err_negative(fail_protocol(err))
#define fail_limit(err)	      err_negative(fail_limit(err))
#define fail_auth(err)	      err_negative(fail_auth(err))
#define fail_not_found(err)   err_negative(fail_not_found(err))
#define fail_cancelled(err)   err_negative(fail_cancelled(err))

#endif /* REGISTRY_FAIL_H */
