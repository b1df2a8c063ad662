/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: what images an archive holds
 *
 * index.json of an OCI layout, manifest.json of docker, or `repositories` of docker before 1.10.  An
 * archive may have the first two for the same images: then they are found once, with all names.
 */
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "image/limits.h"
#include "image/load.h"
#include "image/load_v1.h"
#include "json/json.h"

#define LISTED_BYTES 240 /* of the names in an error */

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

static int oci_image(struct loader *l, const struct member *doc, const char *name, struct err *err)
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

static int docker_image(struct loader *l, const struct docker_image *d, struct err *err)
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

/* ---- which are meant ------------------------------------------------------------------ */

/* The tag behind a name; NULL: it has none. */
static const char *tag_of(const char *name)
{
	const char *slash = strrchr(name, '/'), *colon = strchr(slash ? slash : name, ':');

	return colon ? colon + 1 : NULL;
}

/* Is @name of the archive the one that was asked for, by its tag or whole? */
static bool is_picked(const struct loader *l, const char *name)
{
	const char *pick = l->options.pick, *tag;
	AUTO_FREE char *want = NULL;
	AUTO_FREE char *have = NULL;
	struct err ignored = ERR_INIT;

	if (!pick)
		return true;
	if (!name)
		return false;
	tag = tag_of(name);
	if (strcmp(name, pick) == 0 || (tag && strcmp(tag, pick) == 0))
		return true;
	return image_ref_parse(pick, &want, &ignored) == 0 &&
	       image_ref_parse(name, &have, &ignored) == 0 && strcmp(want, have) == 0;
}

/* How well does it fit what is wanted? Negative: not at all. */
static int rank(const struct loader *l, const struct index_entry *e)
{
	return e->skip ? -1 : platform_rank(&l->want, e->os, e->architecture, e->variant);
}

static bool same_name(const struct index_entry *a, const struct index_entry *b)
{
	return a->name && b->name ? strcmp(a->name, b->name) == 0 : a->name == b->name;
}

/* An image of another platform is taken if its archive has none of that name for this one. */
static bool has_better(const struct loader *l, const struct index *x, size_t i)
{
	if (rank(l, &x->entries[i]) >= 0)
		return false;
	for (size_t k = 0; k < x->n_entries; k++) {
		if (rank(l, &x->entries[k]) >= 0 && same_name(&x->entries[k], &x->entries[i]))
			return true;
	}
	return false;
}

/* ---- the archive's documents ---------------------------------------------------------- */

static int follow(struct loader *l, const struct index_entry *e, unsigned depth,
		  struct member **ret, struct err *err);

/* The entry that fits best and is in the archive. */
static int follow_best(struct loader *l, struct index *x, unsigned depth, struct member **ret,
		       struct err *err)
{
	l->n_entries += x->n_entries;
	if (l->n_entries > INDEX_ENTRIES_MAX)
		return err_set(err, ERR_INVALID, "limit-exceeded: entries of indexes");
	for (size_t tries = 0; tries < x->n_entries && !*ret; tries++) {
		struct index_entry *best = NULL;

		for (size_t i = 0; i < x->n_entries; i++) {
			if (rank(l, &x->entries[i]) > (best ? rank(l, best) : -1))
				best = &x->entries[i];
		}
		if (!best)
			return 0;
		if (follow(l, best, depth, ret, err) < 0)
			return -(int)err->code;
		best->skip = true; /* it has been tried */
	}
	return 0;
}

/* The manifest that an entry means; NULL: it is not in the archive. */
static int follow(struct loader *l, const struct index_entry *e, unsigned depth,
		  struct member **ret, struct err *err)
{
	AUTO(index_done) struct index x = { 0 };
	struct member *m;

	*ret = NULL;
	if (archive_blob(&l->archive, e->d.digest.b, &m, err) < 0)
		return -err->code;
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
	return follow_best(l, &x, depth + 1, ret, err);
}

/* For errors: "a:1, b:2". */
struct listed {
	char text[LISTED_BYTES];
};

