/* SPDX-License-Identifier: Apache-2.0 */
/* The input is a reference.  A full form is its own full form. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "image/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE char *text = strndup((const char *)data, size);
	AUTO_FREE char *full = NULL;
	AUTO_FREE char *again = NULL;
	AUTO_FREE char *shorter = NULL;
	struct err err = ERR_INIT;

	assert(text);
	if (image_ref_parse(text, &full, &err) < 0)
		return 0;
	assert(image_ref_parse(full, &again, &err) == 0 && strcmp(full, again) == 0);
	shorter = image_ref_short(full);
	free(again);
	again = NULL;
	assert(shorter && image_ref_parse(shorter, &again, &err) == 0 && strcmp(full, again) == 0);
	return 0;
}
