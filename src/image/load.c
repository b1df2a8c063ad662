/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/cancel.h"
#include "base/num.h"
#include "image/archive.h"
#include "image/docs.h"
#include "image/limits.h"
#include "image/open.h"
#include "image/platform.h"
#include "json/json.h"

/*
 * DOC: load
 *
 * The archive is read first (archive.h); then its documents say what is in it.  All images are
 * checked and merged before anything of them gets a name in the store: layers first, the
 * manifest last.
 */
/* An image that was found and checked. */
struct found {
	struct member *config;
	struct buf manifest; /* raw bytes */
	struct member **layers;
	size_t n_layers;
	struct sha *diff_ids;
	char *created; /* as the config has it; NULL: not said */
	char **names;  /* NULL-terminated */
	size_t n_names;
};

struct loader {
	struct store_run *run; /* borrowed */
	struct platform want;
	struct archive archive;
	struct found *found;
	size_t n_found;
};

static void loader_done_auto(struct loader *l)
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

/* ---- one image ----------------------------------------------------------------------- */

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

static int start_image(struct loader *l, struct found *f, struct member *config, struct config *c,
		       size_t n_layers, struct err *err)
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

static int oci_image(struct loader *l, struct member *doc, const char *name, struct err *err)
{
	AUTO(manifest_done) struct manifest m = { 0 };
	AUTO(config_done) struct config c = { 0 };
	struct found *f = new_found(l);

	if (!f || buf_add(&f->manifest, doc->doc.data, doc->doc.len) < 0)
		return err_no_memory(err);
	if (manifest_parse(doc->doc.data, doc->doc.len, &l->run->store->limits, &m, err) < 0 ||
	    start_image(l, f, archive_blob(&l->archive, m.config.digest.b), &c, m.n_layers, err) <
		    0)
		return -err->code;
	for (size_t i = 0; i < c.n_diff_ids; i++) {
		char text[DIGEST_TEXT_MAX];

		digest_text(m.layers[i].digest.b, text);
		if (take_layer(f, i, archive_blob(&l->archive, m.layers[i].digest.b),
			       &c.diff_ids[i], text, err) < 0)
			return -err->code;
	}
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

static int docker_image(struct loader *l, const struct docker_image *d, struct err *err)
{
	AUTO(config_done) struct config c = { 0 };
	struct member *config = archive_find(&l->archive, d->config);
	struct found *f = by_config(l, config);

	if (check_config_name(d, config, err) < 0)
		return -err->code;
	if (!f) {
		f = new_found(l);
		if (!f)
			return err_no_memory(err);
		if (start_image(l, f, config, &c, d->n_layers, err) < 0)
			return -err->code;
		for (size_t i = 0; i < c.n_diff_ids; i++) {
			if (take_layer(f, i, archive_find(&l->archive, d->layers[i]),
				       &c.diff_ids[i], d->layers[i], err) < 0)
				return -err->code;
		}
		if (make_manifest(f, err) < 0)
			return -err->code;
	}
	for (size_t i = 0; i < d->n_tags; i++) {
		if (add_name(f, d->tags[i], err) < 0)
			return -err->code;
	}
	return 0;
}

/* ---- the archive's documents ---------------------------------------------------------- */

static bool fits(const struct loader *l, const struct index_entry *e)
{
	return !e->skip && platform_rank(&l->want, e->os, e->architecture, e->variant) >= 0;
}

/* The manifest that an entry means; NULL: it is not in the archive. */
static int follow(struct loader *l, const struct index_entry *e, unsigned depth,
		  struct member **ret, struct err *err)
{
	AUTO(index_done) struct index x = { 0 };
	struct member *m = archive_blob(&l->archive, e->d.digest.b);

	*ret = NULL;
	if (!m)
		return 0;
	if (m->kind != MEMBER_DOC)
		return err_set(err, ERR_INVALID, "\"%.150s\" is no manifest", m->name);
	if (!e->is_index) {
		*ret = m;
		return 0;
	}
	if (depth == INDEX_DEPTH_MAX)
		return err_set(err, ERR_INVALID, "limit-exceeded: indexes inside each other");
	if (index_parse(m->doc.data, m->doc.len, &l->run->store->limits, &x, err) < 0)
		return -err->code;
	for (size_t i = 0; i < x.n_entries && !*ret; i++) {
		if (fits(l, &x.entries[i]) && follow(l, &x.entries[i], depth + 1, ret, err) < 0)
			return -err->code;
	}
	return 0;
}

static int load_index(struct loader *l, struct member *doc, struct err *err)
{
	AUTO(index_done) struct index x = { 0 };

	if (index_parse(doc->doc.data, doc->doc.len, &l->run->store->limits, &x, err) < 0)
		return -err->code;
	for (size_t i = 0; i < x.n_entries; i++) {
		struct member *m = NULL;

		if (x.entries[i].skip)
			continue;
		if (follow(l, &x.entries[i], 0, &m, err) < 0)
			return -err->code;
		if (m && oci_image(l, m, x.entries[i].name, err) < 0)
			return -err->code;
	}
	return 0;
}

static int find_images(struct loader *l, const char *what, struct err *err)
{
	struct member *index = archive_find(&l->archive, "index.json");
	struct member *docker = archive_find(&l->archive, "manifest.json");
	AUTO(docker_manifest_done) struct docker_manifest d = { 0 };

	if (index && index->kind == MEMBER_DOC && load_index(l, index, err) < 0)
		return -err->code;
	if (docker && docker->kind == MEMBER_DOC) {
		if (docker_manifest_parse(docker->doc.data, docker->doc.len, &l->run->store->limits,
					  &d, err) < 0)
			return -err->code;
		for (size_t i = 0; i < d.n_images; i++) {
			if (docker_image(l, &d.images[i], err) < 0)
				return -err->code;
		}
	}
	if (l->n_found > 0)
		return 0;
	if (index || docker) {
		err_set(err, ERR_INVALID, "platform-unavailable: %s holds no image for %s/%s", what,
			l->want.os, l->want.arch);
		return err_reason(err, "platform-unavailable");
	}
	return err_set(err, ERR_INVALID,
		       "%s is no image archive: neither manifest.json nor index.json is in it",
		       what);
}

/* ---- into the store ------------------------------------------------------------------- */

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
		if (l->archive.members[i].kind == MEMBER_LAYER)
			r->n_warnings += l->archive.members[i].layer.n_warnings;
	}
	return 0;
}

int image_load(struct store_run *run, int fd, const char *what, struct load_result *ret_result,
	       struct err *err)
{
	AUTO(loader_done) struct loader l = { .run = run };
	struct load_result r = { 0 };

	if (platform_parse(NULL, &l.want, err) < 0 ||
	    archive_read(&l.archive, run, fd, what, err) < 0 || find_images(&l, what, err) < 0 ||
	    cancel_check(run->cancel, err) < 0)
		return -err->code;
	if (store_all(&l, &r, err) < 0) {
		load_result_done(&r);
		return -err->code;
	}
	*ret_result = r;
	return 0;
}
