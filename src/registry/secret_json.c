/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/secret_json.h"

#include <stdio.h>

static void wipe(json_t *value)
{
	const char *key;
	json_t *item;
	size_t i;

	if (json_is_string(value)) {
		explicit_bzero((void *)(uintptr_t)json_string_value(value),
			       json_string_length(value));
	} else if (json_is_object(value)) {
		json_object_foreach(value, key, item)
		{
			wipe(item);
		}
	} else {
		json_array_foreach(value, i, item)
		{
			wipe(item);
		}
	}
}

void secret_json_done(struct secret_json *s)
{
	wipe(s->value);
	json_decref(s->value);
	s->value = NULL;
}

int secret_json_parse(struct secret_json *s, const char *what, void *data, size_t len,
		      size_t max_len, struct err *err)
{
	int r = json_parse(what, data, len, max_len, &s->value, err);
	char *place, *end;

	if (len > 0)
		explicit_bzero(data, len);
	if (r == 0)
		return 0;
	/* What stands behind the place quotes the text, which may be a secret. */
	place = strstr(err->msg, ", column ");
	end = place ? strchr(place, ':') : NULL;
	if (end)
		(void)snprintf(end, sizeof(err->msg) - (size_t)(end - err->msg), ": no JSON");
	return r;
}
