/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "image/media.h"
#include "image/pull_internal.h"

/*
 * DOC: from reference to manifest
 *
 * A document that is named by digest is taken from the store if it is there.  What is fetched is
 * checked against size and digest; if it came from a mirror and is wrong, the mirror is not asked
 * again.
 */

/* @sha: NULL if it is named by a tag. */
struct wanted {
	const char *name; /* tag or digest */
	const struct sha *sha;
	uint64_t size; /* SIZE_UNKNOWN */
	size_t max;
	const char *key; /* of the limit */
};

static bool from_store(struct pull *p, const struct wanted *w, struct buf *ret)
{
	struct err ignored = ERR_INIT;

	return w->sha && store_hold(p->run, w->sha->b, &ignored) == 0 &&
	       store_get_blob(p->run->store, w->sha->b, w->max, ret, &ignored) == 0;
}

/* Is it what it is named after? */
static int check(struct pull *p, const struct wanted *w, const struct buf *doc, struct err *err)
{
	uint8_t found[SHA256_BYTES];

	if (!strchr(w->name, ':') || (digest_check(w->name, doc->data, doc->len) == 0 &&
				      (w->size == SIZE_UNKNOWN || w->size == doc->len)))
		return 0;
	digest_of(doc->data, doc->len, found);
	if (w->sha)
		return pull_mismatch(p, "a document", w->sha->b, found, err);
	err_set(err, ERR_PROTOCOL, "digest-mismatch: %s: a document is not %s",
		registry_source(p->registry), w->name);
	(void)err_reason(err, "digest-mismatch");
	return err_detail(err, ERR_NR_IMAGE, w->name);
}

static int fetch_once(struct pull *p, const struct wanted *w, struct buf *ret, char **ret_type,
		      struct err *err)
{
	if (registry_manifest(p->registry, w->name, w->max, ret, ret_type, err) == 0)
		return 0;
	if (strcmp(err->reason, "limit-exceeded") == 0)
		return limit_exceeded(err, w->key, w->max + 1, w->max);
	return -err->code;
}

/* A manifest or index. @ret_type: "" if nobody says */
static int get_document(struct pull *p, const struct wanted *w, struct buf *ret, char **ret_type,
			struct err *err)
{
	if (w->size != SIZE_UNKNOWN && w->size > w->max)
		return limit_exceeded(err, w->key, w->size, w->max);
	if (from_store(p, w, ret)) {
		*ret_type = strdup("");
		return *ret_type ? 0 : err_no_memory(err);
	}
	for (;;) {
		AUTO(buf_done) struct buf doc = { 0 };
		AUTO_FREE char *type = NULL;

		if (pull_check(p, err) < 0 || fetch_once(p, w, &doc, &type, err) < 0)
			return -err->code;
		if (check(p, w, &doc, err) == 0) {
			*ret = doc;
			doc = (struct buf){ 0 };
			*ret_type = TAKE_PTR(type);
			return 0;
		}
		if (!registry_distrust(p->registry))
			return -err->code;
	}
}

static int add_bytes(void *user, const uint8_t *data, size_t len, struct err *err)
{
	return buf_add(user, data, len) < 0 ? err_no_memory(err) : 0;
}

/* The config is a blob, not a document of the registry. */
static int get_config(struct pull *p, struct err *err)
{
	const struct descriptor *d = &p->manifest.config;
	uint64_t max = p->run->store->limits.config_bytes;
	char text[DIGEST_TEXT_MAX];
	const struct wanted w = { text, &d->digest, d->size, max, "config_bytes" };
	const struct registry_sink sink = { .user = &p->config_doc, .data = add_bytes };

	digest_text(d->digest.b, text);
	if (d->size == SIZE_UNKNOWN)
		return err_set(err, ERR_INVALID, "manifest.config.size: missing");
	if (d->size > max)
		return limit_exceeded(err, w.key, d->size, max);
	if (from_store(p, &w, &p->config_doc))
		return 0;
	for (;;) {
		buf_done(&p->config_doc);
		buf_init(&p->config_doc, d->size);
		if (pull_check(p, err) < 0 ||
		    registry_blob(p->registry, text, 0, d->size, &sink, err) < 0)
			return -err->code;
		if (check(p, &w, &p->config_doc, err) == 0)
			return 0;
		if (!registry_distrust(p->registry))
			return -err->code;
	}
}

/* ---- platforms ------------------------------------------------------------------------ */

static void note_platform(struct pull *p, const char *os, const char *arch, const char *variant)
{
	char text[160];

	if (!arch)
		return;
	(void)snprintf(text, sizeof(text), "%.40s/%.40s%s%.40s", os ? os : "linux", arch,
		       variant ? "/" : "", variant ? variant : "");
	if (p->platforms.len > 0 && strstr(buf_cstr(&p->platforms), text))
		return;
	/* No more than fits into a message. */
	IGNORE_RESULT(buf_addf(&p->platforms, "%s%s", p->platforms.len ? ", " : "", text));
}

static int no_platform(struct pull *p, struct err *err)
{
	const char *list = p->platforms.len ? buf_cstr(&p->platforms) : NULL;

	err_set(err, ERR_NOT_FOUND,
		"platform-unavailable: there is no image for %s/%s%s%s; it exists for: %s",
		p->want.os, p->want.arch, p->want.variant[0] ? "/" : "", p->want.variant,
		list ? list : "none");
	(void)err_reason(err, "platform-unavailable");
	return err_detail(err, ERR_NR_IMAGE, p->reference);
}

