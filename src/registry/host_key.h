/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REGISTRY_HOST_KEY_H
#define REGISTRY_HOST_KEY_H

#include <stdbool.h>
#include <stddef.h>

/* Keys of credential files: "ghcr.io", "https://index.docker.io/v1/", "quay.io/team". */

/*
 * How well a key fits: 0 not at all, else one more than the bytes of its path.  Scheme, default
 * port and the other names of Docker Hub mean nothing.
 * @repository:	Its first components may stand in the key; NULL: the path of a key means nothing
 */
size_t host_key_fits(const char *key, const char *host, const char *repository);

/* The key as our own files and tables have it: owned, NULL out of memory. */
char *host_key_clean(const char *key);

/* What helpers and Docker's own tools call a host: the same, but for Docker Hub. Borrowed. */
const char *host_key_of_docker(const char *host);

#endif /* REGISTRY_HOST_KEY_H */
