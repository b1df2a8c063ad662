/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: one image of an archive
 *
 * Its documents must fit each other, and each layer the digest that the config says.
 */
#include <string.h>

#include "base/num.h"
#include "image/limits.h"
#include "image/load.h"
#include "json/json.h"

static struct found *new_found(struct loader *l)
{
	struct found *p = reallocarray(l->found, l->n_found + 1, sizeof(*p));

	if (!p)
		return NULL;
	l->found = p;
	p = &p[l->n_found++];
	*p = (struct found){ 0 };
	buf_init(&p->manifest, l->run->store->limits.manifest_bytes);
	return p;
}

static int add_name(struct found *f, const char *text, struct err *err)
{
	AUTO_FREE char *full = NULL;
	char **p;

	if (image_ref_parse(text, &full, err) < 0)
		return -err->code;
	for (size_t i = 0; i < f->n_names; i++) {
		if (strcmp(f->names[i], full) == 0)
			return 0;
	}
	p = reallocarray(f->names, f->n_names + 2, sizeof(*p));
	if (!p)
		return err_no_memory(err);
	f->names = p;
	p[f->n_names++] = TAKE_PTR(full);
	p[f->n_names] = NULL;
	return 0;
}

static int take_layer(struct found *f, size_t i, struct member *m, const struct sha *diff_id,
		      const char *name, struct err *err)
{
	char want[DIGEST_TEXT_MAX], found[DIGEST_TEXT_MAX];

	if (!m)
		return err_set(err, ERR_INVALID, "layer \"%.150s\" is not in the archive", name);
	if (m->kind == MEMBER_BAD) {
		*err = *m->bad;
		if (err->reason[0]) /* more than broken: "limit-exceeded" */
			return err_wrap(err, "%.100s", m->name);
		err_wrap(err, "layer-invalid: %.100s", m->name);
		return err_reason(err, "layer-invalid");
	}
	if (m->kind != MEMBER_LAYER)
		return err_set(err, ERR_INVALID, "layer-invalid: \"%.150s\" is no tar archive",
			       m->name);
	if (memcmp(m->layer.diff_id, diff_id->b, SHA256_BYTES) != 0) {
		digest_text(diff_id->b, want);
		digest_text(m->layer.diff_id, found);
		return err_set(err, ERR_INVALID,
			       "digest-mismatch: layer \"%.100s\" is %s, the config says %s",
			       m->name, found, want);
	}
	f->layers[i] = m;
	return 0;
}

static int start_image(struct loader *l, struct found *f, const struct member *config,
		       struct config *c, size_t n_layers, struct err *err)
{
	if (!config || config->kind != MEMBER_DOC)
		return err_set(err, ERR_INVALID, "the archive lacks the config of an image");
	f->config = config;
	if (config_parse(config->doc.data, config->doc.len, &l->run->store->limits, c, err) < 0)
		return -err->code;
	if (c->n_diff_ids != n_layers)
		return err_set(err, ERR_INVALID, "an image has %zu layers, its config says %zu",
			       n_layers, c->n_diff_ids);
	f->layers = calloc(n_layers + 1, sizeof(struct member *));
	f->diff_ids = calloc(n_layers + 1, sizeof(*f->diff_ids));
	if (!f->layers || !f->diff_ids)
		return err_no_memory(err);
	memcpy(f->diff_ids, c->diff_ids, n_layers * sizeof(*f->diff_ids));
	f->n_layers = n_layers;
	f->created = TAKE_PTR(c->created);
	return 0;
}

/* What comes with an image: it was found before, or is new. */
static struct found *by_manifest(struct loader *l, const struct member *doc)
{
	for (size_t i = 0; i < l->n_found; i++) {
		if (l->found[i].doc == doc)
			return &l->found[i];
	}
	return NULL;
}

static int new_oci_image(struct loader *l, const struct member *doc, struct found **ret,
			 struct err *err)
{
	AUTO(manifest_done) struct manifest m = { 0 };
	AUTO(config_done) struct config c = { 0 };
	struct found *f = new_found(l);
	struct member *member = NULL;

