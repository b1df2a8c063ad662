/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "runtime/internal.h"

/* ---- the list ------------------------------------------------------------------------------ */

struct layer_row {
	uint64_t size;
	bool shared;
	char digest[IMAGE_DIGEST_TEXT_MAX];
};

/* The layers of one image, a range of all layers. */
struct layer_range {
	char digest[IMAGE_DIGEST_TEXT_MAX]; /* of the image */
	size_t first, n;
};

struct layers {
	struct layer_row *rows; /* owned */
	size_t n, cap;
	struct layer_range *images; /* owned; in order of digests */
	size_t n_images, cap_images;
};

static void layers_done_auto(struct layers *l)
{
	free(l->rows);
	free(l->images);
}

/* Room for one more item of a growing array; -ENOMEM. */
static int make_room(void **items, size_t n, size_t *cap, size_t size)
{
	size_t more = *cap ? 2 * *cap : 64;
	void *p;

	if (n < *cap)
		return 0;
	p = reallocarray(*items, more, size);
	if (!p)
		return -ENOMEM;
	*items = p;
	*cap = more;
	return 0;
}

/* The range that a layer of that image goes to; NULL: out of memory. */
static struct layer_range *range_of(struct layers *l, const char *manifest_digest)
{
	struct layer_range *last;

	if (l->n_images > 0 && strcmp(l->images[l->n_images - 1].digest, manifest_digest) == 0)
		return &l->images[l->n_images - 1];
	if (make_room((void **)&l->images, l->n_images, &l->cap_images, sizeof(*l->images)) < 0)
		return NULL;
	last = &l->images[l->n_images++];
	*last = (struct layer_range){ .first = l->n };
	(void)snprintf(last->digest, sizeof(last->digest), "%s", manifest_digest);
	return last;
}

static int take_layer(void *user, const struct state_layer *row)
{
	struct layers *l = user;
	struct layer_range *range = range_of(l, row->manifest_digest);

	if (!range || make_room((void **)&l->rows, l->n, &l->cap, sizeof(*l->rows)) < 0)
		return -ENOMEM;
	l->rows[l->n] = (struct layer_row){ .size = row->size, .shared = row->shared };
	(void)snprintf(l->rows[l->n].digest, sizeof(l->rows[l->n].digest), "%s", row->digest);
	l->n++;
	range->n++;
	return 0;
}

static int by_digest(const void *key, const void *range)
{
	return strcmp(key, ((const struct layer_range *)range)->digest);
}

struct image_list {
	struct json_out *o;
	const struct layers *layers; /* NULL: they are not wanted */
};

static void put_layers(struct json_out *o, const struct layers *l, const char *manifest_digest)
{
	const struct layer_range *range = l->n_images
						  ? bsearch(manifest_digest, l->images, l->n_images,
							    sizeof(*l->images), by_digest)
						  : NULL;
	uint64_t shared = 0;

	json_put_array(o, "layers");
	for (size_t i = 0; range && i < range->n; i++) {
		const struct layer_row *row = &l->rows[range->first + i];

		json_put_str(o, NULL, row->digest);
		shared += row->shared ? row->size : 0;
	}
	json_put_end(o);
	json_put_u64(o, "shared_bytes", shared);
}

/* Full form, and "name", the short one. */
static void put_reference(struct json_out *o, const char *reference)
{
	AUTO_FREE char *brief = reference ? image_ref_short(reference) : NULL;

	json_put_str(o, "reference", reference);
	json_put_str(o, "name", brief);
}

static int put_image(void *user, const struct state_image *image)
{
	struct image_list *list = user;
	struct json_out *o = list->o;

	json_put_object(o, NULL);
	put_reference(o, image->reference);
	json_put_str(o, "digest", image->manifest_digest);
	json_put_str(o, "image_id", image->config_digest);
	json_put_str(o, "platform", image->platform);
	json_put_u64(o, "size_bytes", image->size);
	if (list->layers)
		put_layers(o, list->layers, image->manifest_digest);
	json_put_u64(o, "used_by", image->used_by);
	json_put_str(o, "created", image->created);
	put_time(o, "loaded_at", image->loaded_at);
	put_time(o, "used_at", image->used_at);
	json_put_end(o);
	return o->error;
}

