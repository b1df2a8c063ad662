/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and certificates of endpoints; libcurl parses addresses, nothing is sent. */
#include "tap.h"

#include <sys/stat.h>

#include "registry/curl.h"
#include "registry/endpoint.h"
#include "registry/retry.h"
#include "registry/trust.h"
#include "registry/url.h"
#include "remove_tree.h"

TEST(loopback)
{
	static const char *const yes[] = { "localhost",	   "LOCALHOST:5000", "127.0.0.1",
					   "127.1.2.3:80", "[::1]:5000",     "[::1]" };
	static const char *const no[] = {
		"localhost.evil.com", "128.0.0.1",	    "127.evil.com", "[::2]", "",
		"10.0.0.1",	      "[::ffff:127.0.0.1]", "127.0.0.1.x"
	};

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		ASSERT(host_is_loopback(yes[i]));
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		ASSERT(!host_is_loopback(no[i]));
}

TEST(addresses)
{
	static const struct {
		const char *name, *base, *text;
		int r;
		const char *origin, *shown;
	} cases[] = {
		{ "absolute", NULL, "https://A.io/b?c", 0, "https://a.io:443", "a.io" },
		{ "port", NULL, "http://a.io:80/", 0, "http://a.io:80", "a.io" },
		{ "own port", NULL, "http://a.io:81", 0, "http://a.io:81", "a.io:81" },
		{ "relative", "https://a.io:5/b/c", "../d", 0, "https://a.io:5", "a.io:5" },
		{ "other host", "https://a.io/b", "//b.io/d", 0, "https://b.io:443", "b.io" },
		{ "v6", NULL, "http://[::1]:5/", 0, "http://[::1]:5", "[::1]:5" },
		{ "relative to nothing", NULL, "/b", -EINVAL },
		{ "other scheme", "https://a.io/", "ftp://a.io/", -EINVAL },
		{ "file", NULL, "file:///etc/passwd", -EINVAL },
		{ "user", NULL, "https://u:p@a.io/", -EINVAL },
		{ "user by redirect", "https://a.io/", "//u@a.io/", -EINVAL },
		{ "blank in host", NULL, "https://a b/", -EINVAL },
	};
	struct curl curl;
	struct err err = ERR_INIT;

	ASSERT_EQ(curl_load(&curl, &err), 0);
	for_cases(c, cases) {
		AUTO(url_done) struct url u = { 0 };

		ASSERT_EQ(url_parse(&curl, c->base, c->text, &u), c->r);
		if (c->r == 0) {
			ASSERT_STR(u.origin, c->origin);
			ASSERT_STR(u.name, c->shown);
		}
	}
}

TEST(places)
{
	static const struct registry_host hosts[] = { { .host = "lab.io", .insecure = true },
						      { .host = "m.io:81", .insecure = true } };
	static const struct {
		const char *name, *host, *mirror;
		const char *shown, *repository, *first, *second;
	} cases[] = {
		{ "host", "ghcr.io", NULL, "ghcr.io", "a/b", "https://ghcr.io/v2", NULL },
		{ "hub", "docker.io", NULL, "docker.io", "a/b", "https://registry-1.docker.io/v2",
		  NULL },
		{ "loopback", "[::1]:5", NULL, "[::1]:5", "a/b", "https://[::1]:5/v2",
		  "http://[::1]:5/v2" },
		{ "insecure", "lab.io", NULL, "lab.io", "a/b", "https://lab.io/v2",
		  "http://lab.io/v2" },
		{ "mirror", "x.io", "https://m.io", "m.io", "a/b", "https://m.io/v2", NULL },
		{ "mirror without scheme", "x.io", "m.io:81/", "m.io:81", "a/b",
		  "https://m.io:81/v2", NULL },
		{ "mirror with path", "x.io", "http://m.io/hub/x/", "m.io", "hub/x/a/b",
		  "http://m.io/v2", NULL },
		{ "mirror with version", "x.io", "https://m.io/v2/hub", "m.io", "hub/a/b",
		  "https://m.io/v2", NULL },
		{ "mirror of version", "x.io", "https://m.io/v2/", "m.io", "a/b", "https://m.io/v2",
		  NULL },
		{ "mirror v2x", "x.io", "https://m.io/v2x", "m.io", "v2x/a/b", "https://m.io/v2",
		  NULL },
	};
	struct registry_options options = { .home_fd = -1, .hosts = hosts, .n_hosts = 2 };
	AUTO(http_free) struct http *http = NULL;
	struct err err = ERR_INIT;

	ASSERT_EQ(http_new(NULL, &registry_times, &http, &err), 0);
	for_cases(c, cases) {
		struct endpoint e = { 0 };

		ASSERT_EQ(endpoint_init(&e, &options, http, c->host, c->mirror, "a/b", &err), 0);
		ASSERT_STR(e.name, c->shown);
		ASSERT_STR(e.repository, c->repository);
		ASSERT_STR(e.base[0], c->first);
		ASSERT_STR(e.base[1] ? e.base[1] : "", c->second ? c->second : "");
		ASSERT_EQ(e.insecure, c->second != NULL || strcmp(c->shown, "m.io:81") == 0);
		ASSERT_EQ(e.tls.unverified, e.insecure);
		endpoint_done(&e);
	}
}