static int resolve(struct pull *p, const struct wanted *w, unsigned depth, struct err *err);

static int resolve_entry(struct pull *p, const struct index_entry *e, unsigned depth,
			 struct err *err)
{
	char text[DIGEST_TEXT_MAX];
	const struct wanted w = { text, &e->d.digest, e->d.size,
				  p->run->store->limits.manifest_bytes, "manifest_bytes" };

	digest_text(e->d.digest.b, text);
	return resolve(p, &w, depth + 1, err);
}

/* The best manifest here, or else in an index inside. */
static int choose(struct pull *p, const struct index *x, unsigned depth, struct err *err)
{
	const struct index_entry *best = NULL;
	int best_rank = -1;

	for (size_t i = 0; i < x->n_entries; i++) {
		const struct index_entry *e = &x->entries[i];
		int rank = e->skip || e->is_index
				   ? -1
				   : platform_rank(&p->want, e->os, e->architecture, e->variant);

		if (!e->skip)
			note_platform(p, e->os, e->architecture, e->variant);
		if (rank > best_rank) {
			best = e;
			best_rank = rank;
		}
	}
	if (best)
		return resolve_entry(p, best, depth, err);
	for (size_t i = 0; i < x->n_entries; i++) {
		const struct index_entry *e = &x->entries[i];
		size_t n_docs = p->n_docs;

		if (e->skip || !e->is_index ||
		    platform_rank(&p->want, e->os, e->architecture, e->variant) < 0)
			continue;
		if (resolve_entry(p, e, depth, err) == 0)
			return 0;
		if (strcmp(err->reason, "platform-unavailable") != 0)
			return -err->code;
		while (p->n_docs > n_docs)
			buf_done(&p->docs[--p->n_docs]);
	}
	return no_platform(p, err);
}

static int take_index(struct pull *p, const struct buf *doc, unsigned depth, struct err *err)
{
	AUTO(index_done) struct index x = { 0 };

	if (depth == INDEX_DEPTH_MAX) {
		err_set(err, ERR_INVALID, "limit-exceeded: more than %d indexes inside each other",
			INDEX_DEPTH_MAX);
		(void)err_reason(err, "limit-exceeded");
		return err_detail(err, ERR_NR_IMAGE, p->reference);
	}
	if (index_parse(doc->data, doc->len, &p->run->store->limits, &x, err) < 0)
		return -err->code;
	p->n_entries += x.n_entries;
	if (p->n_entries > INDEX_ENTRIES_MAX) {
		err_set(err, ERR_INVALID, "limit-exceeded: its indexes have more than %d entries",
			INDEX_ENTRIES_MAX);
		(void)err_reason(err, "limit-exceeded");
		return err_detail(err, ERR_NR_IMAGE, p->reference);
	}
	return choose(p, &x, depth, err);
}

static int resolve(struct pull *p, const struct wanted *w, unsigned depth, struct err *err)
{
	const struct image_limits *limits = &p->run->store->limits;
	AUTO_FREE char *type = NULL;
	enum media kind;
	struct buf *doc = &p->docs[p->n_docs];

	if (get_document(p, w, doc, &type, err) < 0)
		return -err->code;
	p->n_docs++;
	if (doc_kind(doc->data, doc->len, limits, type, &kind, err) < 0)
		return -err->code;
	if (kind == MEDIA_INDEX)
		return take_index(p, doc, depth, err);
	return manifest_parse(doc->data, doc->len, limits, &p->manifest, err);
}

/* ---- the whole ------------------------------------------------------------------------- */

static int check_config(struct pull *p, struct err *err)
{
	const struct config *c = &p->config;
	struct platform any = p->want;

	any.variant[0] = '\0'; /* few configs say it */
	if (platform_rank(&any, c->os, c->image.architecture, NULL) < 0) {
		note_platform(p, c->os, c->image.architecture, c->variant);
		return no_platform(p, err);
	}
	if (c->n_diff_ids != p->manifest.n_layers)
		return err_set(err, ERR_INVALID, "the image has %zu layers, its config says %zu",
			       p->manifest.n_layers, c->n_diff_ids);
	return 0;
}

int pull_resolve(struct pull *p, struct err *err)
{
	const struct image_limits *limits = &p->run->store->limits;
	const char *at = strchr(p->reference, '@'), *slash = strrchr(p->reference, '/');
	struct wanted w = { .size = SIZE_UNKNOWN,
			    .max = limits->manifest_bytes,
			    .key = "manifest_bytes" };
	struct sha sha;

	w.name = at ? at + 1 : strchr(slash, ':') + 1; /* a full reference has one of both */
	if (at && digest_parse(at + 1, sha.b) == 0)
		w.sha = &sha;
	buf_init(&p->platforms, 300);
	if (resolve(p, &w, 0, err) < 0)
		return pull_failed(err, "manifest");
	if (get_config(p, err) < 0)
		return pull_failed(err, "manifest");
	if (config_parse(p->config_doc.data, p->config_doc.len, limits, &p->config, err) < 0)
		return pull_failed(err, "manifest");
	return check_config(p, err) < 0 ? pull_failed(err, "resolve") : 0;
}
