/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_MEDIA_H
#define IMAGE_MEDIA_H

#include "base/err.h"

/* Media types of what an image is made of, OCI's and docker's. */
enum media { MEDIA_INDEX, MEDIA_MANIFEST, MEDIA_CONFIG, MEDIA_LAYER, MEDIA_OTHER };

#define MEDIA_SCHEMA_1 "application/vnd.docker.distribution.manifest.v1+json"

enum media media_of(const char *type);

/* INVALID, "media-type-unsupported", 901: names the type and what such things are. */
int media_unsupported(const char *type, struct err *err);

#endif /* IMAGE_MEDIA_H */
