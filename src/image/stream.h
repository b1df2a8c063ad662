/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_STREAM_H
#define IMAGE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/defer.h"
#include "base/err.h"

/*
 * A stream that may be compressed: plain, gzip (several members), zstd (several frames).  What
 * it is shows in its first bytes.
 */
struct stream;

typedef int (*stream_fn)(void *user, const uint8_t *data, size_t len, struct err *err);

/**
 * stream_new() - Give what comes out to @out
 * @max:	More bytes than that are an error
 */
MUST_CHECK int stream_new(stream_fn out, void *user, uint64_t max, struct stream **ret);
void stream_free(struct stream *s);
DEFINE_AUTO(struct stream *, stream_free);

/* @err: INVALID (damaged, too long), or what @out said */
MUST_CHECK int stream_feed(struct stream *s, const uint8_t *data, size_t len, struct err *err);
MUST_CHECK int stream_finish(struct stream *s, struct err *err);
/* Known when the first bytes come out, as stream_is_known() says. */
bool stream_is_compressed(const struct stream *s);
bool stream_is_known(const struct stream *s);

#endif /* IMAGE_STREAM_H */
