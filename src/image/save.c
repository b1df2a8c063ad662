/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: save
 *
 * OCI: an OCI layout with docker's manifest.json beside it, so that every reader finds its way.
 * Configs are always the stored bytes, and so is a manifest whose layers are all unchanged.
 * Docker: config, unpacked layers and manifest.json.  What names the images stands at the end.
 */
#include "image/save.h"

#include <stdio.h>
#include <string.h>

#include "image/limits.h"

#define MANIFEST_TYPE "application/vnd.oci.image.manifest.v1+json"
#define CONFIG_TYPE   "application/vnd.oci.image.config.v1+json"
#define INDEX_TYPE    "application/vnd.oci.image.index.v1+json"

static const char *const layer_types[] = {
	[COMPRESS_NONE] = "application/vnd.oci.image.layer.v1.tar",
	[COMPRESS_GZIP] = "application/vnd.oci.image.layer.v1.tar+gzip",
	[COMPRESS_ZSTD] = "application/vnd.oci.image.layer.v1.tar+zstd",
};

/* One image while it is saved. */
struct saving {
	struct save_image *image; /* borrowed */
	struct buf manifest_doc, config_doc;
	struct manifest manifest;
	struct config config;
	struct saved_layer *layers; /* owned */
};

static void saving_done_auto(struct saving *v)
{
	buf_done(&v->manifest_doc);
	buf_done(&v->config_doc);
	manifest_done(&v->manifest);
	config_done(&v->config);
	free(v->layers);
}

