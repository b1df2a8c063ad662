/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/internal.h"

void put_time(struct json_out *o, const char *key, uint64_t ns)
{
	time_t s = (time_t)(ns / NS_PER_S);
	char text[32] = "";
	struct tm tm;

	if (ns && gmtime_r(&s, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) > 0)
		json_put_str(o, key, text);
	else
		json_put_null(o, key);
}

void list_begin(struct buf *b, struct json_out *o)
{
	buf_init(b, LIST_MAX);
	json_out_init(o, b);
	json_put_array(o, NULL);
}

int list_end(struct buf *b, struct json_out *o, char **ret_json, struct err *err)
{
	json_put_end(o);
	if (json_out_end(o) < 0)
		return err_no_memory(err);
	return take_json(b, ret_json, err);
}
