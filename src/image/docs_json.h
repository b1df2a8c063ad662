/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_DOCS_JSON_H
#define IMAGE_DOCS_JSON_H

#include "image/docs.h"
#include "json/json.h"

/* For config.c and manifest.c: values of a document. */

#define DOC_ITEMS_MAX 65536 /* of a list, before the limit that can be set is looked at */

/* An absent, null or empty text is NULL. */
MUST_CHECK int doc_text(const struct json_at *object, const char *key, char **ret, struct err *err);
/* A list of texts; absent and null are the empty list. */
MUST_CHECK int doc_list(const struct json_at *object, const char *key, char ***ret,
			struct err *err);
MUST_CHECK int doc_digest(const struct json_at *at, struct sha *ret, struct err *err);

/* TAKE_PTR() for a struct: moves it out of an AUTO variable, which is left empty. */
#define TAKE_STRUCT(s)                                                                             \
	({                                                                                         \
		__typeof__(s) *take_from_ = &(s);                                                  \
		__typeof__(s) take_val_ = *take_from_;                                             \
		*take_from_ = (__typeof__(s)){ 0 };                                                \
		take_val_;                                                                         \
	})

#endif /* IMAGE_DOCS_JSON_H */
