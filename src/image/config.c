/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "image/docs.h"
#include "image/limits.h"
#include "json/json.h"

/* TAKE_PTR() for a struct: moves it out of an AUTO variable, which is left empty. */
#define TAKE_STRUCT(s)                                                                             \
	({                                                                                         \
		__typeof__(s) *take_from_ = &(s);                                                  \
		__typeof__(s) take_val_ = *take_from_;                                             \
		*take_from_ = (__typeof__(s)){ 0 };                                                \
		take_val_;                                                                         \
	})

void strings_free(char **list)
{
	for (char **p = list; p && *p; p++)
		free(*p);
	free(list);
}

void image_done(struct image *img)
{
	for (size_t i = 0; i < img->n_extents; i++) {
		if (img->extents[i].fd >= 0)
			(void)close(img->extents[i].fd);
	}
	free(img->extents);
	free(img->architecture);
	strings_free(img->env);
	strings_free(img->entrypoint);
	strings_free(img->cmd);
	free(img->workdir);
	free(img->user);
	*img = (struct image){ 0 };
}

void image_free(struct image *img)
{
	if (!img)
		return;
	image_done(img);
	free(img);
}

void config_done(struct config *c)
{
	image_done(&c->image);
	free(c->created);
	free(c->diff_ids);
	*c = (struct config){ 0 };
}

/* An absent, null or empty text is NULL. */
static int get_text(const struct json_at *object, const char *key, char **ret, struct err *err)
{
	struct json_at at = json_member(object, key);
	const char *text = NULL;

	if (json_opt_str(object, key, &text, err) < 0)
		return -err->code;
	if (!text || text[0] == '\0')
		return 0;
	if (strlen(text) > CONFIG_TEXT_MAX)
		return json_complain(&at, err, "too long");
	*ret = strdup(text);
	return *ret ? 0 : err_no_memory(err);
}

/* A list of texts; absent and null are the empty list. */
static int get_list(const struct json_at *object, const char *key, char ***ret, struct err *err)
{
	struct json_at list = json_member(object, key);
	size_t n = 0;

	if (json_present(&list) && json_get_array(&list, CONFIG_LIST_MAX, &n, err) < 0)
		return -err->code;
	*ret = calloc(n + 1, sizeof(char *));
	if (!*ret)
		return err_no_memory(err);
	for (size_t i = 0; i < n; i++) {
		struct json_at item = json_item(&list, i);
		const char *text;

		if (json_get_str(&item, &text, err) < 0)
			return -err->code;
		if (strlen(text) > CONFIG_TEXT_MAX)
			return json_complain(&item, err, "too long");
		(*ret)[i] = strdup(text);
		if (!(*ret)[i])
			return err_no_memory(err);
	}
	return 0;
}

static int get_digest(const struct json_at *at, struct sha *ret, struct err *err)
{
	const char *text;

	if (json_get_str(at, &text, err) < 0)
		return -err->code;
	if (digest_parse(text, ret->b) < 0)
		return json_complain(at, err, "must be \"sha256:\" and 64 lower-case hex digits");
	return 0;
}

static int get_digests(const struct json_at *list, const char *key, struct sha **ret, size_t *ret_n,
		       struct err *err)
{
	size_t n;

	if (json_get_array(list, LAYERS_MAX, &n, err) < 0)
		return -err->code;
	*ret = calloc(n + 1, sizeof(**ret));
	if (!*ret)
		return err_no_memory(err);
	*ret_n = n;
	for (size_t i = 0; i < n; i++) {
		struct json_at item = json_item(list, i), digest = item;

		if (key) {
			if (json_get_object(&item, err) < 0)
				return -err->code;
			digest = json_member(&item, key);
		}
		if (get_digest(&digest, &(*ret)[i], err) < 0)
			return -err->code;
	}
	return 0;
}

static int parse_config(const struct json_at *root, struct config *c, struct err *err)
{
	struct json_at rootfs = json_member(root, "rootfs"), run = json_member(root, "config");
	struct json_at ids, none = json_root(NULL, "config");
	struct image *img = &c->image;

	if (json_get_object(root, err) < 0 || json_get_object(&rootfs, err) < 0)
		return -err->code;
	if (json_present(&run) && json_get_object(&run, err) < 0)
		return -err->code;
	if (!json_present(&run))
		run = none;
	ids = json_member(&rootfs, "diff_ids");
	if (json_present(&ids) && get_digests(&ids, NULL, &c->diff_ids, &c->n_diff_ids, err) < 0)
		return -err->code;
	if (get_text(root, "architecture", &img->architecture, err) < 0 ||
	    get_text(root, "created", &c->created, err) < 0 ||
	    get_list(&run, "Env", &img->env, err) < 0 ||
	    get_list(&run, "Entrypoint", &img->entrypoint, err) < 0 ||
	    get_list(&run, "Cmd", &img->cmd, err) < 0 ||
	    get_text(&run, "WorkingDir", &img->workdir, err) < 0 ||
	    get_text(&run, "User", &img->user, err) < 0)
		return -err->code;
	if (!img->architecture)
		return err_set(err, ERR_INVALID, "image config: architecture is missing");
	return 0;
}

