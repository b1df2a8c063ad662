/* SPDX-License-Identifier: Apache-2.0 */
#include <microsandbox.h>

#include "lib/internal.h"
#include "runtime/runtime.h"

int msb_registry_login(struct msb *m, const char *host, const char *user, const void *secret,
		       size_t len, const char *options, const struct msb_call *call,
		       struct msb_error *error)
{
	struct err err = ERR_INIT;
	struct waiting_call w;
	int r;

	if (!m || !host || !user || !secret)
		return error_argument(!m ? "m" : !host ? "host" : !user ? "user" : "secret", error);
	if (call_begin(call, &w, &err) < 0)
		return error_out(&err, error);
	r = home_registry_login(home_of(m), host, user, secret, len, options, &w.call, &err);
	return call_end(&w, r, &err, error);
}

int msb_registry_logout(struct msb *m, const char *host, struct msb_error *error)
{
	struct err err = ERR_INIT;

	if (!m || !host)
		return error_argument(m ? "host" : "m", error);
	return home_registry_logout(home_of(m), host, &err) < 0 ? error_out(&err, error) : 0;
}
