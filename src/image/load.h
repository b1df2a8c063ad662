/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_LOAD_H
#define IMAGE_LOAD_H

#include "image/archive.h"
#include "image/docs.h"
#include "image/platform.h"

/*
 * An image_load() under way: load_find.c finds the images of the archive, load_image.c checks each,
 * load.c puts them into the store.
 */

/* An image that was found and checked. */
struct found {
	const struct member *doc;    /* borrowed: its manifest; NULL: it has none of its own */
	const struct member *config; /* borrowed */
	struct buf manifest;	     /* raw bytes */
	struct member **layers;	     /* owned list, borrowed members */
	size_t n_layers;
	struct sha *diff_ids;
	char *created; /* as the config has it; NULL: not said */
	char **names;  /* NULL-terminated */
	size_t n_names;
};

struct loader {
	struct store_run *run; /* borrowed */
	const char *what;      /* borrowed: name of the archive, for messages */
	struct platform want;
	struct load_options options;
	struct archive archive;
	struct found *found; /* owned */
	size_t n_found;
	size_t n_entries; /* of all nested indexes that were looked at */
};

void loader_done(struct loader *l);
static inline void loader_done_auto(struct loader *l)
{
	loader_done(l);
}

/* ---- load_image.c ---- */

/* Add to @l->found what a manifest names, or the name alone if it is there. @name may be NULL. */
MUST_CHECK int load_oci_image(struct loader *l, const struct member *doc, const char *name,
			      struct err *err);
/* The same for an entry of manifest.json. */
MUST_CHECK int load_docker_image(struct loader *l, const struct docker_image *d, struct err *err);

/* ---- load_find.c ---- */

/* Fill @l->found. @err: INVALID: nothing there, not what was picked, or not just one */
MUST_CHECK int find_images(struct loader *l, struct err *err);

#endif /* IMAGE_LOAD_H */
