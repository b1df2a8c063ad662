/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "json/json.h"

/* What was parsed can be written, and what was written can be parsed. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(buf_done) struct buf b = { 0 };
	AUTO(json_decref) json_t *value = NULL;
	AUTO(json_decref) json_t *again = NULL;
	struct json_out o;
	struct err err = ERR_INIT;

	buf_init(&b, 1 << 20);
	json_out_init(&o, &b);
	json_put_array(&o, NULL);
	json_put_strn(&o, NULL, data, size);
	if (json_parse("fuzz", data, size, 4096, &value, &err) == 0)
		json_put_value(&o, NULL, value);
	json_put_end(&o);
	if (json_out_end(&o) < 0)
		abort();
	if (json_parse("fuzz", b.data, b.len, 1 << 20, &again, &err) < 0 &&
	    !(value && strstr(err.msg, "levels"))) /* one level more than the limit */
		abort();
	return 0;
}
