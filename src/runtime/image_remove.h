/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_IMAGE_REMOVE_H
#define RUNTIME_IMAGE_REMOVE_H

#include "runtime/internal.h"

/* Removal of images, for rm, prune and the garbage collection. */
struct removal {
	struct home *home;     /* borrowed */
	struct store_run *run; /* owned; it holds nothing */
	uint64_t bytes;	       /* on disk, that came free */
};

MUST_CHECK int removal_open(struct home *home, const struct call *call, struct removal *ret,
			    struct err *err);
void removal_close(struct removal *rm);
static inline void removal_close_auto(struct removal *rm)
{
	removal_close(rm);
}

/**
 * removal_image() - Remove a name, and with the last one the image and its files
 * @reference:	NULL: all names
 * @patient:	Wait for a start to end
 * @err:	BUSY: a sandbox keeps it (number IMAGE_IN_USE), or a run holds it; nothing was changed
 */
MUST_CHECK int removal_image(struct removal *rm, const char *digest, const char *reference,
			     bool patient, bool *ret_gone, struct err *err);
/* Delete a file that no image needs; one that is needed or held stays. */
MUST_CHECK int removal_drop_file(struct removal *rm, const char *name, struct err *err);
/* Delete all files that no image needs, and old unfinished downloads. */
MUST_CHECK int removal_sweep(struct removal *rm, const struct call *call, struct err *err);
/* What a sweep would free, in bytes on disk. */
MUST_CHECK int removal_loose_bytes(struct removal *rm, uint64_t *ret_bytes, struct err *err);

#endif /* RUNTIME_IMAGE_REMOVE_H */
