/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "base/defer.h"
#include "runtime/exit_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE char *json = NULL;
	struct exit_record rec = { 0 };
	struct err err = ERR_INIT;

	if (exit_record_parse(data, size, NULL, &rec, &err) < 0)
		return 0;
	assert(exit_reason_status(rec.reason));
	json = exit_record_json(&rec);
	assert(json);
	return 0;
}
