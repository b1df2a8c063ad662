/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_DOCS_H
#define IMAGE_DOCS_H

#include "image/digest.h"
#include "image/image.h"
#include "image/media.h"

/*
 * Documents of images: configs, manifests, indexes, and docker's manifest.json.  All of them are
 * hostile.  Errors: INVALID that says where, or with reason "limit-exceeded" or
 * "media-type-unsupported".
 */
struct sha {
	uint8_t b[SHA256_BYTES];
};

struct config {
	struct image image; /* what the config says of a struct image */
	char *created;	    /* RFC 3339; NULL: not said */
	char *os, *variant; /* "linux", "v8"; NULL: not said */
	struct sha *diff_ids;
	size_t n_diff_ids;
};
void config_done(struct config *c);
static inline void config_done_auto(struct config *c)
{
	config_done(c);
}
MUST_CHECK int config_parse(const void *data, size_t len, const struct image_limits *limits,
			    struct config *ret, struct err *err);

/* Names a document or blob. */
struct descriptor {
	struct sha digest;
	uint64_t size; /* bytes */
};
#define SIZE_UNKNOWN UINT64_MAX /* of a descriptor that does not say */

/* OCI manifest, or docker's schema 2. */
struct manifest {
	struct descriptor config;
	struct descriptor *layers;
	size_t n_layers;
};
void manifest_done(struct manifest *m);
static inline void manifest_done_auto(struct manifest *m)
{
	manifest_done(m);
}
MUST_CHECK int manifest_parse(const void *data, size_t len, const struct image_limits *limits,
			      struct manifest *ret, struct err *err);

/**
 * doc_kind() - MEDIA_MANIFEST or MEDIA_INDEX
 * @type:	What the registry calls it; "": nothing
 *
 * The document's own word counts first, then @type, then what is in it.  One that could be read as
 * both is refused.
 */
MUST_CHECK int doc_kind(const void *data, size_t len, const struct image_limits *limits,
			const char *type, enum media *ret, struct err *err);

/* OCI index, or docker's manifest list. */
struct index_entry {
	struct descriptor d;
	bool is_index;
	char *os, *architecture, *variant; /* NULL: not said */
	char *name;			   /* from an annotation: as written, may be a plain tag */
	bool skip;			   /* an attestation, an artifact, or for nobody */
};
struct index {
	struct index_entry *entries;
	size_t n_entries;
};
void index_done(struct index *x);
static inline void index_done_auto(struct index *x)
{
	index_done(x);
}
MUST_CHECK int index_parse(const void *data, size_t len, const struct image_limits *limits,
			   struct index *ret, struct err *err);

/* manifest.json of docker save. */
struct docker_image {
	char *config;  /* name of a member */
	char **layers; /* likewise */
	size_t n_layers;
	char **tags;
	size_t n_tags;
};
struct docker_manifest {
	struct docker_image *images;
	size_t n_images;
};
void docker_manifest_done(struct docker_manifest *m);
static inline void docker_manifest_done_auto(struct docker_manifest *m)
{
	docker_manifest_done(m);
}
MUST_CHECK int docker_manifest_parse(const void *data, size_t len,
				     const struct image_limits *limits, struct docker_manifest *ret,
				     struct err *err);

/* image_free() for a struct image that is part of another. */
void image_done(struct image *img);

/* Free a list that ends with NULL. */
void strings_free(char **list);

#endif /* IMAGE_DOCS_H */
