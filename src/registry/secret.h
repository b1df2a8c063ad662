/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REGISTRY_SECRET_H
#define REGISTRY_SECRET_H

#include <string.h>

#include "base/buf.h"
#include "base/defer.h"

/* Strings and buffers that are overwritten before their memory goes back. */

static inline void secret_free(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}
DEFINE_AUTO(char *, secret_free);

/* Of a buffer that did not grow by steps: buf_add() leaves copies behind. */
static inline void secret_buf_done(struct buf *b)
{
	if (b->data)
		explicit_bzero(b->data, b->len);
	buf_done(b);
}
static inline void secret_buf_done_auto(struct buf *b)
{
	secret_buf_done(b);
}

#endif /* REGISTRY_SECRET_H */