int save_note_blob(struct save *s, const struct sha *sha)
{
	struct sha *p;

	for (size_t i = 0; i < s->n_blobs; i++) {
		if (memcmp(&s->blobs[i], sha, sizeof(*sha)) == 0)
			return 1;
	}
	p = reallocarray(s->blobs, s->n_blobs + 1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	s->blobs = p;
	p[s->n_blobs++] = *sha;
	return 0;
}

static int add_member(struct save *s, const char *name, const void *data, size_t len,
		      struct err *err)
{
	if (tar_out_file(&s->out, name, len, err) < 0)
		return -err->code;
	return tar_out_add(&s->out, data, len, err);
}

/* A document under the name of its digest. */
static int add_doc(struct save *s, const struct sha *sha, const struct buf *doc, struct err *err)
{
	char name[STORE_NAME_MAX];
	int r = save_note_blob(s, sha);

	if (r < 0)
		return err_no_memory(err);
	store_blob_name(sha->b, name);
	return r > 0 ? 0 : add_member(s, name, doc->data, doc->len, err);
}

/* Documents by their digests, and all pieces there. */
static int read_image(struct save *s, struct saving *v, struct err *err)
{
	AUTO(image_free) struct image *checked = NULL;
	const struct image_limits *limits = &s->run->store->limits;
	uint8_t sha[SHA256_BYTES];

	if (image_open(s->run, v->image->manifest_digest, NULL, &checked, err) < 0)
		return -err->code;
	if (digest_parse(v->image->manifest_digest, sha) < 0)
		return err_set(err, ERR_INVALID, "no image digest");
	if (store_get_blob(s->run->store, sha, limits->manifest_bytes, &v->manifest_doc, err) < 0 ||
	    manifest_parse(v->manifest_doc.data, v->manifest_doc.len, limits, &v->manifest, err) <
		    0 ||
	    store_get_blob(s->run->store, v->manifest.config.digest.b, limits->config_bytes,
			   &v->config_doc, err) < 0 ||
	    config_parse(v->config_doc.data, v->config_doc.len, limits, &v->config, err) < 0)
		return -err->code;
	if (v->manifest.n_layers != v->config.n_diff_ids)
		return err_set(err, ERR_IO, "image-corrupt: %s and its config do not fit",
			       v->image->manifest_digest);
	v->layers = calloc(v->manifest.n_layers + 1, sizeof(*v->layers));
	return v->layers ? 0 : err_no_memory(err);
}

/* ---- documents ----------------------------------------------------------------------- */

static void put_descriptor(struct json_out *o, const char *key, const char *type,
			   const struct sha *sha, uint64_t size)
{
	char text[DIGEST_TEXT_MAX];

	digest_text(sha->b, text);
	json_put_object(o, key);
	json_put_str(o, "mediaType", type);
	json_put_str(o, "digest", text);
	json_put_u64(o, "size", size);
	json_put_end(o);
}

static void put_manifest(struct json_out *o, const struct saving *v, const json_t *annotations)
{
	json_put_object(o, NULL);
	json_put_u64(o, "schemaVersion", 2);
	json_put_str(o, "mediaType", MANIFEST_TYPE);
	put_descriptor(o, "config", CONFIG_TYPE, &v->manifest.config.digest, v->config_doc.len);
	json_put_array(o, "layers");
	for (size_t i = 0; i < v->manifest.n_layers; i++)
		put_descriptor(o, NULL, layer_types[v->layers[i].kind], &v->layers[i].blob,
			       v->layers[i].size);
	json_put_end(o);
	if (annotations)
		json_put_value(o, "annotations", annotations);
	json_put_end(o);
}

static bool same_layers(const struct saving *v)
{
	for (size_t i = 0; i < v->manifest.n_layers; i++) {
		if (memcmp(&v->layers[i].blob, &v->manifest.layers[i].digest, sizeof(struct sha)) !=
		    0)
			return false;
	}
	return true;
}

/* The manifest of the archive: the stored one if its layers are, else a new one. */
static int make_manifest(const struct saving *v, uint64_t max, struct buf *ret,
			 const char **ret_type, json_t *stored, struct err *err)
{
	struct json_at root = json_root(stored, "manifest");
	struct json_at annotations = json_member(&root, "annotations");
	struct json_out o;

	*ret_type = MANIFEST_TYPE;
	buf_init(ret, max);
	if (same_layers(v)) {
		if (json_opt_str(&root, "mediaType", ret_type, err) < 0)
			return -err->code;
		return buf_add(ret, v->manifest_doc.data, v->manifest_doc.len) < 0
			       ? err_no_memory(err)
			       : 0;
	}
	json_out_init(&o, ret);
	put_manifest(&o, v, json_present(&annotations) ? annotations.value : NULL);
	return json_out_end(&o) < 0 ? err_no_memory(err) : 0;
}

/* A reference with its tag, without a digest; false: it has no tag. */
static bool tagged(const char *full, char out[REF_NAME_MAX + REF_TAG_MAX + 2], const char **ret_tag)
{
	const char *slash, *colon;

	(void)snprintf(out, REF_NAME_MAX + REF_TAG_MAX + 2, "%.*s", (int)strcspn(full, "@"), full);
	slash = strrchr(out, '/');
	colon = strrchr(out, ':');
	if (!colon || (slash && colon < slash))
		return false;
	*ret_tag = colon + 1;
	return true;
}

/* An entry of index.json; @name may be NULL. */
static void put_entry(struct json_out *o, const char *type, const struct sha *sha, uint64_t size,
		      const char *name, const char *tag)
{
	char text[DIGEST_TEXT_MAX];

	digest_text(sha->b, text);
	json_put_object(o, NULL);
	json_put_str(o, "mediaType", type);
	json_put_str(o, "digest", text);
	json_put_u64(o, "size", size);
	if (name) {
		json_put_object(o, "annotations");
		json_put_str(o, "io.containerd.image.name", name);
		json_put_str(o, "org.opencontainers.image.ref.name", tag);
		json_put_end(o);
	}
	json_put_end(o);
}

static void put_entries(struct save *s, const struct saving *v, const char *type,
			const struct sha *sha, uint64_t size)
{
	bool named = false;

	for (const char *const *n = v->image->names; n && *n; n++) {
		char name[REF_NAME_MAX + REF_TAG_MAX + 2];
		const char *tag;

		if (!tagged(*n, name, &tag))
			continue;
		put_entry(&s->index_json, type, sha, size, name, tag);
		named = true;
	}
	if (!named)
		put_entry(&s->index_json, type, sha, size, NULL, NULL);
}

/* An entry of manifest.json. */
static int put_docker(struct save *s, const struct saving *v, struct err *err)
{
	struct json_out *o = &s->docker_json;
	bool oci = s->o->format == SAVE_OCI;
	const char *folder = oci ? "blobs/sha256/" : "";
	char hex[DIGEST_TEXT_MAX], path[STORE_NAME_MAX];

	digest_text(v->manifest.config.digest.b, hex);
	(void)snprintf(path, sizeof(path), "%s%s%s", folder, strchr(hex, ':') + 1,
		       oci ? "" : ".json");
	json_put_object(o, NULL);
	json_put_str(o, "Config", path);
	json_put_array(o, "RepoTags");
	for (const char *const *n = v->image->names; n && *n; n++) {
		char name[REF_NAME_MAX + REF_TAG_MAX + 2];
		AUTO_FREE char *brief = NULL;
		const char *tag;

		if (!tagged(*n, name, &tag))
			continue;
		brief = image_ref_short(name);
		if (!brief)
			return err_no_memory(err);
		json_put_str(o, NULL, brief);
	}
	json_put_end(o);
	json_put_array(o, "Layers");
	for (size_t i = 0; i < v->manifest.n_layers; i++) {
		digest_text(v->layers[i].blob.b, hex);
		(void)snprintf(path, sizeof(path), "%s%s%s", folder, strchr(hex, ':') + 1,
			       oci ? "" : ".tar");
		json_put_str(o, NULL, path);
	}
	json_put_end(o);
	json_put_end(o);
	return 0;
}

/* ---- images -------------------------------------------------------------------------- */

static int save_oci(struct save *s, struct saving *v, struct err *err)
{
	AUTO(json_decref) json_t *stored = NULL;
	AUTO(buf_done) struct buf doc = { 0 };
	char text[DIGEST_TEXT_MAX];
	const char *type;
	struct sha sha;

	for (size_t i = 0; i < v->manifest.n_layers; i++) {
		if (save_layer(s, &v->config.diff_ids[i], &v->manifest.layers[i].digest,
			       &v->layers[i], err) < 0)
			return -err->code;
	}
	if (json_parse("manifest", v->manifest_doc.data, v->manifest_doc.len,
		       s->run->store->limits.manifest_bytes, &stored, err) < 0 ||
	    make_manifest(v, s->run->store->limits.manifest_bytes, &doc, &type, stored, err) < 0)
		return -err->code;
	digest_of(doc.data, doc.len, sha.b);
	if (add_doc(s, &v->manifest.config.digest, &v->config_doc, err) < 0 ||
	    add_doc(s, &sha, &doc, err) < 0)
		return -err->code;
	digest_text(sha.b, text);
	v->image->saved_digest = strdup(text);
	if (!v->image->saved_digest)
		return err_no_memory(err);
	put_entries(s, v, type, &sha, doc.len);
	return put_docker(s, v, err);
}

static int save_docker(struct save *s, struct saving *v, struct err *err)
{
	char hex[DIGEST_TEXT_MAX], name[STORE_NAME_MAX];
	int r;

	for (size_t i = 0; i < v->manifest.n_layers; i++) {
		struct saved_layer *l = &v->layers[i];

		l->blob = v->config.diff_ids[i];
		digest_text(l->blob.b, hex);
		(void)snprintf(name, sizeof(name), "%s.tar", strchr(hex, ':') + 1);
		if (save_plain_layer(s, &l->blob, name, &l->size, err) < 0)
			return -err->code;
	}
	digest_text(v->manifest.config.digest.b, hex);
	(void)snprintf(name, sizeof(name), "%s.json", strchr(hex, ':') + 1);
	r = save_note_blob(s, &v->manifest.config.digest);
	if (r < 0)
		return err_no_memory(err);
	if (r == 0 && add_member(s, name, v->config_doc.data, v->config_doc.len, err) < 0)
		return -err->code;
	return put_docker(s, v, err);
}

static int save_one(struct save *s, struct save_image *image, struct err *err)
{
	AUTO(saving_done) struct saving v = { .image = image };

	if (read_image(s, &v, err) < 0)
		return -err->code;
	return s->o->format == SAVE_OCI ? save_oci(s, &v, err) : save_docker(s, &v, err);
}

static int save_start(struct save *s, struct err *err)
{
	static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}";

	s->buf = malloc(COPY_BYTES);
	if (!s->buf)
		return err_no_memory(err);
	buf_init(&s->index, s->run->store->limits.manifest_bytes);
	buf_init(&s->docker, s->run->store->limits.manifest_bytes);
	json_out_init(&s->index_json, &s->index);
	json_out_init(&s->docker_json, &s->docker);
	json_put_object(&s->index_json, NULL);
	json_put_u64(&s->index_json, "schemaVersion", 2);
	json_put_str(&s->index_json, "mediaType", INDEX_TYPE);
	json_put_array(&s->index_json, "manifests");
	json_put_array(&s->docker_json, NULL);
	if (s->o->format == SAVE_DOCKER)
		return 0;
	if (add_member(s, "oci-layout", layout, strlen(layout), err) < 0 ||
	    tar_out_folder(&s->out, "blobs/", err) < 0)
		return -err->code;
	return tar_out_folder(&s->out, "blobs/sha256/", err);
}

