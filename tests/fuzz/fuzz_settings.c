/* SPDX-License-Identifier: Apache-2.0 */
/* config.json */
#include <stdint.h>

#include "runtime/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(settings_done) struct settings s = { 0 };
	struct err err = ERR_INIT;

	IGNORE_RESULT(settings_parse("config.json", data, size, "/home/ann", &s, &err));
	return 0;
}
