/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/status.h"

#include "registry/fail.h"
#include "registry/retry.h"

int status_tell(const struct http_answer *a, const char *name, const char *what, struct err *err)
{
	unsigned status = a->head.status;

	if (status == 404) {
		(void)err_set(err, ERR_NOT_FOUND, "%s: %s not found", name, what);
		return fail_not_found(err);
	}
	if (status == 401 || status == 403) {
		(void)err_set(err, ERR_DENIED, "%s: %s: not allowed", name, what);
		return fail_auth(err);
	}
	if (retry_status(status)) {
		(void)err_set(err, ERR_UNAVAILABLE, "%s: %s: status %u", name, what, status);
		return fail_unreachable(err);
	}
	(void)err_set(err, ERR_PROTOCOL, "%s: %s: status %u", name, what, status);
	return fail_protocol(err);
}
