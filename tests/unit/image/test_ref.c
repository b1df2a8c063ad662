/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <string.h>

#include "image/image.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HUB   "docker.io/library/"

static const struct {
	const char *name, *full, *shorter; /* full NULL: refused, shorter is in the message */
} cases[] = {
	{ "busybox", HUB "busybox:latest", "busybox:latest" },
	{ "busybox:latest", HUB "busybox:latest", "busybox:latest" },
	{ "library/busybox", HUB "busybox:latest", "busybox:latest" },
	{ "docker.io/busybox", HUB "busybox:latest", "busybox:latest" },
	{ "docker.io/library/busybox", HUB "busybox:latest", "busybox:latest" },
	{ "index.docker.io/busybox", HUB "busybox:latest", "busybox:latest" },
	{ "index.docker.io/library/busybox:latest", HUB "busybox:latest", "busybox:latest" },
	{ "registry-1.docker.io/busybox", HUB "busybox:latest", "busybox:latest" },
	{ "python:3.12", HUB "python:3.12", "python:3.12" },
	{ "grafana/grafana", "docker.io/grafana/grafana:latest", "grafana/grafana:latest" },
	{ "a/b/c:1", "docker.io/a/b/c:1", "a/b/c:1" },
	{ "ghcr.io/a/b", "ghcr.io/a/b:latest", "ghcr.io/a/b:latest" },
	{ "ghcr.io/a", "ghcr.io/a:latest", "ghcr.io/a:latest" },
	{ "localhost/a", "localhost/a:latest", "localhost/a:latest" },
	{ "localhost:5000/a:x", "localhost:5000/a:x", "localhost:5000/a:x" },
	{ "host:5000/a", "host:5000/a:latest", "host:5000/a:latest" },
	{ "[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest" },
	{ "[fe80::1]/a", "[fe80::1]/a:latest", "[fe80::1]/a:latest" },
	{ "localhost", HUB "localhost:latest", "localhost:latest" },
	{ "docker.io/4.io/x", "docker.io/4.io/x:latest", "docker.io/4.io/x:latest" },
	{ "library/x/y", HUB "x/y:latest", "library/x/y:latest" },
	{ "library/4.io/x", HUB "4.io/x:latest", "library/4.io/x:latest" },
	{ "a.b", HUB "a.b:latest", "a.b:latest" },
	{ "a_b", HUB "a_b:latest", "a_b:latest" },
	{ "a__b", HUB "a__b:latest", "a__b:latest" },
	{ "a---b", HUB "a---b:latest", "a---b:latest" },
	{ "a:A_b.c-d", HUB "a:A_b.c-d", "a:A_b.c-d" },
	{ "a@sha256:" HEX64, HUB "a@sha256:" HEX64, "a@sha256:" HEX64 },
	{ "a:1@sha256:" HEX64, HUB "a:1@sha256:" HEX64, "a:1@sha256:" HEX64 },
	{ "a@sha512:" HEX64 HEX64, HUB "a@sha512:" HEX64 HEX64, "a@sha512:" HEX64 HEX64 },
	{ "Busybox", NULL, "did you mean \"busybox\"" },
	{ "ghcr.io/Owner/App:V1", NULL, "did you mean \"ghcr.io/owner/app:V1\"" },
	{ "", NULL, "empty" },
	{ "a___b", NULL, "byte 4" },
	{ "a..b", NULL, "byte 3" },
	{ "-a", NULL, "byte 1" },
	{ "a-", NULL, "byte 2" },
	{ "a_", NULL, "byte 2" },
	{ "a/", NULL, "at its end" },
	{ "/a", NULL, "byte 1" },
	{ "a//b", NULL, "byte 3" },
	{ "a b", NULL, "byte 2" },
	{ "a:", NULL, "empty tag" },
	{ "a:.x", NULL, "byte 3" },
	{ "a:-x", NULL, "byte 3" },
	{ "a:x y", NULL, "byte 4" },
	{ "a@", NULL, "sha256" },
	{ "a@md5:00", NULL, "sha256" },
	{ "a@sha256:00", NULL, "digits" },
	{ "a@sha256:" HEX64 "0", NULL, "digits" },
	{ "a@sha256:" HEX64 HEX64, NULL, "digits" },
	{ "a@sha256:G", NULL, "hex" },
	{ "host:port/a", NULL, "port" },
	{ "host:/a", NULL, "port" },
	{ "-x.y/a", NULL, "host" },
	{ "x..y/a", NULL, "host" },
	{ "[::1/a", NULL, "IPv6" },
	{ "[]/a", NULL, "IPv6" },
	{ "a\x01", NULL, "0x01" },
	{ "caf\xc3\xa9", NULL, "0xc3" },
};

TEST(table)
{
	for_cases(c, cases) {
		char untouched[] = "untouched", *full = untouched;
		struct err err = ERR_INIT;
		int r = image_ref_parse(c->name, &full, &err);

		if (!c->full) {
			printf("# %s\n", err.msg);
			ASSERT(r < 0);
			ASSERT_EQ(err.code, ERR_INVALID);
			ASSERT(strstr(err.msg, c->shorter) != NULL);
			ASSERT(full == untouched);
			continue;
		}
		ASSERT_EQ(r, 0);
		ASSERT_STR(full, c->full);
		AUTO_FREE char *shorter = image_ref_short(full);
		ASSERT_STR(shorter, c->shorter);
		free(full);
	}
}

TEST(lengths)
{
	char text[400], *full = NULL;
	struct err err = ERR_INIT;

	memset(text, 'a', sizeof(text));
	text[255 - strlen(HUB)] = '\0';
	ASSERT_EQ(image_ref_parse(text, &full, &err), 0);
	free(full);
	text[255 - strlen(HUB)] = 'a';
	text[256 - strlen(HUB)] = '\0';
	ASSERT(image_ref_parse(text, &full, &err) < 0);
	memset(text, 'a', sizeof(text));
	text[1] = ':';
	text[2 + 128] = '\0';
	ASSERT_EQ(image_ref_parse(text, &full, &err), 0);
	free(full);
	text[2 + 128] = 'a';
	text[2 + 129] = '\0';
	ASSERT(image_ref_parse(text, &full, &err) < 0);
}

TAP_MAIN()
