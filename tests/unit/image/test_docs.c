/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <string.h>

#include "base/buf.h"
#include "image/docs.h"
#include "image/limits.h"

#define D1  "\"sha256:1111111111111111111111111111111111111111111111111111111111111111\""
#define OCI "application/vnd.oci.image."

static const struct image_limits small = {
	.manifest_bytes = 2000,
	.config_bytes = 1000,
	.layers = 2,
};

#define CONFIG_OF(type) "\"config\":{\"mediaType\":\"" type "\",\"digest\":" D1 ",\"size\":7}"
#define LAYER_OF(type)	"{\"mediaType\":\"" type "\",\"digest\":" D1 ",\"size\":9}"

TEST(manifests)
{
	static const struct {
		const char *name, *text;
		const char *reason, *message; /* NULL: good */
	} cases[] = {
		{ "oci",
		  "{\"schemaVersion\":2,\"mediaType\":\"" OCI
		  "manifest.v1+json\"," CONFIG_OF(OCI "config.v1+json") ",\"layers\":[" LAYER_OF(
			  OCI "layer.v1.tar+zstd") "]}",
		  NULL, NULL },
		{ "docker",
		  "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.docker.distribution.manifest"
		  ".v2+json\"," CONFIG_OF("application/vnd.docker.container.image.v1+json") ",\"layers\":[" LAYER_OF(
			  "application/vnd.docker.image.rootfs.diff.tar.gzip") "]}",
		  NULL, NULL },
		{ "no types", "{\"config\":{\"digest\":" D1 "},\"layers\":[{\"digest\":" D1 "}]}",
		  NULL, NULL },
		{ "schema 1", "{\"schemaVersion\":1,\"fsLayers\":[]}", "media-type-unsupported",
		  "schema 1" },
		{ "an index",
		  "{\"mediaType\":\"" OCI
		  "index.v1+json\"," CONFIG_OF(OCI "config.v1+json") ",\"layers\":[]}",
		  "media-type-unsupported", "index" },
		{ "helm",
		  "{" CONFIG_OF("application/vnd.cncf.helm.config.v1+json") ",\"layers\":[]}",
		  "media-type-unsupported", "a Helm chart" },
		{ "artifact", "{" CONFIG_OF("application/vnd.oci.empty.v1+json") ",\"layers\":[]}",
		  "media-type-unsupported", "artifact" },
		{ "encrypted",
		  "{" CONFIG_OF(OCI "config.v1+json") ",\"layers\":[" LAYER_OF(
			  OCI "layer.v1.tar+gzip+encrypted") "]}",
		  "media-type-unsupported", "encrypted layer" },
		{ "three layers",
		  "{\"config\":{\"digest\":" D1 "},\"layers\":[{\"digest\":" D1 "},{\"digest\":" D1
		  "},{\"digest\":" D1 "}]}",
		  "limit-exceeded", "images.limits.layers" },
		{ "no layers", "{\"config\":{\"digest\":" D1 "}}", "", "layers" },
		{ "a size below zero", "{\"config\":{\"digest\":" D1 ",\"size\":-1},\"layers\":[]}",
		  "", "size" },
		{ "a short digest", "{\"config\":{\"digest\":\"sha256:00\"},\"layers\":[]}", "",
		  "digest" },
	};

	for_cases(c, cases) {
		struct manifest m = { 0 };
		struct err err = ERR_INIT;
		int r = manifest_parse(c->text, strlen(c->text), &small, &m, &err);

		if (c->reason) {
			printf("# %s\n", err.msg);
			ASSERT(r < 0);
			ASSERT_EQ(err.code, ERR_INVALID);
			ASSERT_STR(err.reason, c->reason);
			ASSERT(strstr(err.msg, c->message) != NULL);
			ASSERT(m.layers == NULL);
			continue;
		}
		ASSERT_EQ(r, 0);
		ASSERT_EQ(m.n_layers, 1);
		ASSERT_EQ(m.layers[0].size, strstr(c->text, "size") ? 9 : SIZE_UNKNOWN);
		ASSERT_EQ(m.layers[0].digest.b[31], 0x11);
		manifest_done(&m);
	}
}

