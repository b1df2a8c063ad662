/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "registry/fail.h"
#include "registry/fetch.h"

/* What a registry may have that we know how to name; also what we then refuse. */
#define ACCEPT                                                                                     \
	"application/vnd.oci.image.index.v1+json, "                                                \
	"application/vnd.oci.image.manifest.v1+json, "                                             \
	"application/vnd.docker.distribution.manifest.list.v2+json, "                              \
	"application/vnd.docker.distribution.manifest.v2+json, */*;q=0.1"

struct document {
	struct fetch fetch;
	struct buf body; /* owned */
	char *type;	 /* owned */
};

/* A new try begins anew. */
static int on_head(void *user, const struct http_head *head, struct err *err)
{
	struct document *d = user;

	buf_clear(&d->body);
	free(d->type);
	d->type = strdup(head->type);
	if (!d->type)
		return err_no_memory(err);
	if (head->status == 200)
		return 0;
	(void)err_set(err, ERR_PROTOCOL, "%s: an answer with status %u", d->fetch.what,
		      head->status);
	return fail_protocol(err);
}

static int on_data(void *user, const uint8_t *data, size_t len, struct err *err)
{
	struct document *d = user;
	int r = buf_add(&d->body, data, len);

	if (r == 0)
		return 0;
	if (r == -ENOMEM)
		return err_no_memory(err);
	(void)err_set(err, ERR_INVALID, "%s has more than %zu bytes", d->fetch.what, d->body.max);
	return fail_limit(err);
}

int registry_manifest(struct registry *r, const char *reference, size_t max, struct buf *ret_body,
		      char **ret_type, struct err *err)
{
	AUTO_FREE char *what = NULL;
	struct document d = {
		.fetch = { .accept = ACCEPT, .size = UINT64_MAX, .sink = { &d, on_head, on_data } }
	};
	int res;

	if (asprintf(&what, "manifest '%s'", reference) < 0) {
		what = NULL;
		return err_no_memory(err);
	}
	AUTO_FREE char *path = NULL;
	if (asprintf(&path, "manifests/%s", reference) < 0) {
		path = NULL;
		return err_no_memory(err);
	}
	d.fetch.what = what;
	d.fetch.path = path;
	buf_init(&d.body, max);
	res = fetch(r, &d.fetch, err);
	if (res < 0) {
		buf_done(&d.body);
		free(d.type);
		return res;
	}
	*ret_body = d.body;
	*ret_type = d.type;
	return 0;
}
