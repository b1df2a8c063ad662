/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REGISTRY_SECRET_JSON_H
#define REGISTRY_SECRET_JSON_H

#include "json/json.h"
#include "registry/secret.h"

/* A JSON value whose strings are overwritten before jansson frees them. */
struct secret_json {
	json_t *value; /* owned; NULL: none */
};
void secret_json_done(struct secret_json *s);
static inline void secret_json_done_auto(struct secret_json *s)
{
	secret_json_done(s);
}

/* As json_parse(), but @data is overwritten. */
MUST_CHECK int secret_json_parse(struct secret_json *s, const char *what, void *data, size_t len,
				 size_t max_len, struct err *err);

#endif /* REGISTRY_SECRET_JSON_H */
