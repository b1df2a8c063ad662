/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REGISTRY_DOCKER_CONFIG_H
#define REGISTRY_DOCKER_CONFIG_H

#include <stddef.h>

#include "registry/login.h"

/*
 * config.json of docker, auth.json of containers, and our own auth.json, which has the same
 * form: {"auths": {HOST: {"auth": BASE64, "identitytoken": ..., "registrytoken": ...}},
 * "credHelpers": {HOST: NAME}, "credsStore": NAME}.
 */
#define DOCKER_CONFIG_MAX (1024ul * 1024) /* bytes */

/* What a file says about one repository. All owned. */
struct docker_config {
	char *helper; /* for this host; NULL: none */
	char *store;  /* helper for all hosts; NULL: none */
	struct login login;
};
void docker_config_done(struct docker_config *c);
static inline void docker_config_done_auto(struct docker_config *c)
{
	docker_config_done(c);
}

/**
 * docker_config_find() - Look up a repository
 * @what:	The file, for messages
 * @data:	Overwritten after use
 * @repository:	Keys may end in the begin of its path, and the longest wins; NULL: the path of a
 *		key means nothing
 * @err:	INVALID: no such file, or a broken entry for this host
 */
MUST_CHECK int docker_config_find(const char *what, void *data, size_t len, const char *host,
				  const char *repository, struct docker_config *ret,
				  struct err *err);

/* One entry: a login if @helper is NULL; @host is NULL for a helper that serves all. */
typedef int (*docker_config_fn)(void *user, const char *host, const char *name, const char *helper);
/* All entries. A negative value of @fn ends it and is returned. */
MUST_CHECK int docker_config_list(const char *what, void *data, size_t len, docker_config_fn fn,
				  void *user, struct err *err);

#endif /* REGISTRY_DOCKER_CONFIG_H */