int home_image_list(struct home *home, bool brief, char **ret_json, struct err *err)
{
	AUTO(buf_done) struct buf b = { 0 };
	AUTO(layers_done) struct layers layers = { 0 };
	struct json_out o;
	struct image_list list = { .o = &o, .layers = brief ? NULL : &layers };
	int r = 0;

	list_begin(&b, &o);
	if (!brief)
		r = state_layer_list(home->state, image_file_kind_name(IMAGE_LAYER), take_layer,
				     &layers, err);
	if (r == 0)
		r = state_image_list(home->state, put_image, &list, err);
	return r < 0 ? r : list_end(&b, &o, ret_json, err);
}

/* ---- one image ----------------------------------------------------------------------------- */

static int put_text(void *user, const char *text)
{
	struct json_out *o = user;

	json_put_str(o, NULL, text);
	return o->error;
}

static int put_layer(void *user, const struct state_file *f)
{
	struct json_out *o = user;

	if (strcmp(f->kind, image_file_kind_name(IMAGE_LAYER)) != 0)
		return 0;
	json_put_object(o, NULL);
	json_put_str(o, "digest", f->digest);
	json_put_u64(o, "size_bytes", f->size);
	json_put_u64(o, "disk_bytes", f->disk);
	json_put_end(o);
	return o->error;
}

static int put_document(struct json_out *o, const char *key, const struct buf *doc, struct err *err)
{
	AUTO(json_decref) json_t *value = NULL;

	/* It was parsed before it was stored, and again when it was read. */
	if (json_parse(key, doc->data, doc->len, doc->len, &value, err) < 0)
		return -(int)err->code;
	json_put_value(o, key, value);
	return 0;
}

static int put_documents(struct home *home, struct json_out *o, const char *digest, struct err *err)
{
	AUTO(store_run_close) struct store_run *run = NULL;
	AUTO(buf_done) struct buf manifest = { 0 };
	AUTO(buf_done) struct buf config = { 0 };
	int r = store_run_open(home->store, NULL, &run, err);

	if (r == 0)
		r = image_documents(run, digest, &manifest, &config, err);
	if (r == 0)
		r = put_document(o, "manifest", &manifest, err);
	if (r == 0)
		r = put_document(o, "config", &config, err);
	return r;
}

static int inspect_json(struct home *home, struct json_out *o, const struct state_image *row,
			struct err *err)
{
	const char *digest = row->manifest_digest;
	int r;

	json_put_object(o, NULL);
	json_put_str(o, "digest", digest);
	json_put_str(o, "image_id", row->config_digest);
	json_put_array(o, "references");
	r = state_image_refs(home->state, digest, put_text, o, err);
	json_put_end(o);
	json_put_str(o, "platform", row->platform);
	json_put_u64(o, "size_bytes", row->size);
	json_put_str(o, "created", row->created);
	put_time(o, "loaded_at", row->loaded_at);
	put_time(o, "used_at", row->used_at);
	json_put_str(o, "signature", "not-checked");
	json_put_array(o, "layers");
	if (r == 0)
		r = state_image_files(home->state, digest, put_layer, o, err);
	json_put_end(o);
	json_put_array(o, "sandboxes");
	if (r == 0)
		r = state_image_users(home->state, digest, put_text, o, err);
	json_put_end(o);
	if (r == 0)
		r = put_documents(home, o, digest, err);
	json_put_end(o);
	return r;
}

int home_image_inspect(struct home *home, const char *text, char **ret_json, struct err *err)
{
	AUTO(state_image_done) struct state_image row = { 0 };
	AUTO(buf_done) struct buf b = { 0 };
	struct json_out o;
	int r = home_image_find(home, text, &row, err);

	if (r < 0)
		return r;
	buf_init(&b, LIST_MAX);
	json_out_init(&o, &b);
	r = inspect_json(home, &o, &row, err);
	if (r < 0)
		return err->number ? r : err_detail(err, ERR_NR_IMAGE, text);
	return json_out_end(&o) < 0 ? err_no_memory(err) : take_json(&b, ret_json, err);
}
