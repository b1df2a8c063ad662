/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <string.h>

#include "image/arg.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* KIND_MAX: refused, and path is in the message. */
static const struct {
	const char *name;
	enum image_arg_kind kind;
	const char *path, *pick, *full;
} cases[] = {
	{ ".", IMAGE_ARG_LOCAL, ".", NULL, NULL },
	{ "..", IMAGE_ARG_LOCAL, "..", NULL, NULL },
	{ "/", IMAGE_ARG_LOCAL, "/", NULL, NULL },
	{ "/srv/root", IMAGE_ARG_LOCAL, "/srv/root", NULL, NULL },
	{ "./root", IMAGE_ARG_LOCAL, "./root", NULL, NULL },
	{ "../root", IMAGE_ARG_LOCAL, "../root", NULL, NULL },
	{ "~/root", IMAGE_ARG_LOCAL, "~/root", NULL, NULL },
	{ "./a:b", IMAGE_ARG_LOCAL, "./a:b", NULL, NULL },
	{ "/a@b", IMAGE_ARG_LOCAL, "/a@b", NULL, NULL },
	{ "./Image.tar", IMAGE_ARG_LOCAL, "./Image.tar", NULL, NULL },
	{ "../x/y.qcow2", IMAGE_ARG_LOCAL, "../x/y.qcow2", NULL, NULL },
	{ "~/", IMAGE_ARG_LOCAL, "~/", NULL, NULL },
	{ "./", IMAGE_ARG_LOCAL, "./", NULL, NULL },
	{ "/tmp/busybox:1", IMAGE_ARG_LOCAL, "/tmp/busybox:1", NULL, NULL },
	{ "./sha256:00", IMAGE_ARG_LOCAL, "./sha256:00", NULL, NULL },
	{ "vm.qcow2", IMAGE_ARG_LOCAL, "vm.qcow2", NULL, NULL },
	{ "vm.raw", IMAGE_ARG_LOCAL, "vm.raw", NULL, NULL },
	{ "vm.raw:1", IMAGE_ARG_REFERENCE, NULL, NULL, "docker.io/library/vm.raw:1" },
	{ "acme/vm.raw", IMAGE_ARG_REFERENCE, NULL, NULL, "docker.io/acme/vm.raw:latest" },
	{ ".raw", IMAGE_ARG_KIND_MAX, "byte 1", NULL, NULL },
	{ "oci:dir", IMAGE_ARG_LAYOUT, "dir", NULL, NULL },
	{ "oci:/srv/dir", IMAGE_ARG_LAYOUT, "/srv/dir", NULL, NULL },
	{ "oci:./dir:1.0", IMAGE_ARG_LAYOUT, "./dir", "1.0", NULL },
	{ "oci:~/dir:latest", IMAGE_ARG_LAYOUT, "~/dir", "latest", NULL },
	{ "oci:dir:docker.io/library/busybox:1", IMAGE_ARG_LAYOUT, "dir",
	  "docker.io/library/busybox:1", NULL },
	{ "oci:.", IMAGE_ARG_LAYOUT, ".", NULL, NULL },
	{ "docker-archive:a.tar", IMAGE_ARG_ARCHIVE, "a.tar", NULL, NULL },
	{ "docker-archive:/x/a.tar.gz", IMAGE_ARG_ARCHIVE, "/x/a.tar.gz", NULL, NULL },
	{ "docker-archive:a.tar:busybox:1.36", IMAGE_ARG_ARCHIVE, "a.tar", "busybox:1.36", NULL },
	{ "oci-archive:a.tar", IMAGE_ARG_ARCHIVE, "a.tar", NULL, NULL },
	{ "oci-archive:a.tar:v1", IMAGE_ARG_ARCHIVE, "a.tar", "v1", NULL },
	{ "oci-archive:../A B.tar", IMAGE_ARG_ARCHIVE, "../A B.tar", NULL, NULL },
	{ "sha256:" HEX64, IMAGE_ARG_DIGEST, NULL, NULL, "sha256:" HEX64 },
	{ "sha256:0123456789ab", IMAGE_ARG_DIGEST, NULL, NULL, "sha256:0123456789ab" },
	{ "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde",
	  IMAGE_ARG_DIGEST, NULL, NULL,
	  "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde" },
	{ "busybox", IMAGE_ARG_REFERENCE, NULL, NULL, "docker.io/library/busybox:latest" },
	{ "busybox:latest", IMAGE_ARG_REFERENCE, NULL, NULL, "docker.io/library/busybox:latest" },
	{ "library/busybox", IMAGE_ARG_REFERENCE, NULL, NULL, "docker.io/library/busybox:latest" },
	{ "library/busybox:latest", IMAGE_ARG_REFERENCE, NULL, NULL,
	  "docker.io/library/busybox:latest" },
	{ "docker.io/busybox", IMAGE_ARG_REFERENCE, NULL, NULL,
	  "docker.io/library/busybox:latest" },
	{ "docker.io/busybox:latest", IMAGE_ARG_REFERENCE, NULL, NULL,
	  "docker.io/library/busybox:latest" },
	{ "docker.io/library/busybox", IMAGE_ARG_REFERENCE, NULL, NULL,
	  "docker.io/library/busybox:latest" },
	{ "docker.io/library/busybox:latest", IMAGE_ARG_REFERENCE, NULL, NULL,
	  "docker.io/library/busybox:latest" },
	{ "index.docker.io/busybox", IMAGE_ARG_REFERENCE, NULL, NULL,
	  "docker.io/library/busybox:latest" },
	{ "index.docker.io/library/busybox:latest", IMAGE_ARG_REFERENCE, NULL, NULL,
	  "docker.io/library/busybox:latest" },
	{ "registry-1.docker.io/busybox", IMAGE_ARG_REFERENCE, NULL, NULL,
	  "docker.io/library/busybox:latest" },
	{ "registry-1.docker.io/library/busybox:latest", IMAGE_ARG_REFERENCE, NULL, NULL,
	  "docker.io/library/busybox:latest" },
	{ "python:3.12", IMAGE_ARG_REFERENCE, NULL, NULL, "docker.io/library/python:3.12" },
	{ "grafana/grafana", IMAGE_ARG_REFERENCE, NULL, NULL, "docker.io/grafana/grafana:latest" },
	{ "a/b/c/d:1", IMAGE_ARG_REFERENCE, NULL, NULL, "docker.io/a/b/c/d:1" },
	{ "ghcr.io/acme/tool:2", IMAGE_ARG_REFERENCE, NULL, NULL, "ghcr.io/acme/tool:2" },
	{ "localhost/a", IMAGE_ARG_REFERENCE, NULL, NULL, "localhost/a:latest" },
	{ "localhost:5000/a", IMAGE_ARG_REFERENCE, NULL, NULL, "localhost:5000/a:latest" },
	{ "[::1]:5000/a", IMAGE_ARG_REFERENCE, NULL, NULL, "[::1]:5000/a:latest" },
	{ "a.b", IMAGE_ARG_REFERENCE, NULL, NULL, "docker.io/library/a.b:latest" },
	{ "busybox@sha256:" HEX64, IMAGE_ARG_REFERENCE, NULL, NULL,
	  "docker.io/library/busybox@sha256:" HEX64 },
	{ "busybox:1@sha256:" HEX64, IMAGE_ARG_REFERENCE, NULL, NULL,
	  "docker.io/library/busybox:1@sha256:" HEX64 },
	{ "oci", IMAGE_ARG_REFERENCE, NULL, NULL, "docker.io/library/oci:latest" },
	{ "oci/dir", IMAGE_ARG_REFERENCE, NULL, NULL, "docker.io/oci/dir:latest" },
	{ "docker.io/oci:1", IMAGE_ARG_REFERENCE, NULL, NULL, "docker.io/library/oci:1" },
	{ "sha256", IMAGE_ARG_REFERENCE, NULL, NULL, "docker.io/library/sha256:latest" },
	{ "docker-archive", IMAGE_ARG_REFERENCE, NULL, NULL,
	  "docker.io/library/docker-archive:latest" },
	{ "image.tar", IMAGE_ARG_REFERENCE, NULL, NULL, "docker.io/library/image.tar:latest" },
	{ "a--b__c.d", IMAGE_ARG_REFERENCE, NULL, NULL, "docker.io/library/a--b__c.d:latest" },
	{ "", IMAGE_ARG_KIND_MAX, "empty", NULL, NULL },
	{ "Busybox", IMAGE_ARG_KIND_MAX, "image names are lower case; did you mean \"busybox\"?",
	  NULL, NULL },
	{ "docker.io/Library/Busybox:TAG", IMAGE_ARG_KIND_MAX,
	  "did you mean \"docker.io/library/busybox:TAG\"?", NULL, NULL },
	{ "~", IMAGE_ARG_KIND_MAX, "byte 1", NULL, NULL },
	{ "~root/x", IMAGE_ARG_KIND_MAX, "byte 1", NULL, NULL },
	{ "...", IMAGE_ARG_KIND_MAX, "byte 1", NULL, NULL },
	{ ".x", IMAGE_ARG_KIND_MAX, "byte 1", NULL, NULL },
	{ " busybox", IMAGE_ARG_KIND_MAX, "byte 1", NULL, NULL },
	{ "busybox ", IMAGE_ARG_KIND_MAX, "byte 8", NULL, NULL },
	{ "bus\tybox", IMAGE_ARG_KIND_MAX, "0x09", NULL, NULL },
	{ "busybox:", IMAGE_ARG_KIND_MAX, "empty tag", NULL, NULL },
	{ "busybox@", IMAGE_ARG_KIND_MAX, "sha256", NULL, NULL },
	{ "a//b", IMAGE_ARG_KIND_MAX, "byte 3", NULL, NULL },
	{ "http://x/y", IMAGE_ARG_KIND_MAX, "did you mean \"x/y\"?", NULL, NULL },
	{ "https://ghcr.io/a/b", IMAGE_ARG_KIND_MAX, "did you mean \"ghcr.io/a/b\"?", NULL, NULL },
	{ "oci:", IMAGE_ARG_KIND_MAX, "names no folder; write oci:DIR[:TAG]", NULL, NULL },
	{ "oci::x", IMAGE_ARG_KIND_MAX, "names no folder", NULL, NULL },
	{ "oci:dir:", IMAGE_ARG_KIND_MAX, "empty tag", NULL, NULL },
	{ "docker-archive:", IMAGE_ARG_KIND_MAX, "names no file; write docker-archive:FILE[:TAG]",
	  NULL, NULL },
	{ "oci-archive::1", IMAGE_ARG_KIND_MAX, "names no file", NULL, NULL },
	{ "sha256:", IMAGE_ARG_KIND_MAX, "has 0 digits", NULL, NULL },
	{ "sha256:0123456789a", IMAGE_ARG_KIND_MAX, "has 11 digits; write all 64, or the first 12",
	  NULL, NULL },
	{ "sha256:" HEX64 "0", IMAGE_ARG_KIND_MAX, "has 65 digits", NULL, NULL },
	{ "sha256:0123456789AB", IMAGE_ARG_KIND_MAX, "byte 18", NULL, NULL },
	{ "sha256:latest", IMAGE_ARG_KIND_MAX, "byte 8", NULL, NULL },
	{ "busybox@sha256:00", IMAGE_ARG_KIND_MAX, "digits", NULL, NULL },
};

static void same(const char *got, const char *want)
{
	if (!want || !got)
		ASSERT(got == want);
	else
		ASSERT_STR(got, want);
}

TEST(table)
{
	for_cases(c, cases) {
		struct image_arg a = { 0 };
		struct err err = ERR_INIT;
		int r = image_arg_parse(c->name, &a, &err);

		if (c->kind == IMAGE_ARG_KIND_MAX) {
			ASSERT(r < 0);
			printf("# %s\n", err.msg);
			ASSERT(strstr(err.msg, c->path) != NULL);
			ASSERT_STR(err.reason, "image-ref-invalid");
			continue;
		}
		ASSERT_EQ(r, 0);
		ASSERT_EQ(a.kind, c->kind);
		same(a.path, c->path);
		same(a.pick, c->pick);
		same(a.full, c->full);
		image_arg_done(&a);
	}
}

TAP_MAIN()
