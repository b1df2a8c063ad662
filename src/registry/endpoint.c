/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/endpoint.h"

#include <stdio.h>
#include <string.h>

#include "registry/fail.h"
#include "registry/trust.h"
#include "registry/url.h"

#define DOCKER_HUB	"docker.io"
#define DOCKER_HUB_HOST "registry-1.docker.io" /* where it really is */

const struct registry_host *endpoint_config(const struct registry_options *options,
					    const char *host)
{
	for (size_t i = 0; i < options->n_hosts; i++) {
		if (strcmp(options->hosts[i].host, host) == 0)
			return &options->hosts[i];
	}
	return NULL;
}

static char *print(const char *a, const char *b, const char *c)
{
	char *text;

	return asprintf(&text, "%s%s%s", a, b, c) < 0 ? NULL : text;
}

/* The registry itself; its name is what the user calls it. */
static int init_host(struct endpoint *e, const char *host, const char *repository, struct err *err)
{
	const char *at = strcmp(host, DOCKER_HUB) == 0 ? DOCKER_HUB_HOST : host;

	e->name = strdup(host);
	e->repository = strdup(repository);
	e->base[0] = print("https://", at, "/v2");
	if (e->insecure)
		e->base[1] = print("http://", at, "/v2");
	if (!e->name || !e->repository || !e->base[0] || (e->insecure && !e->base[1]))
		return err_no_memory(err);
	return 0;
}

/*
 * "https://mirror.local", "mirror.local:5000/v2/hub", "http://mirror.local/hub": what stands
 * behind the host and /v2 is put in front of the repository.
 */
static int init_mirror(struct endpoint *e, const struct http *http, const char *mirror,
		       const char *repository, struct err *err)
{
	AUTO_FREE char *text =
		strstr(mirror, "://") ? strdup(mirror) : print("https://", mirror, "");
	AUTO(url_done) struct url url = { 0 };
	char *start, *path, *end;
	int r;

	if (!text)
		return err_no_memory(err);
	r = url_parse(http_curl(http), NULL, text, &url);
	if (r == -ENOMEM)
		return err_no_memory(err);
	if (r < 0 || strpbrk(text, "?#"))
		return err_set(err, ERR_INVALID, "mirror '%s' is no http or https address", mirror);
	start = strstr(url.text, "://") + 3;
	path = start + strcspn(start, "/");
	for (end = path + strlen(path); end > path && end[-1] == '/'; end--)
		end[-1] = '\0';
	e->name = strndup(start, (size_t)(path - start));
	if (*path) {
		*path++ = '\0';
		if (strcmp(path, "v2") == 0)
			path += 2;
		else if (strncmp(path, "v2/", 3) == 0)
			path += 3;
	}
	e->repository = *path ? print(path, "/", repository) : strdup(repository);
	e->base[0] = print(url.text, "/v2", "");
	return e->name && e->repository && e->base[0] ? 0 : err_no_memory(err);
}

int endpoint_init(struct endpoint *e, const struct registry_options *options,
		  const struct http *http, const char *host, const char *mirror,
		  const char *repository, struct err *err)
{
	const struct registry_host *config;
	int r;

	auth_init(&e->auth);
	e->is_mirror = mirror != NULL;
	config = mirror ? NULL : endpoint_config(options, host);
	e->insecure = !mirror &&
		      (options->insecure || host_is_loopback(host) || (config && config->insecure));
	r = mirror ? init_mirror(e, http, mirror, repository, err)
		   : init_host(e, host, repository, err);
	if (r < 0)
		return r;
	if (mirror) {
		config = endpoint_config(options, e->name);
		e->insecure = host_is_loopback(e->name) || (config && config->insecure);
	}
	e->tls.unverified = e->insecure;
	return trust_load(e, options, http, config, "/etc", err);
}

void endpoint_done(struct endpoint *e)
{
	auth_done(&e->auth);
	free(e->name);
	free(e->repository);
	free(e->base[0]);
	free(e->base[1]);
	free(e->client_cert);
	free(e->client_key);
	buf_done(&e->ca);
}
