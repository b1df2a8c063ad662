/* SPDX-License-Identifier: Apache-2.0 */
#include "image/media.h"

#include <string.h>

#define OCI    "application/vnd.oci.image."
#define DOCKER "application/vnd.docker."

static const struct {
	const char *type;
	enum media media;
} known[] = {
	{ OCI "index.v1+json", MEDIA_INDEX },
	{ DOCKER "distribution.manifest.list.v2+json", MEDIA_INDEX },
	{ OCI "manifest.v1+json", MEDIA_MANIFEST },
	{ DOCKER "distribution.manifest.v2+json", MEDIA_MANIFEST },
	{ OCI "config.v1+json", MEDIA_CONFIG },
	{ DOCKER "container.image.v1+json", MEDIA_CONFIG },
	{ "application/octet-stream", MEDIA_CONFIG }, /* docker before 1.12 */
	{ OCI "layer.v1.tar", MEDIA_LAYER },
	{ OCI "layer.v1.tar+gzip", MEDIA_LAYER },
	{ OCI "layer.v1.tar+zstd", MEDIA_LAYER },
	{ OCI "layer.nondistributable.v1.tar", MEDIA_LAYER },
	{ OCI "layer.nondistributable.v1.tar+gzip", MEDIA_LAYER },
	{ OCI "layer.nondistributable.v1.tar+zstd", MEDIA_LAYER },
	{ DOCKER "image.rootfs.diff.tar", MEDIA_LAYER },
	{ DOCKER "image.rootfs.diff.tar.gzip", MEDIA_LAYER },
	{ DOCKER "image.rootfs.diff.tar.zstd", MEDIA_LAYER },
	{ DOCKER "image.rootfs.foreign.diff.tar.gzip", MEDIA_LAYER },
};

enum media media_of(const char *type)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(known[i].type, type) == 0)
			return known[i].media;
	}
	return MEDIA_OTHER;
}

/* What people meet most; the first that occurs in the type. */
static const struct {
	const char *part, *what;
} words[] = {
	{ "+encrypted", "an encrypted layer" },
	{ "distribution.manifest.v1+",
	  "a manifest of schema 1; push the image again with a newer tool" },
	{ "helm", "a Helm chart, not an image" },
	{ "buildkit.cacheconfig", "a build cache, not an image" },
	{ "docker.plugin", "a docker plugin, not an image" },
	{ "wasm", "a WebAssembly module, not an image" },
	{ "cosign", "a signature, not an image" },
	{ "in-toto", "an attestation, not an image" },
};

int media_unsupported(const char *type, struct err *err)
{
	const char *what = media_of(type) == MEDIA_OTHER ? "an artifact, not an image"
							 : "not what belongs here";

	for (size_t i = sizeof(words) / sizeof(words[0]); i-- > 0;) {
		if (strstr(type, words[i].part))
			what = words[i].what;
	}
	err_set(err, ERR_INVALID, "media-type-unsupported: \"%.150s\" is %s", type, what);
	(void)err_reason(err, "media-type-unsupported");
	return err_detail(err, ERR_NR_IMAGE, type);
}
