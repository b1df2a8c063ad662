/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/fail.h"
#include "registry/fetch.h"

static int on_data(void *user, const uint8_t *data, size_t len, struct err *err)
{
	return 0; /* nobody says what it is */
}

int registry_login_check(const struct registry_options *options, const char *host, const char *user,
			 const char *secret, struct err *err)
{
	struct fetch f = {
		.what = "login", .path = "", .size = UINT64_MAX, .sink = { .data = on_data }
	};
	struct registry_options with = *options;
	AUTO(registry_close) struct registry *r = NULL;
	int res;

	with.user = user;
	with.secret = secret;
	res = registry_open(&with, host, "", &r, err);
	if (res < 0)
		return res;
	res = fetch_from(r, &r->endpoints[r->n_endpoints - 1], &f, err);
	if (res < 0 && err->number == ERR_NR_IMAGE_NOT_FOUND) {
		(void)err_set(err, ERR_PROTOCOL, "%s is no registry: it knows no /v2/", host);
		return fail_protocol(err);
	}
	return res;
}
