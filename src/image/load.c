/* SPDX-License-Identifier: Apache-2.0 */
#include "image/load.h"

#include <errno.h>
#include <string.h>

#include "base/cancel.h"
#include "image/open.h"

/*
 * DOC: load
 *
 * The archive is read first (archive.h); then its documents say what is in it (load_find.c).  All
 * images are checked and merged before anything of them gets a name in the store: layers first, the
 * manifest last.
 */
void loader_done(struct loader *l)
{
	for (size_t i = 0; i < l->n_found; i++) {
		buf_done(&l->found[i].manifest);
		free(l->found[i].layers);
		free(l->found[i].diff_ids);
		free(l->found[i].created);
		strings_free(l->found[i].names);
	}
	free(l->found);
	archive_done(&l->archive);
}

static int merge(struct loader *l, const struct found *f, struct err *err)
{
	AUTO_FREE struct layer_files *files = calloc(f->n_layers + 1, sizeof(*files));

	if (!files)
		return err_no_memory(err);
	for (size_t i = 0; i < f->n_layers; i++) {
		memcpy(files[i].data, f->layers[i]->layer.data_name, STORE_NAME_MAX);
		memcpy(files[i].tree, f->layers[i]->layer.tree_name, STORE_NAME_MAX);
	}
	return merged_make(l->run, f->diff_ids, files, f->n_layers, err);
}

static int store_image(struct loader *l, struct found *f, struct loaded_image *ret, struct err *err)
{
	uint8_t manifest[SHA256_BYTES], config[SHA256_BYTES];
	char text[DIGEST_TEXT_MAX];

	for (size_t i = 0; i < f->n_layers; i++) {
		if (layer_publish(l->run, &f->layers[i]->layer, err) < 0)
			return -err->code;
		ret->size += f->layers[i]->layer.size;
	}
	if (store_put_blob(l->run, f->config->doc.data, f->config->doc.len, config, err) < 0 ||
	    store_put_blob(l->run, f->manifest.data, f->manifest.len, manifest, err) < 0)
		return -err->code;
	digest_text(manifest, text);
	ret->manifest_digest = strdup(text);
	digest_text(config, text);
	ret->config_digest = strdup(text);
	ret->created = TAKE_PTR(f->created);
	ret->names = f->names ? TAKE_PTR(f->names) : calloc(1, sizeof(char *));
	ret->n_names = f->n_names;
	return ret->manifest_digest && ret->config_digest && ret->names ? 0 : err_no_memory(err);
}

void load_result_done(struct load_result *r)
{
	for (size_t i = 0; i < r->n_images; i++) {
		free(r->images[i].manifest_digest);
		free(r->images[i].config_digest);
		free(r->images[i].created);
		strings_free(r->images[i].names);
		strings_free(r->images[i].documents);
	}
	free(r->images);
	*r = (struct load_result){ 0 };
}

static int store_all(struct loader *l, struct load_result *r, struct err *err)
{
	for (size_t i = 0; i < l->n_found; i++) {
		if (merge(l, &l->found[i], err) < 0)
			return -err->code;
	}
	r->images = calloc(l->n_found + 1, sizeof(*r->images));
	if (!r->images)
		return err_no_memory(err);
	for (size_t i = 0; i < l->n_found; i++) {
		r->n_images = i + 1;
		if (store_image(l, &l->found[i], &r->images[i], err) < 0)
			return -err->code;
	}
	for (size_t i = 0; i < l->archive.n_members; i++) {
		if (l->archive.members[i]->kind == MEMBER_LAYER)
			r->n_warnings += l->archive.members[i]->layer.n_warnings;
	}
	return 0;
}

int image_load(struct store_run *run, int fd, const char *what, const struct load_options *options,
	       struct load_result *ret_result, struct err *err)
{
	AUTO(loader_done) struct loader l = { .run = run, .what = what };
	struct load_result r = { 0 };

	if (options)
		l.options = *options;
	if (platform_parse(NULL, &l.want, err) < 0 ||
	    archive_open(&l.archive, run, fd, what, err) < 0 || find_images(&l, err) < 0 ||
	    cancel_check(run->cancel, err) < 0)
		return -err->code;
	if (store_all(&l, &r, err) < 0) {
		load_result_done(&r);
		return -err->code;
	}
	*ret_result = r;
	return 0;
}
