/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_LOAD_V1_H
#define IMAGE_LOAD_V1_H

#include "image/archive.h"
#include "image/docs.h"

/**
 * v1_read() - What manifest.json would say in an archive of docker before 1.10
 * @repositories: Its document of that name
 * @ret:	The configs it names have become members of @a
 * @err:	INVALID, "limit-exceeded"
 */
MUST_CHECK int v1_read(struct archive *a, const struct member *repositories,
		       struct docker_manifest *ret, struct err *err);

#endif /* IMAGE_LOAD_V1_H */
