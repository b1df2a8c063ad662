/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STATE_STATE_H
#define STATE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/defer.h"
#include "base/err.h"

/*
 * The records in MSB_HOME/db: images and their names, sandboxes.  A record says what is known,
 * not what is alive: that is the lock in the run folder (docs/internals/state.md).
 *
 * Any thread; several processes may have one home open.  Each function is one transaction.
 * All fail with IO unless they say more.  Strings of a record are borrowed when it goes in
 * and owned by the record when it comes out.
 */
struct state;

/**
 * state_open() - Open the database, made or brought up to date if needed
 * @home:	Path of MSB_HOME
 * @err:	IO; UNAVAILABLE if a newer program has written it
 */
MUST_CHECK int state_open(const char *home, struct state **ret_state, struct err *err);
void state_close(struct state *state);
DEFINE_AUTO(struct state *, state_close);

/* ---- images ---- */

struct state_image {
	char *reference; /* full; NULL if the image has no name */
	char *manifest_digest, *config_digest;
	char *created;		     /* RFC 3339, NULL if the image does not say */
	char *platform;		     /* "linux/amd64"; NULL: not known */
	uint64_t size;		     /* bytes of its layers' data */
	uint64_t loaded_at, used_at; /* wall clock, ns since the epoch; used_at 0: never */
	unsigned used_by;	     /* sandboxes that keep it; of a record that comes out */
};
void state_image_done(struct state_image *image);
static inline void state_image_done_auto(struct state_image *image)
{
	state_image_done(image);
}
/* -ENOMEM */
MUST_CHECK int state_image_copy(const struct state_image *image, struct state_image *ret_copy);

/* A file of the store that an image needs, as it was when the image was recorded; all borrowed. */
struct state_file {
	const char *kind;   /* its part in the image: "layer", "tree" ...; the user's words */
	const char *name;   /* below images/ */
	const char *digest; /* of its content, "sha256:..." */
	uint64_t size;	    /* bytes */
	uint64_t disk;	    /* bytes that it takes on disk */
	uint64_t inode;	    /* number */
	int64_t mtime;	    /* ns since the epoch */
};

/**
 * state_image_put() - Record an image, what it needs and its names; an old record is replaced
 * @image:	reference, used_at and used_by are not looked at
 * @references:	NULL-terminated, full; each names this image from now on; NULL: none
 * @files:	All that it needs, in an order of the caller's
 *
 * The caller holds the files until it returns.
 */
MUST_CHECK int state_image_put(struct state *state, const struct state_image *image,
			       const char *const *references, const struct state_file *files,
			       size_t n_files, struct err *err);
/* Let @reference name the image @manifest_digest from now on. NOT_FOUND: no such image */
MUST_CHECK int state_ref_put(struct state *state, const char *reference,
			     const char *manifest_digest, struct err *err);
/* The image that @reference names. NOT_FOUND. */
MUST_CHECK int state_ref_get(struct state *state, const char *reference,
			     struct state_image *ret_image, struct err *err);
/* An image, and the first of its names. NOT_FOUND. */
MUST_CHECK int state_image_get(struct state *state, const char *manifest_digest,
			       struct state_image *ret_image, struct err *err);
/* Note a use of the image. A missing one is fine. */
MUST_CHECK int state_image_used(struct state *state, const char *manifest_digest, uint64_t at,
				struct err *err);

/* One row of a list; a negative answer (-errno) ends it and is returned. */
typedef int (*state_image_fn)(void *user, const struct state_image *image);
typedef int (*state_file_fn)(void *user, const struct state_file *file);
typedef int (*state_text_fn)(void *user, const char *text);
/* Each name, in order; images without a name last. */
MUST_CHECK int state_image_list(struct state *state, state_image_fn fn, void *user,
				struct err *err);
/* Images whose manifest or config digest begins with @prefix, "sha256:...", of at least 12 digits. */
MUST_CHECK int state_image_find(struct state *state, const char *prefix, state_image_fn fn,
				void *user, struct err *err);
/* Images that no sandbox keeps, the least recently used first; with the first of their names. */
MUST_CHECK int state_image_unused(struct state *state, state_image_fn fn, void *user,
				  struct err *err);
/* Images that have files of kind @kind, the least recently used first. */
MUST_CHECK int state_image_having(struct state *state, const char *kind, state_image_fn fn,
				  void *user, struct err *err);
/* Images of which it is not known what they need: recorded by an older version. */
MUST_CHECK int state_image_unknown(struct state *state, state_image_fn fn, void *user,
				   struct err *err);
/* What an image needs, in the order it was recorded. */
MUST_CHECK int state_image_files(struct state *state, const char *manifest_digest, state_file_fn fn,
				 void *user, struct err *err);
/* Names of the image, in order. */
MUST_CHECK int state_image_refs(struct state *state, const char *manifest_digest, state_text_fn fn,
				void *user, struct err *err);
/* Names of the sandboxes that keep it, in order. */
MUST_CHECK int state_image_users(struct state *state, const char *manifest_digest, state_text_fn fn,
				 void *user, struct err *err);

