/* SPDX-License-Identifier: Apache-2.0 */
#include "image/limits.h"

#include <inttypes.h>
#include <stdio.h>

#include "image/image.h"

const struct image_limits image_limits_default = {
	.manifest_bytes = 4 * MIB,
	.config_bytes = 8 * MIB,
	.layers = 512,
	.layer_bytes = 256 * GIB,
	.file_bytes = 256 * GIB,
	.entries = 10000000,
};

const struct image_limits image_limits_max = {
	.manifest_bytes = 64 * MIB, /* held in memory, twice */
	.config_bytes = 64 * MIB,
	.layers = 4096, /* two descriptors each while they are merged */
	.layer_bytes = FILE_BYTES_MAX,
	.file_bytes = FILE_BYTES_MAX,
	.entries = EROFS_ENTRIES_MAX,
};

int limit_exceeded(struct err *err, const char *key, uint64_t found, uint64_t limit)
{
	char subject[64];

	(void)snprintf(subject, sizeof(subject), "images.limits.%s", key);
	err_set(err, ERR_INVALID,
		"limit-exceeded: %s is %" PRIu64 ", the limit is %" PRIu64
		"; if you trust the image, raise %s in config.json",
		key, found, limit, subject);
	(void)err_reason(err, "limit-exceeded");
	return err_detail(err, ERR_NR_IMAGE, subject);
}