TEST(kinds_of_documents)
{
	static const struct {
		const char *name, *text, *type;
		enum media kind; /* MEDIA_OTHER: refused */
	} cases[] = {
		{ "own word", "{\"mediaType\":\"" OCI "index.v1+json\"}", OCI "manifest.v1+json",
		  MEDIA_INDEX },
		{ "header", "{}", OCI "index.v1+json", MEDIA_INDEX },
		{ "content of an index", "{\"manifests\":[]}", "application/json", MEDIA_INDEX },
		{ "content of a manifest", "{\"layers\":[]}", "application/octet-stream",
		  MEDIA_MANIFEST },
		{ "nobody says", "{\"layers\":[]}", "", MEDIA_MANIFEST },
		{ "both", "{\"layers\":[],\"manifests\":[]}", OCI "index.v1+json", MEDIA_OTHER },
		{ "a config", "{\"mediaType\":\"" OCI "config.v1+json\"}", "", MEDIA_OTHER },
		{ "signed schema 1", "{}",
		  "application/vnd.docker.distribution.manifest.v1+prettyjws", MEDIA_OTHER },
		{ "no object", "[]", OCI "index.v1+json", MEDIA_OTHER },
	};

	for_cases(c, cases) {
		enum media kind = MEDIA_OTHER;
		struct err err = ERR_INIT;
		int r = doc_kind(c->text, strlen(c->text), &small, c->type, &kind, &err);

		ASSERT_EQ(r == 0, c->kind != MEDIA_OTHER);
		if (r == 0)
			ASSERT_EQ(kind, c->kind);
		else
			ASSERT_EQ(err.code, ERR_INVALID);
	}
}

TEST(an_index_and_who_its_entries_are_for)
{
	static const char text[] =
		"{\"manifests\":["
		"{\"mediaType\":\"" OCI "manifest.v1+json\",\"digest\":" D1 ",\"size\":5,"
		"\"platform\":{\"os\":\"linux\",\"architecture\":\"arm\",\"variant\":\"v7\"}},"
		"{\"mediaType\":\"" OCI "index.v1+json\",\"digest\":" D1 "},"
		"{\"mediaType\":\"" OCI "manifest.v1+json\",\"digest\":" D1 ","
		"\"platform\":{\"os\":\"unknown\",\"architecture\":\"unknown\"}},"
		"{\"mediaType\":\"application/x.other\",\"digest\":" D1 "}]}";
	struct index x = { 0 };
	struct err err = ERR_INIT;

	ASSERT_EQ(index_parse(text, strlen(text), &small, &x, &err), 0);
	ASSERT_EQ(x.n_entries, 4);
	ASSERT_STR(x.entries[0].variant, "v7");
	ASSERT_EQ(x.entries[0].d.size, 5);
	ASSERT(!x.entries[0].skip && !x.entries[0].is_index);
	ASSERT(!x.entries[1].skip && x.entries[1].is_index);
	ASSERT(x.entries[2].skip && x.entries[3].skip);
	index_done(&x);
}

TEST(documents_that_are_too_long)
{
	static const char blank[3000] = { 0 };
	struct docker_manifest d = { 0 };
	struct manifest m = { 0 };
	struct config c = { 0 };
	struct index x = { 0 };
	struct err err = ERR_INIT;

	ASSERT(manifest_parse(blank, 2001, &small, &m, &err) < 0);
	ASSERT_STR(err.reason, "limit-exceeded");
	ASSERT_STR(err.subject, "images.limits.manifest_bytes");
	ASSERT(strstr(err.msg, "2001") != NULL && strstr(err.msg, "2000") != NULL);
	ASSERT_EQ(err.number, ERR_NR_IMAGE);
	err = ERR_INIT;
	ASSERT(index_parse(blank, 2001, &small, &x, &err) < 0);
	ASSERT_STR(err.reason, "limit-exceeded");
	err = ERR_INIT;
	ASSERT(docker_manifest_parse(blank, 2001, &small, &d, &err) < 0);
	ASSERT_STR(err.reason, "limit-exceeded");
	err = ERR_INIT;
	ASSERT(config_parse(blank, 1001, &small, &c, &err) < 0);
	ASSERT_STR(err.subject, "images.limits.config_bytes");
}

TEST(the_platform_of_a_config)
{
	static const char text[] =
		"{\"os\":\"linux\",\"architecture\":\"arm64\",\"variant\":\"v8\","
		"\"rootfs\":{\"diff_ids\":[" D1 "]}}";
	struct config c = { 0 };
	struct err err = ERR_INIT;

	ASSERT_EQ(config_parse(text, strlen(text), &small, &c, &err), 0);
	ASSERT_STR(c.os, "linux");
	ASSERT_STR(c.image.architecture, "arm64");
	ASSERT_STR(c.variant, "v8");
	ASSERT_EQ(c.n_diff_ids, 1);
	config_done(&c);
}

TAP_MAIN()
