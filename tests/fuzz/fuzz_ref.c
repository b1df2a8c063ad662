/* SPDX-License-Identifier: Apache-2.0 */
/* The input is an image argument.  The full form of a reference is its own full form. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "image/arg.h"
#include "image/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE char *text = strndup((const char *)data, size);
	AUTO_FREE char *full = NULL;
	AUTO_FREE char *again = NULL;
	AUTO_FREE char *shorter = NULL;
	AUTO(image_arg_done) struct image_arg arg = { 0 };
	struct err err = ERR_INIT;

	assert(text);
	if (image_arg_parse(text, &arg, &err) == 0)
		assert(arg.path || arg.full);
	err = ERR_INIT;
	if (image_ref_parse(text, &full, &err) < 0)
		return 0;
	assert(image_ref_parse(full, &again, &err) == 0 && strcmp(full, again) == 0);
	shorter = image_ref_short(full);
	free(again);
	again = NULL;
	assert(shorter && image_ref_parse(shorter, &again, &err) == 0 && strcmp(full, again) == 0);
	return 0;
}
