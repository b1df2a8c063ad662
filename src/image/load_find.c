/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: what images an archive holds
 *
 * index.json of an OCI layout, manifest.json of docker, or `repositories` of docker before 1.10.  An
 * archive may have the first two for the same images: then they are found once, with all names.
 */
#include <stdio.h>
#include <string.h>

#include "image/limits.h"
#include "image/load.h"
#include "image/load_v1.h"

#define LISTED_BYTES 240 /* of the names in an error */

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
		if (m && load_oci_image(l, m, x.entries[i].name, err) < 0)
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
		if (picked && load_docker_image(l, image, err) < 0)
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
	struct listed names = { "" }, more = { "" };
	struct heads h = { 0 };

	if (find_heads(l, &h, err) < 0 || (h.index && load_index(l, h.index, &names, err) < 0))
		return -err->code;
	if (h.docker &&
	    docker_manifest_parse(h.docker->doc.data, h.docker->doc.len, limits, &d, err) < 0)
		return -err->code;
	if (!h.index && !h.docker && h.v1 && v1_read(&l->archive, h.v1, &d, err) < 0)
		return -err->code;
	if (load_docker(l, &d, h.index ? &more : &names, err) < 0)
		return -err->code;
	if (l->n_found == 0)
		return nothing_found(l, &h, &names, err);
	if (l->options.one && l->n_found > 1)
		return err_set(err, ERR_INVALID, "%s holds %zu images, and one is wanted: %s",
			       l->what, l->n_found, names.text);
	return 0;
}
