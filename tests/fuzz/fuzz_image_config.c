/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte chooses the document, the rest is it. */
#include <stdint.h>

#include "image/docs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(docker_manifest_done) struct docker_manifest d = { 0 };
	AUTO(manifest_done) struct manifest m = { 0 };
	AUTO(config_done) struct config c = { 0 };
	AUTO(index_done) struct index x = { 0 };
	struct err err = ERR_INIT;
	enum media kind;

	if (size == 0)
		return 0;
	switch (data[0]) {
	case 'k':
		IGNORE_RESULT(doc_kind(data + 1, size - 1, &image_limits_default, "", &kind, &err));
		break;
	case 's':
		IGNORE_RESULT(doc_kind(data + 1, size - 1, &image_limits_default,
				       MEDIA_SCHEMA_1 "+prettyjws", &kind, &err));
		break;
	case 'c':
		IGNORE_RESULT(config_parse(data + 1, size - 1, &image_limits_default, &c, &err));
		break;
	case 'm':
		IGNORE_RESULT(manifest_parse(data + 1, size - 1, &image_limits_default, &m, &err));
		break;
	case 'i':
		IGNORE_RESULT(index_parse(data + 1, size - 1, &image_limits_default, &x, &err));
		break;
	default:
		IGNORE_RESULT(
			docker_manifest_parse(data + 1, size - 1, &image_limits_default, &d, &err));
		break;
	}
	return 0;
}
