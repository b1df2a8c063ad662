/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/host_key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DOCKER_HUB "docker.io"

struct key {
	const char *host, *path; /* path without slashes around it */
	size_t host_len, path_len;
};

static bool ends(const struct key *k, const char *port)
{
	size_t n = strlen(port);

	return k->host_len > n && memcmp(k->host + k->host_len - n, port, n) == 0;
}

static bool is_version(const struct key *k)
{
	return k->path_len == 2 && (memcmp(k->path, "v1", 2) == 0 || memcmp(k->path, "v2", 2) == 0);
}

static struct key parse(const char *text)
{
	const char *start = text;
	bool http = strncasecmp(text, "http://", 7) == 0;
	bool https = strncasecmp(text, "https://", 8) == 0;
	struct key k;

	start += http ? 7 : https ? 8 : 0;
	k.host = start;
	k.host_len = strcspn(start, "/");
	k.path = start + k.host_len;
	k.path += strspn(k.path, "/");
	k.path_len = strlen(k.path);
	while (k.path_len > 0 && k.path[k.path_len - 1] == '/')
		k.path_len--;
	if (http || https || is_version(&k)) /* an address, not a name of a repository */
		k.path_len = 0;
	if (ends(&k, http ? ":80" : ":443"))
		k.host_len -= http ? 3 : 4;
	if ((k.host_len == 15 && strncasecmp(k.host, "index.docker.io", 15) == 0) ||
	    (k.host_len == 20 && strncasecmp(k.host, "registry-1.docker.io", 20) == 0)) {
		k.host = DOCKER_HUB;
		k.host_len = strlen(DOCKER_HUB);
	}
	return k;
}

size_t host_key_fits(const char *key, const char *host, const char *repository)
{
	struct key k = parse(key), h = parse(host);

	if (k.host_len == 0 || k.host_len != h.host_len ||
	    strncasecmp(k.host, h.host, k.host_len) != 0)
		return 0;
	if (!repository || k.path_len == 0)
		return 1;
	if (strncmp(k.path, repository, k.path_len) != 0 ||
	    (repository[k.path_len] != '/' && repository[k.path_len] != '\0'))
		return 0;
	return 1 + k.path_len;
}

char *host_key_clean(const char *key)
{
	struct key k = parse(key);
	char *text;
	int n;

	n = asprintf(&text, "%.*s%s%.*s", (int)k.host_len, k.host, k.path_len ? "/" : "",
		     (int)k.path_len, k.path);
	return n < 0 ? NULL : text;
}

const char *host_key_of_docker(const char *host)
{
	return strcmp(host, DOCKER_HUB) == 0 ? "https://index.docker.io/v1/" : host;
}
