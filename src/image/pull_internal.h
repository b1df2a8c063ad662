/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_PULL_INTERNAL_H
#define IMAGE_PULL_INTERNAL_H

#include <pthread.h>

#include "image/docs.h"
#include "image/limits.h"
#include "image/platform.h"
#include "image/pull.h"
#include "image/store.h"

/* One layer of the image; one that is listed twice is here once. */
struct pull_layer {
	struct sha digest, diff_id;
	uint64_t size;	   /* bytes to download */
	uint64_t unpacked; /* bytes of its data file, once it is there */
	unsigned number;   /* where it stands in the manifest first, from 1 */
	bool missing;
};

/* One pull. */
struct pull {
	struct store_run *run;		      /* borrowed */
	const struct pull_options *options;   /* borrowed */
	const char *reference;		      /* borrowed */
	struct registry_options registry_how; /* with our own switch */
	struct cancel *cancel;	   /* owned: fired by the caller's, or when a layer has failed */
	struct registry *registry; /* owned */
	struct platform want;

	/* pull_resolve() */
	struct buf docs[INDEX_DEPTH_MAX + 2]; /* raw: the indexes on the way, last the manifest */
	size_t n_docs;
	size_t n_entries;     /* of all indexes */
	struct buf platforms; /* those that exist, as a text */
	struct manifest manifest;
	struct buf config_doc;
	struct config config;

	/* the layers, largest first */
	struct pull_layer *layers;
	size_t n_layers;

	pthread_mutex_t lock;
	/* under lock */
	size_t next_layer;
	struct err failure; /* the first one of a layer */
};

/* An event; @l: NULL if it is about the image, whose digest is @digest then. */
void pull_tell(struct pull *p, enum pull_event_type type, const struct pull_layer *l,
	       const char *digest, uint64_t done, uint64_t total, const char *message);

/* Manifest and config, from the reference to the platform that fits. */
MUST_CHECK int pull_resolve(struct pull *p, struct err *err);
/* Is all of it in the store? Tells the size of its data file then. */
bool pull_has_layer(struct pull *p, struct pull_layer *l);
/* Fetch and convert one layer, unless it is there by now.  Any thread, several at once. */
MUST_CHECK int pull_one_layer(struct pull *p, struct pull_layer *l, struct err *err);

/* Between two steps: CANCELLED once the caller's switch or ours is fired. */
MUST_CHECK int pull_check(struct pull *p, struct err *err);
/* "digest-mismatch". Return: negative. */
int pull_mismatch(struct pull *p, const char *what, const uint8_t want[SHA256_BYTES],
		  const uint8_t found[SHA256_BYTES], struct err *err);
/* The stage of an error that has none: what its reason says, or else @stage. Return: negative. */
int pull_failed(struct err *err, const char *stage);

#endif /* IMAGE_PULL_INTERNAL_H */
