/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: archives of docker before 1.10
 *
 * They have no manifest.json: `repositories` says {"NAME": {"TAG": "ID"}}, and each ID is a folder
 * with `json` (one layer's part of the config, and the ID of its parent) and `layer.tar`.  The
 * chain of parents is the list of layers.  The config of the image is made from the topmost `json`,
 * always the same for the same archive; with it, what manifest.json would say.
 */
#include "image/load_v1.h"

#include <stdio.h>
#include <string.h>

#include "image/docs_json.h"
#include "image/limits.h"

#define V1_ID_MAX 128 /* bytes; docker's have 64 */

/* Layers of one image, the topmost first. */
struct chain {
	struct member **layers; /* owned list, borrowed members */
	char **paths;		/* owned; NULL-terminated */
	size_t n;
};

static void chain_done_auto(struct chain *c)
{
	free(c->layers);
	strings_free(c->paths);
}

static int chain_add(struct archive *a, struct chain *c, const char *id, struct err *err)
{
	struct member **layers = reallocarray(c->layers, c->n + 1, sizeof(struct member *));
	char **paths = reallocarray(c->paths, c->n + 2, sizeof(*paths));

	if (layers)
		c->layers = layers;
	if (paths) {
		c->paths = paths;
		paths[c->n] = paths[c->n + 1] = NULL;
	}
	if (!layers || !paths || asprintf(&paths[c->n], "%s/layer.tar", id) < 0)
		return err_no_memory(err);
	if (archive_find(a, paths[c->n], &layers[c->n], err) < 0)
		return -err->code;
	if (!layers[c->n] || layers[c->n]->kind != MEMBER_LAYER)
		return err_set(err, ERR_INVALID, "layer-invalid: \"%.150s\" is no tar archive",
			       paths[c->n]);
	c->n++;
	return 0;
}

/* ID/json, parsed. */
static int read_json(struct archive *a, const char *id, json_t **ret, struct err *err)
{
	char path[V1_ID_MAX + sizeof("/json")];
	struct member *m;

	if (strlen(id) > V1_ID_MAX || strchr(id, '/'))
		return err_set(err, ERR_INVALID, "repositories: \"%.150s\" is no image id", id);
	(void)snprintf(path, sizeof(path), "%s/json", id);
	if (archive_find(a, path, &m, err) < 0)
		return -err->code;
	if (!m || m->kind != MEMBER_DOC)
		return err_set(err, ERR_INVALID, "\"%s\" is not in the archive", path);
	return json_parse(path, m->doc.data, m->doc.len, m->doc.len, ret, err);
}

/* All layers from @id down. */
static int walk(struct archive *a, const char *id, struct chain *c, struct err *err)
{
	uint64_t max = a->run->store->limits.layers;
	char next[V1_ID_MAX + 1];
	const char *parent = id;

	while (parent && *parent) {
		AUTO(json_decref) json_t *json = NULL;
		struct json_at root;

		if (c->n == max)
			return limit_exceeded(err, "layers", c->n + 1, max);
		if (read_json(a, parent, &json, err) < 0 || chain_add(a, c, parent, err) < 0)
			return -err->code;
		root = json_root(json, "json");
		parent = NULL;
		if (json_get_object(&root, err) < 0 ||
		    json_opt_str(&root, "parent", &parent, err) < 0)
			return -err->code;
		if (parent) {
			(void)snprintf(next, sizeof(next), "%s", parent);
			parent = next;
		}
	}
	return 0;
}

static void put_text(struct json_out *o, const struct json_at *root, const char *key,
		     const char *otherwise)
{
	struct json_at at = json_member(root, key);

	if (json_present(&at) && json_is_string(at.value))
		json_put_value(o, key, at.value);
	else if (otherwise)
		json_put_str(o, key, otherwise);
}

/* The config that docker itself would make, without a history. */
static int make_config(const json_t *top, const struct chain *c, struct buf *b, struct err *err)
{
	struct json_at root = json_root(top, "json"), run = json_member(&root, "config");
	struct json_out o;

	json_out_init(&o, b);
	json_put_object(&o, NULL);
	put_text(&o, &root, "architecture", "amd64"); /* the only one of that time */
	put_text(&o, &root, "os", "linux");
	put_text(&o, &root, "created", NULL);
	if (json_present(&run) && json_is_object(run.value))
		json_put_value(&o, "config", run.value);
	json_put_object(&o, "rootfs");
	json_put_str(&o, "type", "layers");
	json_put_array(&o, "diff_ids");
	for (size_t i = c->n; i > 0; i--) {
		char text[DIGEST_TEXT_MAX];

		digest_text(c->layers[i - 1]->layer.diff_id, text);
		json_put_str(&o, NULL, text);
	}
	json_put_end(&o);
	json_put_end(&o);
	json_put_end(&o);
	return json_out_end(&o) < 0 ? err_no_memory(err) : 0;
}

/* One image as an entry of manifest.json. */
static int add_image(struct archive *a, const char *id, const char *tag, struct docker_image *d,
		     struct err *err)
{
	AUTO(json_decref) json_t *top = NULL;
	AUTO(chain_done) struct chain c = { 0 };
	AUTO(buf_done) struct buf config = { 0 };

	buf_init(&config, a->run->store->limits.config_bytes);
	d->layers = calloc(1, sizeof(char *));
	d->tags = calloc(2, sizeof(char *));
	if (!d->layers || !d->tags)
		return err_no_memory(err);
	if (read_json(a, id, &top, err) < 0 || walk(a, id, &c, err) < 0 ||
	    make_config(top, &c, &config, err) < 0)
		return -err->code;
	d->tags[0] = strdup(tag);
	if (!d->tags[0] || asprintf(&d->config, "%s/config", id) < 0)
		return err_no_memory(err);
	d->n_tags = 1;
	for (size_t i = 0; i < c.n / 2; i++) {
		char *swap = c.paths[i];

		c.paths[i] = c.paths[c.n - 1 - i];
		c.paths[c.n - 1 - i] = swap;
	}
	if (c.paths) {
		free(d->layers);
		d->layers = TAKE_PTR(c.paths);
	}
	d->n_layers = c.n;
	return archive_add_doc(a, d->config, &config, err);
}

static int add_tags(struct archive *a, const struct json_at *tags, const char *name,
		    struct docker_manifest *m, struct err *err)
{
	const char *tag;
	json_t *value;

	if (json_get_object(tags, err) < 0)
		return -err->code;
	json_object_foreach((json_t *)(uintptr_t)tags->value, tag, value)
	{
		AUTO_FREE char *full = NULL;
		struct docker_image *p = reallocarray(m->images, m->n_images + 1, sizeof(*p));

		if (!p)
			return err_no_memory(err);
		m->images = p;
		p = &p[m->n_images++];
		*p = (struct docker_image){ 0 };
		if (m->n_images > INDEX_ENTRIES_MAX)
			return err_set(err, ERR_INVALID, "limit-exceeded: images of an archive");
		if (!json_is_string(value))
			return json_complain(tags, err, "must hold image ids");
		if (asprintf(&full, "%s:%s", name, tag) < 0) {
			full = NULL;
			return err_no_memory(err);
		}
		if (add_image(a, json_string_value(value), full, p, err) < 0)
			return -err->code;
	}
	return 0;
}

int v1_read(struct archive *a, const struct member *repositories, struct docker_manifest *ret,
	    struct err *err)
{
	AUTO(json_decref) json_t *json = NULL;
	AUTO(docker_manifest_done) struct docker_manifest m = { 0 };
	struct json_at root;
	const char *name;
	json_t *value;

	if (json_parse("repositories", repositories->doc.data, repositories->doc.len,
		       repositories->doc.len, &json, err) < 0)
		return -err->code;
	root = json_root(json, "repositories");
	if (json_get_object(&root, err) < 0)
		return -err->code;
	json_object_foreach(json, name, value)
	{
		struct json_at tags = json_member(&root, name);

		if (add_tags(a, &tags, name, &m, err) < 0)
			return -err->code;
	}
	*ret = TAKE_STRUCT(m);
	return 0;
}