TEST(mirrors_that_are_no_address)
{
	static const char *const bad[] = { "ftp://m.io", "https://u:p@m.io", "https://m.io/?x",
					   "" };
	struct registry_options options = { .home_fd = -1 };
	AUTO(http_free) struct http *http = NULL;
	struct err err = ERR_INIT;

	ASSERT_EQ(http_new(NULL, &registry_times, &http, &err), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct endpoint e = { 0 };

		ASSERT(endpoint_init(&e, &options, http, "x.io", bad[i], "a/b", &err) < 0);
		ASSERT_EQ(err.code, ERR_INVALID);
		endpoint_done(&e);
	}
}

#define PEM "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"

static void put(const char *root, const char *name, const char *text)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
		*slash = '\0';
		ASSERT(mkdir(path, 0700) == 0 || errno == EEXIST);
	}
	f = fopen(path, "we");
	ASSERT(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

TEST(certs_d)
{
	char etc[] = "/tmp/test_endpoint.XXXXXX";
	struct registry_options options = { .home_fd = -1 };
	AUTO(http_free) struct http *http = NULL;
	struct endpoint e = { .name = strdup("r.io:5") };
	struct err err = ERR_INIT;
	char want[512];

	ASSERT(mkdtemp(etc));
	put(etc, "docker/certs.d/r.io:5/ca.crt", PEM);
	put(etc, "docker/certs.d/r.io:5/junk.crt", "junk");
	put(etc, "docker/certs.d/r.io:5/client.cert", PEM);
	put(etc, "docker/certs.d/r.io:5/client.key", "key");
	put(etc, "docker/certs.d/other.io/ca.crt", "OTHER" PEM);
	put(etc, "containers/certs.d/r.io:5/x.crt", "SECOND" PEM);
	ASSERT_EQ(http_new(NULL, &registry_times, &http, &err), 0);
	auth_init(&e.auth);
	ASSERT_EQ(trust_load(&e, &options, http, NULL, etc, &err), 0);
	ASSERT(e.tls.own_ca == &e.ca && e.ca.len > 2 * strlen(PEM));
	ASSERT(memmem(e.ca.data, e.ca.len, "SECOND", 6) &&
	       !memmem(e.ca.data, e.ca.len, "OTHER", 5));
	ASSERT(!memmem(e.ca.data, e.ca.len, "junk", 4));
	snprintf(want, sizeof(want), "%s/docker/certs.d/r.io:5/client.cert", etc);
	ASSERT_STR(e.tls.client_cert, want);
	snprintf(want, sizeof(want), "%s/docker/certs.d/r.io:5/client.key", etc);
	ASSERT_STR(e.tls.client_key, want);
	endpoint_done(&e);
	remove_tree(AT_FDCWD, etc);
}

TAP_MAIN()