struct state_layer {
	const char *manifest_digest; /* of the image; borrowed, as all here */
	const char *digest;
	uint64_t size;
	bool shared; /* another image needs it too */
};
typedef int (*state_layer_fn)(void *user, const struct state_layer *layer);
/* The files of kind @kind of all images, in order of images, then of position. */
MUST_CHECK int state_layer_list(struct state *state, const char *kind, state_layer_fn fn,
				void *user, struct err *err);

/**
 * state_image_remove() - Forget names of an image, and the image once it has none
 * @reference:	The name that goes; NULL: all of them
 * @names_only:	The image stays, without a name if that was the last
 * @ret_gone:	The image was forgotten: its files may go
 * @err:	BUSY (number IMAGE_IN_USE): a sandbox keeps it, nothing was changed
 *
 * A missing image or name is fine.  The caller has the image for itself (store_remove_try()).
 */
MUST_CHECK int state_image_remove(struct state *state, const char *manifest_digest,
				  const char *reference, bool names_only, bool *ret_gone,
				  struct err *err);
/* The image does without its files of kind @kind from now on. */
MUST_CHECK int state_image_spare(struct state *state, const char *manifest_digest, const char *kind,
				 struct err *err);

/**
 * state_file_forget() - Forget a file, unless an image needs it
 * @ret_needed:	It is needed, and known still
 *
 * The caller has the object for itself; nobody records that it is needed meanwhile.
 */
MUST_CHECK int state_file_forget(struct state *state, const char *name, bool *ret_needed,
				 struct err *err);
/* Names of all files that some image needs, in order. */
MUST_CHECK int state_file_list(struct state *state, state_text_fn fn, void *user, struct err *err);
/* Bytes on disk that only these images need: what removing them would free. */
MUST_CHECK int state_images_cost(struct state *state, const char *const *digests, size_t n,
				 uint64_t *ret_bytes, struct err *err);
/* Bytes on disk of all files that some image needs, each counted once. */
MUST_CHECK int state_file_total(struct state *state, uint64_t *ret_bytes, struct err *err);

/* ---- sandboxes ---- */

struct state_sandbox {
	char *id, *name;
	char *spec;	    /* JSON with all defaults */
	char *status;	    /* "created", "starting", "running", "stopped", "crashed" */
	char *reason;	    /* why it ended, NULL before */
	char *image_digest; /* manifest of the image it keeps; NULL: none, or not known */
	bool ephemeral;
	bool flushed;		       /* of the last end */
	int32_t exit_code;	       /* of main at the last end; -1: none */
	int32_t exit_signal;	       /* 0: none */
	uint64_t created_at;	       /* wall clock, ns since the epoch */
	uint64_t started_at, ended_at; /* the same; 0: not yet */
};
void state_sandbox_done(struct state_sandbox *sb);

/* EXISTS if the name (or the id) is taken; NOT_FOUND if its image is not recorded. */
MUST_CHECK int state_sandbox_add(struct state *state, const struct state_sandbox *sb,
				 struct err *err);
/* NOT_FOUND. A name may look like the id of another. */
MUST_CHECK int state_sandbox_by_id(struct state *state, const char *id,
				   struct state_sandbox *ret_sb, struct err *err);
MUST_CHECK int state_sandbox_by_name(struct state *state, const char *name,
				     struct state_sandbox *ret_sb, struct err *err);
/* For what a user wrote: by name, else by id. */
MUST_CHECK int state_sandbox_find(struct state *state, const char *name_or_id,
				  struct state_sandbox *ret_sb, struct err *err);

/**
 * state_sandbox_claim() - From "created", "stopped" or "crashed" to "starting", for one caller only
 * @now:	Wall clock, ns: when it was started
 * @err:	BUSY if it is in another state, or not there
 */
MUST_CHECK int state_sandbox_claim(struct state *state, const char *id, uint64_t now,
				   struct err *err);
/* A status while it is up; one that has ended meanwhile stays as it is. NOT_FOUND. */
MUST_CHECK int state_sandbox_set_status(struct state *state, const char *id, const char *status,
					struct err *err);
/* Name and spec of one that is down. EXISTS: the name is taken; BUSY: it is up; NOT_FOUND. */
MUST_CHECK int state_sandbox_rename(struct state *state, const char *id, const char *name,
				    const char *spec, struct err *err);
/*
 * Status, reason, exit fields and ended_at of @sb, by its id. A missing row is fine, and so is one
 * whose end is recorded: it stays as it is. started_at: 0, or the start that has to be recorded.
 */
MUST_CHECK int state_sandbox_set_end(struct state *state, const struct state_sandbox *sb,
				     struct err *err);
/* Let a sandbox that does not know its image keep this one. */
MUST_CHECK int state_sandbox_set_image(struct state *state, const char *id,
				       const char *image_digest, struct err *err);
/* A missing row is fine. */
MUST_CHECK int state_sandbox_remove(struct state *state, const char *id, struct err *err);

typedef int (*state_sandbox_fn)(void *user, const struct state_sandbox *sb);
/* In order of names. */
MUST_CHECK int state_sandbox_list(struct state *state, state_sandbox_fn fn, void *user,
				  struct err *err);
/* Those that should be alive: "starting" and "running". */
MUST_CHECK int state_sandbox_list_up(struct state *state, state_sandbox_fn fn, void *user,
				     struct err *err);

#endif /* STATE_STATE_H */
