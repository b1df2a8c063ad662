/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/registry.h"

#include <stdio.h>
#include <string.h>

#include "registry/fail.h"
#include "registry/fetch.h"

#define MAX_ENDPOINTS 16 /* as many as fetch.c remembers */

static int add_endpoint(struct registry *r, const char *mirror, const char *repository,
			struct err *err)
{
	struct endpoint *e = &r->endpoints[r->n_endpoints++]; /* half-built is fine for _done() */

	return endpoint_init(e, &r->options, r->http, r->host, mirror, repository, err);
}

static int add_endpoints(struct registry *r, const char *repository, struct err *err)
{
	const struct registry_host *config = endpoint_config(&r->options, r->host);
	char *const *mirrors = config ? config->mirrors : NULL;
	size_t n = 0;
	int res;

	while (mirrors && mirrors[n])
		n++;
	if (n >= MAX_ENDPOINTS)
		return err_set(err, ERR_INVALID, "registries.%s.mirrors: %zu, more than %d",
			       r->host, n, MAX_ENDPOINTS - 1);
	r->endpoints = calloc(n + 1, sizeof(*r->endpoints));
	if (!r->endpoints)
		return err_no_memory(err);
	for (size_t i = 0; i < n; i++) {
		res = add_endpoint(r, mirrors[i], repository, err);
		if (res < 0)
			return err_wrap(err, "registries.%s.mirrors", r->host);
	}
	return add_endpoint(r, NULL, repository, err);
}

int registry_open(const struct registry_options *options, const char *host, const char *repository,
		  struct registry **ret_registry, struct err *err)
{
	AUTO(registry_close) struct registry *r = calloc(1, sizeof(*r));
	int res;

	if (!r)
		return err_no_memory(err);
	if (strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]") !=
	    strlen(host))
		return err_set(err, ERR_INVALID, "'%s' is no registry", host);
	r->options = *options;
	r->times = options->times ? *options->times : registry_times;
	r->host = strdup(host);
	if (!r->host || pthread_key_create(&r->asked, NULL) != 0)
		return err_no_memory(err);
	r->has_asked = true;
	if ((res = http_new(options->cancel, &r->times, &r->http, err)) < 0 ||
	    (res = add_endpoints(r, repository, err)) < 0)
		return res;
	*ret_registry = TAKE_PTR(r);
	return 0;
}

void registry_close(struct registry *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_endpoints; i++)
		endpoint_done(&r->endpoints[i]);
	free(r->endpoints);
	http_free(r->http);
	if (r->has_asked)
		(void)pthread_key_delete(r->asked);
	free(r->host);
	free(r);
}
