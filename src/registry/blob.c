/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "registry/fail.h"
#include "registry/fetch.h"

struct blob {
	struct fetch fetch;
	uint64_t skip; /* bytes of this answer that are there already */
};

static int complain(struct blob *b, struct err *err, unsigned status, const char *why)
{
	(void)err_set(err, ERR_PROTOCOL, "%s of %llu bytes, asked from byte %llu: status %u, %s",
		      b->fetch.what, (unsigned long long)b->fetch.size,
		      (unsigned long long)b->fetch.done, status, why);
	return fail_protocol(err);
}

/*
 * 206 must begin where we asked; 200 begins at the front, so that what we have is skipped.
 * Whether that was the same is told by the digest of the whole.
 */
static int on_head(void *user, const struct http_head *head, struct err *err)
{
	struct blob *b = user;
	uint64_t rest = b->fetch.size;

	b->skip = 0;
	if (head->status == 206) {
		if (b->fetch.done == 0 || !head->has_range || head->first != b->fetch.done)
			return complain(b, err, 206, "which is another part of it");
		if (head->total != 0 && head->total != b->fetch.size)
			return complain(b, err, 206, "which says it has another size");
		rest -= b->fetch.done;
	} else if (head->status == 200) {
		b->skip = b->fetch.done;
	} else {
		return complain(b, err, head->status, "which means nothing here");
	}
	if (head->has_length && head->length != rest)
		return complain(b, err, head->status, "which has another length");
	return 0;
}

static int on_data(void *user, const uint8_t *data, size_t len, struct err *err)
{
	struct blob *b = user;
	const struct registry_sink *sink = b->fetch.watcher;
	int r;

	if (b->skip > 0) {
		size_t n = b->skip < len ? (size_t)b->skip : len;

		b->skip -= n;
		data += n;
		len -= n;
	}
	if (len == 0)
		return 0;
	if (len > b->fetch.size - b->fetch.done)
		return complain(b, err, 200, "which brings more");
	r = sink->data(sink->user, data, len, err);
	if (r < 0) {
		b->fetch.stopped = true;
		return r;
	}
	b->fetch.done += len;
	return 0;
}

int registry_blob(struct registry *r, const char *digest, uint64_t from, uint64_t size,
		  const struct registry_sink *sink, struct err *err)
{
	char what[sizeof("blob ") + 160], path[sizeof("blobs/") + 160];
	struct blob b = { .fetch = { .what = what,
				     .path = path,
				     .watcher = sink,
				     .done = from,
				     .size = size,
				     .sink = { &b, on_head, on_data } } };

	/* It becomes a part of an address, and stands in a document of the registry. */
	if (strlen(digest) > 160 || digest[strspn(digest, "abcdefghijklmnopqrstuvwxyz0123456789:")])
		return err_set(err, ERR_INVALID, "'%.170s' is no digest", digest);
	(void)snprintf(what, sizeof(what), "blob %s", digest);
	(void)snprintf(path, sizeof(path), "blobs/%s", digest);
	return from < size ? fetch(r, &b.fetch, err) : 0;
}
