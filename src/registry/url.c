/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/defer.h"
#include "registry/curl.h"

void url_done(struct url *u)
{
	free(u->text);
	free(u->host);
	free(u->name);
	free(u->origin);
	*u = (struct url){ 0 };
}

/* A part as a string of ours. */
static int part(const struct curl *curl, CURLU *handle, CURLUPart what, char **ret)
{
	char *text = NULL;

	if (curl->curl_url_get(handle, what, &text, CURLU_DEFAULT_PORT) != CURLUE_OK)
		return -EINVAL;
	*ret = strdup(text);
	curl->curl_free(text);
	return *ret ? 0 : -ENOMEM;
}

static void lower(char *text)
{
	for (; *text; text++)
		*text = (char)tolower((unsigned char)*text);
}

static int fill(const struct curl *curl, CURLU *handle, struct url *u)
{
	AUTO_FREE char *scheme = NULL;
	AUTO_FREE char *port = NULL;
	char *whole = NULL;
	const char *start;
	int r;

	if ((r = part(curl, handle, CURLUPART_SCHEME, &scheme)) < 0 ||
	    (r = part(curl, handle, CURLUPART_HOST, &u->host)) < 0 ||
	    (r = part(curl, handle, CURLUPART_PORT, &port)) < 0)
		return r;
	u->tls = strcmp(scheme, "https") == 0;
	if (!u->tls && strcmp(scheme, "http") != 0)
		return -EINVAL;
	lower(u->host);
	if (asprintf(&u->origin, "%s://%s:%s", scheme, u->host, port) < 0) {
		u->origin = NULL;
		return -ENOMEM;
	}
	if (curl->curl_url_get(handle, CURLUPART_URL, &whole, CURLU_NO_DEFAULT_PORT) != CURLUE_OK)
		return -EINVAL;
	u->text = strdup(whole);
	curl->curl_free(whole);
	if (!u->text)
		return -ENOMEM;
	start = strstr(u->text, "://") + 3;
	u->name = strndup(start, strcspn(start, "/?#"));
	if (!u->name)
		return -ENOMEM;
	lower(u->name);
	return 0;
}

int url_parse(const struct curl *curl, const char *base, const char *text, struct url *ret)
{
	CURLU *handle = curl->curl_url();
	AUTO(url_done) struct url u = { 0 };
	int r = -EINVAL;

	if (!handle)
		return -ENOMEM;
	if ((!base || curl->curl_url_set(handle, CURLUPART_URL, base, 0) == CURLUE_OK) &&
	    curl->curl_url_set(handle, CURLUPART_URL, text, CURLU_DISALLOW_USER) == CURLUE_OK)
		r = fill(curl, handle, &u);
	curl->curl_url_cleanup(handle);
	if (r < 0)
		return r;
	*ret = u;
	u = (struct url){ 0 };
	return 0;
}

bool host_is_loopback(const char *host)
{
	char name[64];
	bool v6 = host[0] == '[';
	size_t len = v6 ? strcspn(host + 1, "]") : strcspn(host, ":");
	struct in_addr a;

	if (len >= sizeof(name))
		return false;
	memcpy(name, host + v6, len);
	name[len] = '\0';
	if (v6)
		return strcmp(name, "::1") == 0;
	return strcasecmp(name, "localhost") == 0 ||
	       (inet_pton(AF_INET, name, &a) == 1 && ntohl(a.s_addr) >> 24 == IN_LOOPBACKNET);
}
