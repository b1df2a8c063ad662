/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "image/docs.h"
#include "image/docs_json.h"
#include "image/limits.h"

void manifest_done(struct manifest *m)
{
	free(m->layers);
	*m = (struct manifest){ 0 };
}

static int parse_descriptor(const struct json_at *at, struct descriptor *d, const char **ret_type,
			    struct err *err)
{
	struct json_at digest = json_member(at, "digest");

	d->size = SIZE_UNKNOWN;
	*ret_type = NULL;
	if (json_get_object(at, err) < 0 || doc_digest(&digest, &d->digest, err) < 0 ||
	    json_opt_u64(at, "size", 0, INT64_MAX, &d->size, err) < 0)
		return -err->code;
	return json_opt_str(at, "mediaType", ret_type, err);
}

static int parse_layers(const struct json_at *root, uint64_t max, struct manifest *m,
			struct err *err)
{
	struct json_at list = json_member(root, "layers");
	size_t n;

	if (json_get_array(&list, DOC_ITEMS_MAX, &n, err) < 0)
		return -err->code;
	if (n > max)
		return limit_exceeded(err, "layers", n, max);
	m->layers = calloc(n + 1, sizeof(*m->layers));
	if (!m->layers)
		return err_no_memory(err);
	m->n_layers = n;
	for (size_t i = 0; i < n; i++) {
		struct json_at item = json_item(&list, i);
		const char *type;

		if (parse_descriptor(&item, &m->layers[i], &type, err) < 0)
			return -err->code;
		if (type && media_of(type) != MEDIA_LAYER)
			return media_unsupported(type, err);
	}
	return 0;
}

/* What the document says it is. */
static int check_media(const struct json_at *root, enum media want, struct err *err)
{
	const char *type = NULL;
	uint64_t version = 2;

	if (json_opt_u64(root, "schemaVersion", 0, INT64_MAX, &version, err) < 0 ||
	    json_opt_str(root, "mediaType", &type, err) < 0)
		return -err->code;
	if (version == 1)
		return media_unsupported(type ? type : MEDIA_SCHEMA_1, err);
	if (type && media_of(type) != want)
		return media_unsupported(type, err);
	return 0;
}

int manifest_parse(const void *data, size_t len, const struct image_limits *limits,
		   struct manifest *ret, struct err *err)
{
	AUTO(json_decref) json_t *json = NULL;
	AUTO(manifest_done) struct manifest m = { 0 };
	struct json_at root, config;
	const char *type;

	if (len > limits->manifest_bytes)
		return limit_exceeded(err, "manifest_bytes", len, limits->manifest_bytes);
	if (json_parse("manifest", data, len, len, &json, err) < 0)
		return -err->code;
	root = json_root(json, "manifest");
	if (json_get_object(&root, err) < 0 || check_media(&root, MEDIA_MANIFEST, err) < 0)
		return -err->code;
	config = json_member(&root, "config");
	if (parse_descriptor(&config, &m.config, &type, err) < 0)
		return -err->code;
	if (type && media_of(type) != MEDIA_CONFIG)
		return media_unsupported(type, err);
	if (parse_layers(&root, limits->layers, &m, err) < 0)
		return -err->code;
	*ret = TAKE_STRUCT(m);
	return 0;
}

static int kind_of(const struct json_at *root, const char *type, enum media *ret, struct err *err)
{
	struct json_at layers = json_member(root, "layers");
	struct json_at manifests = json_member(root, "manifests");
	const char *own = NULL;

	if (json_opt_str(root, "mediaType", &own, err) < 0)
		return -err->code;
	if (json_present(&layers) && json_present(&manifests))
		return json_complain(root, err, "it is a manifest and an index at once");
	*ret = media_of(own ? own : type);
	if (*ret == MEDIA_MANIFEST || *ret == MEDIA_INDEX)
		return 0;
	if (own || strstr(type, ".manifest.v1+"))
		return media_unsupported(own ? own : type, err);
	*ret = json_present(&manifests) ? MEDIA_INDEX : MEDIA_MANIFEST;
	return 0;
}

int doc_kind(const void *data, size_t len, const struct image_limits *limits, const char *type,
	     enum media *ret, struct err *err)
{
	AUTO(json_decref) json_t *json = NULL;
	struct json_at root;

	if (len > limits->manifest_bytes)
		return limit_exceeded(err, "manifest_bytes", len, limits->manifest_bytes);
	if (json_parse("manifest", data, len, len, &json, err) < 0)
		return -err->code;
	root = json_root(json, "manifest");
	if (json_get_object(&root, err) < 0)
		return -err->code;
	return kind_of(&root, type, ret, err);
}

void index_done(struct index *x)
{
	for (size_t i = 0; i < x->n_entries; i++) {
		free(x->entries[i].os);
		free(x->entries[i].architecture);
		free(x->entries[i].variant);
		free(x->entries[i].name);
	}
	free(x->entries);
	*x = (struct index){ 0 };
}