	if (!f || buf_add(&f->manifest, doc->doc.data, doc->doc.len) < 0)
		return err_no_memory(err);
	f->doc = doc;
	if (manifest_parse(doc->doc.data, doc->doc.len, &l->run->store->limits, &m, err) < 0 ||
	    archive_blob(&l->archive, m.config.digest.b, &member, err) < 0 ||
	    start_image(l, f, member, &c, m.n_layers, err) < 0)
		return -err->code;
	for (size_t i = 0; i < c.n_diff_ids; i++) {
		char text[DIGEST_TEXT_MAX];

		digest_text(m.layers[i].digest.b, text);
		if (archive_blob(&l->archive, m.layers[i].digest.b, &member, err) < 0 ||
		    take_layer(f, i, member, &c.diff_ids[i], text, err) < 0)
			return -err->code;
	}
	*ret = f;
	return 0;
}

int load_oci_image(struct loader *l, const struct member *doc, const char *name, struct err *err)
{
	struct found *f = by_manifest(l, doc);

	if (!f && new_oci_image(l, doc, &f, err) < 0)
		return -err->code;
	/* A plain word is a tag without a name. */
	return name && strpbrk(name, ":/@") ? add_name(f, name, err) : 0;
}

static void put_descriptor(struct json_out *o, const char *key, const char *type,
			   const uint8_t sha[SHA256_BYTES], uint64_t size)
{
	char text[DIGEST_TEXT_MAX];

	digest_text(sha, text);
	json_put_object(o, key);
	json_put_str(o, "mediaType", type);
	json_put_str(o, "digest", text);
	json_put_u64(o, "size", size);
	json_put_end(o);
}

/* The manifest that a docker archive does not have: always the same for the same content. */
static int make_manifest(struct found *f, struct err *err)
{
	struct json_out o;

	json_out_init(&o, &f->manifest);
	json_put_object(&o, NULL);
	json_put_u64(&o, "schemaVersion", 2);
	json_put_str(&o, "mediaType", "application/vnd.oci.image.manifest.v1+json");
	put_descriptor(&o, "config", "application/vnd.oci.image.config.v1+json", f->config->sha,
		       f->config->doc.len);
	json_put_array(&o, "layers");
	for (size_t i = 0; i < f->n_layers; i++)
		put_descriptor(&o, NULL, "application/vnd.oci.image.layer.v1.tar",
			       f->layers[i]->layer.diff_id, f->layers[i]->layer.size);
	json_put_end(&o);
	json_put_end(&o);
	return json_out_end(&o) < 0 ? err_no_memory(err) : 0;
}

/* "HEX.json": the name of a config is its digest. */
static int check_config_name(const struct docker_image *d, const struct member *m, struct err *err)
{
	const char *slash = strrchr(d->config, '/'), *name = slash ? slash + 1 : d->config;
	uint8_t want[SHA256_BYTES];

	if (hex_decode(name, strcspn(name, "."), want, sizeof(want)) < 0 || !m ||
	    m->kind != MEMBER_DOC)
		return 0;
	if (memcmp(want, m->sha, sizeof(want)) != 0)
		return err_set(err, ERR_INVALID,
			       "digest-mismatch: \"%.150s\" has other content than its name says",
			       d->config);
	return 0;
}

static struct found *by_config(struct loader *l, const struct member *config)
{
	for (size_t i = 0; config && i < l->n_found; i++) {
		if (memcmp(l->found[i].config->sha, config->sha, SHA256_BYTES) == 0)
			return &l->found[i];
	}
	return NULL;
}

static int new_docker_image(struct loader *l, const struct docker_image *d,
			    const struct member *config, struct found **ret, struct err *err)
{
	AUTO(config_done) struct config c = { 0 };
	struct found *f = new_found(l);
	struct member *layer;

	if (!f)
		return err_no_memory(err);
	if (start_image(l, f, config, &c, d->n_layers, err) < 0)
		return -err->code;
	for (size_t i = 0; i < c.n_diff_ids; i++) {
		if (archive_find(&l->archive, d->layers[i], &layer, err) < 0 ||
		    take_layer(f, i, layer, &c.diff_ids[i], d->layers[i], err) < 0)
			return -err->code;
	}
	if (make_manifest(f, err) < 0)
		return -err->code;
	*ret = f;
	return 0;
}

int load_docker_image(struct loader *l, const struct docker_image *d, struct err *err)
{
	struct member *config;
	struct found *f;

	if (archive_find(&l->archive, d->config, &config, err) < 0 ||
	    check_config_name(d, config, err) < 0)
		return -err->code;
	f = by_config(l, config);
	if (!f && new_docker_image(l, d, config, &f, err) < 0)
		return -err->code;
	for (size_t i = 0; i < d->n_tags; i++) {
		if (add_name(f, d->tags[i], err) < 0)
			return -err->code;
	}
	return 0;
}