int config_parse(const void *data, size_t len, struct config *ret, struct err *err)
{
	AUTO(json_decref) json_t *json = NULL;
	AUTO(config_done) struct config c = { 0 };
	struct json_at root;

	if (json_parse("image config", data, len, CONFIG_BYTES_MAX, &json, err) < 0)
		return -err->code;
	root = json_root(json, "image config");
	if (parse_config(&root, &c, err) < 0)
		return -err->code;
	*ret = TAKE_STRUCT(c);
	return 0;
}

/* ---- manifests ----------------------------------------------------------------------- */

void manifest_done(struct manifest *m)
{
	free(m->layers);
	*m = (struct manifest){ 0 };
}

int manifest_parse(const void *data, size_t len, struct manifest *ret, struct err *err)
{
	AUTO(json_decref) json_t *json = NULL;
	AUTO(manifest_done) struct manifest m = { 0 };
	struct json_at root, config, digest, layers;

	if (json_parse("manifest", data, len, MANIFEST_BYTES_MAX, &json, err) < 0)
		return -err->code;
	root = json_root(json, "manifest");
	if (json_get_object(&root, err) < 0)
		return -err->code;
	config = json_member(&root, "config");
	if (json_get_object(&config, err) < 0)
		return -err->code;
	digest = json_member(&config, "digest");
	layers = json_member(&root, "layers");
	if (get_digest(&digest, &m.config, err) < 0 ||
	    get_digests(&layers, "digest", &m.layers, &m.n_layers, err) < 0)
		return -err->code;
	*ret = TAKE_STRUCT(m);
	return 0;
}

void index_done(struct index *x)
{
	for (size_t i = 0; i < x->n_entries; i++) {
		free(x->entries[i].os);
		free(x->entries[i].architecture);
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
		if (get_text(&notes, keys[i], &e->name, err) < 0)
			return -err->code;
	}
	if (json_opt_str(&notes, "vnd.docker.reference.type", &type, err) < 0)
		return -err->code;
	e->skip |= type != NULL;
	return 0;
}

static int parse_entry(const struct json_at *item, struct index_entry *e, struct err *err)
{
	struct json_at digest = json_member(item, "digest");
	struct json_at platform = json_member(item, "platform");
	const char *type = "";

	if (json_get_object(item, err) < 0 || get_digest(&digest, &e->digest, err) < 0 ||
	    json_opt_str(item, "mediaType", &type, err) < 0)
		return -err->code;
	e->is_index =
		strcmp(type, "application/vnd.oci.image.index.v1+json") == 0 ||
		strcmp(type, "application/vnd.docker.distribution.manifest.list.v2+json") == 0;
	if (json_present(&platform) &&
	    (json_get_object(&platform, err) < 0 || get_text(&platform, "os", &e->os, err) < 0 ||
	     get_text(&platform, "architecture", &e->architecture, err) < 0))
		return -err->code;
	e->skip = e->architecture && strcmp(e->architecture, "unknown") == 0;
	return parse_annotations(item, e, err);
}

int index_parse(const void *data, size_t len, struct index *ret, struct err *err)
{
	AUTO(json_decref) json_t *json = NULL;
	AUTO(index_done) struct index x = { 0 };
	struct json_at root, list;
	size_t n;

	if (json_parse("index", data, len, MANIFEST_BYTES_MAX, &json, err) < 0)
		return -err->code;
	root = json_root(json, "index");
	if (json_get_object(&root, err) < 0)
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

static int parse_docker_image(const struct json_at *item, struct docker_image *d, struct err *err)
{
	if (json_get_object(item, err) < 0 || get_text(item, "Config", &d->config, err) < 0 ||
	    get_list(item, "Layers", &d->layers, err) < 0 ||
	    get_list(item, "RepoTags", &d->tags, err) < 0)
		return -err->code;
	d->n_layers = count(d->layers);
	d->n_tags = count(d->tags);
	if (!d->config)
		return json_complain(item, err, "Config is missing");
	if (d->n_layers > LAYERS_MAX)
		return json_complain(item, err, "limit-exceeded: layers");
	return 0;
}

int docker_manifest_parse(const void *data, size_t len, struct docker_manifest *ret,
			  struct err *err)
{
	AUTO(json_decref) json_t *json = NULL;
	AUTO(docker_manifest_done) struct docker_manifest m = { 0 };
	struct json_at root;
	size_t n;

	if (json_parse("manifest.json", data, len, MANIFEST_BYTES_MAX, &json, err) < 0)
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
		if (parse_docker_image(&item, &m.images[i], err) < 0)
			return -err->code;
	}
	*ret = TAKE_STRUCT(m);
	return 0;
}