static void list_name(struct listed *names, const char *name)
{
	size_t len = strlen(names->text);

	if (name && len < sizeof(names->text))
		(void)snprintf(names->text + len, sizeof(names->text) - len, "%s%s",
			       len ? ", " : "", name);
}

static int load_index(struct loader *l, const struct member *doc, struct listed *names,
		      struct err *err)
{
	AUTO(index_done) struct index x = { 0 };

	if (index_parse(doc->doc.data, doc->doc.len, &l->run->store->limits, &x, err) < 0)
		return -err->code;
	for (size_t i = 0; i < x.n_entries; i++) {
		struct member *m = NULL;

		if (x.entries[i].skip || has_better(l, &x, i))
			continue;
		list_name(names, x.entries[i].name);
		if (!is_picked(l, x.entries[i].name))
			continue;
		if (follow(l, &x.entries[i], 0, &m, err) < 0)
			return -err->code;
		if (m && oci_image(l, m, x.entries[i].name, err) < 0)
			return -err->code;
	}
	return 0;
}

static int load_docker(struct loader *l, const struct docker_manifest *d, struct listed *names,
		       struct err *err)
{
	for (size_t i = 0; i < d->n_images; i++) {
		const struct docker_image *image = &d->images[i];
		bool picked = !l->options.pick;

		for (size_t k = 0; k < image->n_tags; k++) {
			list_name(names, image->tags[k]);
			picked |= is_picked(l, image->tags[k]);
		}
		if (picked && docker_image(l, image, err) < 0)
			return -err->code;
	}
	return 0;
}

/* The documents that say what is there; NULL for one that is not. */
struct heads {
	struct member *index, *docker, *v1;
};

static int find_heads(struct loader *l, struct heads *h, struct err *err)
{
	static const char *const names[] = { "index.json", "manifest.json", "repositories" };
	struct member **all[] = { &h->index, &h->docker, &h->v1 };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct member *m;

		if (archive_find(&l->archive, names[i], &m, err) < 0)
			return -err->code;
		*all[i] = m && m->kind == MEMBER_DOC ? m : NULL;
	}
	return 0;
}

static int nothing_found(const struct loader *l, const struct heads *h, const struct listed *names,
			 struct err *err)
{
	if (l->options.pick && names->text[0])
		return err_set(err, ERR_INVALID, "%s holds no image '%.100s'; it has %s", l->what,
			       l->options.pick, names->text);
	if (l->options.pick && (h->index || h->docker || h->v1))
		return err_set(err, ERR_INVALID,
			       "%s holds no image '%.100s': what is in it has no name; leave the "
			       "tag out",
			       l->what, l->options.pick);
	if (h->index || h->docker || h->v1) {
		err_set(err, ERR_INVALID, "platform-unavailable: %s holds no image for %s/%s",
			l->what, l->want.os, l->want.arch);
		return err_reason(err, "platform-unavailable");
	}
	return err_set(err, ERR_INVALID,
		       "%s is no image archive: neither manifest.json nor index.json is in it",
		       l->what);
}

int find_images(struct loader *l, struct err *err)
{
	AUTO(docker_manifest_done) struct docker_manifest d = { 0 };
	const struct image_limits *limits = &l->run->store->limits;
	struct listed names = { "" };
	struct heads h = { 0 };

	if (find_heads(l, &h, err) < 0 || (h.index && load_index(l, h.index, &names, err) < 0))
		return -err->code;
	if (h.docker &&
	    docker_manifest_parse(h.docker->doc.data, h.docker->doc.len, limits, &d, err) < 0)
		return -err->code;
	if (!h.index && !h.docker && h.v1 && v1_read(&l->archive, h.v1, &d, err) < 0)
		return -err->code;
	if (load_docker(l, &d, h.index ? &(struct listed){ "" } : &names, err) < 0)
		return -err->code;
	if (l->n_found == 0)
		return nothing_found(l, &h, &names, err);
	if (l->options.one && l->n_found > 1)
		return err_set(err, ERR_INVALID, "%s holds %zu images, and one is wanted: %s",
			       l->what, l->n_found, names.text);
	return 0;
}