static int save_end(struct save *s, struct err *err)
{
	json_put_end(&s->index_json);
	json_put_end(&s->index_json);
	json_put_end(&s->docker_json);
	if (json_out_end(&s->index_json) < 0 || json_out_end(&s->docker_json) < 0)
		return err_no_memory(err);
	if (s->o->format == SAVE_OCI &&
	    add_member(s, "index.json", s->index.data, s->index.len, err) < 0)
		return -err->code;
	if (add_member(s, "manifest.json", s->docker.data, s->docker.len, err) < 0)
		return -err->code;
	return tar_out_end(&s->out, err);
}

static void save_done_auto(struct save *s)
{
	free(s->buf);
	free(s->blobs);
	free(s->anew);
	buf_done(&s->index);
	buf_done(&s->docker);
}

int image_save(struct store_run *run, struct save_image *images, size_t n_images,
	       const struct save_options *options, int fd, struct err *err)
{
	AUTO(save_done) struct save s = { .run = run, .o = options };
	int r;

	for (size_t i = 0; i < n_images; i++)
		images[i].saved_digest = NULL;
	tar_out_init(&s.out, fd, run->cancel);
	r = save_start(&s, err);
	for (size_t i = 0; r == 0 && i < n_images; i++)
		r = save_one(&s, &images[i], err);
	if (r == 0)
		r = save_end(&s, err);
	for (size_t i = 0; r < 0 && i < n_images; i++) {
		free(images[i].saved_digest);
		images[i].saved_digest = NULL;
	}
	return r;
}
