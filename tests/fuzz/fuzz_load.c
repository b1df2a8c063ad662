/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input is what was read of an archive: "dNAME\nDOCUMENT\0" and "lNAME\nANYTHING\0", documents
 * and layers.  Whatever the documents say, each image that is found is whole.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "image/load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add_member(struct archive *a, char kind, const char *name, const uint8_t *doc,
		       size_t len)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct err err = ERR_INIT;
	struct member *m;

	buf_init(&b, 1 << 20);
	if (buf_add(&b, doc, len) < 0 || archive_add_doc(a, name, &b, &err) < 0)
		return;
	m = a->members[a->n_members - 1];
	if (kind != 'l')
		return;
	m->kind = MEMBER_LAYER;
	memcpy(m->layer.diff_id, m->sha, SHA256_BYTES);
}

static void check(const struct loader *l)
{
	for (size_t i = 0; i < l->n_found; i++) {
		const struct found *f = &l->found[i];

		assert(f->config && f->manifest.len > 0);
		for (size_t k = 0; k < f->n_layers; k++)
			assert(memcmp(f->layers[k]->layer.diff_id, &f->diff_ids[k], SHA256_BYTES) ==
			       0);
		for (size_t k = 0; k < f->n_names; k++)
			assert(f->names[k]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct store store = { .dir_fd = -1, .limits = image_limits_default };
	struct store_run run = { .store = &store };
	struct loader l = { .run = &run, .what = "fuzz", .archive = { .run = &run, .dir_fd = -1 } };
	struct err err = ERR_INIT;

	if (platform_parse("linux/amd64", &l.want, &err) < 0)
		return 0;
	while (size > 1) {
		size_t len = strnlen((const char *)data + 1, size - 1);
		const uint8_t *line = memchr(data + 1, '\n', len);

		if (line && line > data + 1) {
			AUTO_FREE char *name =
				strndup((const char *)data + 1, (size_t)(line - data - 1));

			assert(name);
			add_member(&l.archive, (char)data[0], name, line + 1,
				   len - (size_t)(line - data));
		}
		data += len + 2 < size ? len + 2 : size;
		size -= len + 2 < size ? len + 2 : size;
	}
	if (find_images(&l, &err) == 0)
		check(&l);
	loader_done(&l);
	return 0;
}
