/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REGISTRY_URL_H
#define REGISTRY_URL_H

#include <stdbool.h>

#include "base/err.h"

struct curl;

/* All owned by the caller; libcurl is the judge, as it is what uses them. */
struct url {
	char *text;   /* whole, normalised */
	char *host;   /* lower case, an IPv6 address in brackets */
	char *name;   /* host, and port if it is not the usual one: for messages and config */
	char *origin; /* "https://host:443": equal for what is the same server */
	bool tls;
};
void url_done(struct url *u);
static inline void url_done_auto(struct url *u)
{
	url_done(u);
}

/**
 * url_parse() - Read an absolute URL, or one relative to @base
 * @base:	NULL: @text must be absolute
 * Return: 0, -EINVAL: no URL, neither http nor https, or with a user name in it; -ENOMEM.
 */
MUST_CHECK int url_parse(const struct curl *curl, const char *base, const char *text,
			 struct url *ret);

/* A host ("localhost", "127.0.0.1:5000", "[::1]:80") that means this machine, whoever asks. */
bool host_is_loopback(const char *host);

#endif /* REGISTRY_URL_H */
