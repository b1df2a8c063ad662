/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/fail.h"

#include <stdio.h>

#undef fail_unreachable
#undef fail_protocol
#undef fail_limit
#undef fail_auth
#undef fail_not_found
#undef fail_cancelled

static int mark(struct err *err, enum err_number number, const char *reason)
{
	IGNORE_RESULT(err_reason(err, reason)); /* returns the code, as the next line does */
	return err_detail(err, number, NULL);
}

int fail_unreachable(struct err *err)
{
	return mark(err, ERR_NR_UNREACHABLE, "registry-unreachable");
}

int fail_protocol(struct err *err)
{
	return mark(err, ERR_NR_PROTOCOL, "registry-protocol");
}

int fail_limit(struct err *err)
{
	return mark(err, ERR_NR_IMAGE, "limit-exceeded");
}

int fail_auth(struct err *err)
{
	(void)snprintf(err->stage, sizeof(err->stage), "auth");
	return mark(err, ERR_NR_REGISTRY_AUTH, "registry-auth");
}

int fail_not_found(struct err *err)
{
	return mark(err, ERR_NR_IMAGE_NOT_FOUND, "image-not-found");
}

int fail_cancelled(struct err *err)
{
	IGNORE_RESULT(err_set(err, ERR_CANCELLED, "cancelled")); /* the code, as below */
	return err_reason(err, "cancelled");
}
