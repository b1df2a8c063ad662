/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_PULL_H
#define IMAGE_PULL_H

#include "base/cancel.h"
#include "image/image.h"
#include "registry/registry.h"

/* What happens during a pull, in this order; those of layers come for each layer. */
enum pull_event_type {
	PULL_RESOLVING,
	PULL_RESOLVED,	    /* digest, layers, total = bytes to download at most */
	PULL_LAYER_WAITING, /* another process has it under way */
	PULL_LAYER_DOWNLOAD_PROGRESS,
	PULL_LAYER_RETRY, /* message: why */
	PULL_LAYER_DOWNLOAD_COMPLETE,
	PULL_LAYER_MATERIALIZE_PROGRESS, /* done = bytes of the unpacked archive */
	PULL_LAYER_MATERIALIZE_COMPLETE,
	PULL_STITCH_WRITING,
	PULL_STITCH_COMPLETE,
	PULL_COMPLETE,
	PULL_EVENT_MAX,
};
/* "layer_download_progress"; static. */
const char *pull_event_name(enum pull_event_type type);

struct pull_event {
	enum pull_event_type type;
	const char *reference;	/* full form */
	const char *digest;	/* of the image or of the layer; NULL: not known yet */
	unsigned layer, layers; /* number of the layer, from 1; how many there are; 0: not known */
	uint64_t done, total;	/* bytes; total 0: not known */
	const char *message;	/* NULL: none */
};
/* Any thread, one call at a time; all borrowed for the call. Must not block. */
typedef void (*pull_event_fn)(void *user, const struct pull_event *event);

struct pull_options {
	const struct registry_options *registry;
	const char *platform; /* "linux/arm64/v8"; NULL: what this host runs */
	bool force;	      /* fetch and convert again what is there */
	bool keep_blobs; /* keep layers as they were transferred too, so that a save can be exact */
	pull_event_fn on_event; /* may be NULL */
	void *user;
	struct cancel *cancel; /* the same as registry->cancel */
};

/**
 * image_pull() - Fetch an image from its registry into the store
 * @run:	Holds what the image needs until it is closed: record the image before that
 * @reference:	Full form (image_ref_parse())
 * @ret:	Manifest and config digest, created, size; its one name is @reference
 * @err:	As registry.h, and "digest-mismatch", "platform-unavailable",
 *		"media-type-unsupported", "layer-invalid", "limit-exceeded", "disk-full", all 901
 *		but the last (803)
 *
 * Blocks.  What is in the store already is not fetched again, so a second pull of the same image asks
 * for the manifest only.  A pull that fails or is cancelled leaves partial downloads that the
 * next one continues; nothing that has a name is ever incomplete.
 */
MUST_CHECK int image_pull(struct store_run *run, const char *reference,
			  const struct pull_options *options, struct loaded_image *ret,
			  struct err *err);

#endif /* IMAGE_PULL_H */