static int parse_annotations(const struct json_at *item, struct index_entry *e, struct err *err)
{
	static const char *const keys[] = { "io.containerd.image.name",
					    "org.opencontainers.image.ref.name" };
	struct json_at notes = json_member(item, "annotations");
	const char *type = NULL;

	if (!json_present(&notes))
		return 0;
	if (json_get_object(&notes, err) < 0)
		return -err->code;
	for (size_t i = 0; i < 2 && !e->name; i++) {
		if (doc_text(&notes, keys[i], &e->name, err) < 0)
			return -err->code;
	}
	if (json_opt_str(&notes, "vnd.docker.reference.type", &type, err) < 0)
		return -err->code;
	e->skip |= type != NULL;
	return 0;
}

static int parse_entry(const struct json_at *item, struct index_entry *e, struct err *err)
{
	struct json_at platform = json_member(item, "platform");
	const char *type;

	if (parse_descriptor(item, &e->d, &type, err) < 0)
		return -err->code;
	e->is_index = type && media_of(type) == MEDIA_INDEX;
	if (json_present(&platform) &&
	    (json_get_object(&platform, err) < 0 || doc_text(&platform, "os", &e->os, err) < 0 ||
	     doc_text(&platform, "architecture", &e->architecture, err) < 0 ||
	     doc_text(&platform, "variant", &e->variant, err) < 0))
		return -err->code;
	/* Something else, or for nobody. */
	e->skip = (type && !e->is_index && media_of(type) != MEDIA_MANIFEST) ||
		  (e->architecture && strcmp(e->architecture, "unknown") == 0);
	return parse_annotations(item, e, err);
}

int index_parse(const void *data, size_t len, const struct image_limits *limits, struct index *ret,
		struct err *err)
{
	AUTO(json_decref) json_t *json = NULL;
	AUTO(index_done) struct index x = { 0 };
	struct json_at root, list;
	size_t n;

	if (len > limits->manifest_bytes)
		return limit_exceeded(err, "manifest_bytes", len, limits->manifest_bytes);
	if (json_parse("index", data, len, len, &json, err) < 0)
		return -err->code;
	root = json_root(json, "index");
	if (json_get_object(&root, err) < 0 || check_media(&root, MEDIA_INDEX, err) < 0)
		return -err->code;
	list = json_member(&root, "manifests");
	if (json_get_array(&list, INDEX_ENTRIES_MAX, &n, err) < 0)
		return -err->code;
	x.entries = calloc(n + 1, sizeof(*x.entries));
	if (!x.entries)
		return err_no_memory(err);
	for (size_t i = 0; i < n; i++) {
		struct json_at item = json_item(&list, i);

		x.n_entries = i + 1;
		if (parse_entry(&item, &x.entries[i], err) < 0)
			return -err->code;
	}
	*ret = TAKE_STRUCT(x);
	return 0;
}

/* ---- docker save --------------------------------------------------------------------- */

void docker_manifest_done(struct docker_manifest *m)
{
	for (size_t i = 0; i < m->n_images; i++) {
		free(m->images[i].config);
		strings_free(m->images[i].layers);
		strings_free(m->images[i].tags);
	}
	free(m->images);
	*m = (struct docker_manifest){ 0 };
}

static size_t count(char **list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

static int parse_docker_image(const struct json_at *item, uint64_t max_layers,
			      struct docker_image *d, struct err *err)
{
	if (json_get_object(item, err) < 0 || doc_text(item, "Config", &d->config, err) < 0 ||
	    doc_list(item, "Layers", &d->layers, err) < 0 ||
	    doc_list(item, "RepoTags", &d->tags, err) < 0)
		return -err->code;
	d->n_layers = count(d->layers);
	d->n_tags = count(d->tags);
	if (!d->config)
		return json_complain(item, err, "Config is missing");
	if (d->n_layers > max_layers)
		return limit_exceeded(err, "layers", d->n_layers, max_layers);
	return 0;
}

int docker_manifest_parse(const void *data, size_t len, const struct image_limits *limits,
			  struct docker_manifest *ret, struct err *err)
{
	AUTO(json_decref) json_t *json = NULL;
	AUTO(docker_manifest_done) struct docker_manifest m = { 0 };
	struct json_at root;
	size_t n;

	if (len > limits->manifest_bytes)
		return limit_exceeded(err, "manifest_bytes", len, limits->manifest_bytes);
	if (json_parse("manifest.json", data, len, len, &json, err) < 0)
		return -err->code;
	root = json_root(json, "manifest.json");
	if (json_get_array(&root, INDEX_ENTRIES_MAX, &n, err) < 0)
		return -err->code;
	m.images = calloc(n + 1, sizeof(*m.images));
	if (!m.images)
		return err_no_memory(err);
	for (size_t i = 0; i < n; i++) {
		struct json_at item = json_item(&root, i);

		m.n_images = i + 1;
		if (parse_docker_image(&item, limits->layers, &m.images[i], err) < 0)
			return -err->code;
	}
	*ret = TAKE_STRUCT(m);
	return 0;
}
