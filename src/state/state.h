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
	char *created;	    /* RFC 3339, NULL if the image does not say */
	uint64_t size;	    /* bytes of its layers' data */
	uint64_t loaded_at; /* wall clock, ns since the epoch */
};
void state_image_done(struct state_image *image);

/* Record an image; its old record is replaced. @image->reference is not looked at. */
MUST_CHECK int state_image_put(struct state *state, const struct state_image *image,
			       struct err *err);
/* Let @reference name the image @manifest_digest from now on. */
MUST_CHECK int state_ref_put(struct state *state, const char *reference,
			     const char *manifest_digest, struct err *err);
/* The image that @reference names. NOT_FOUND. */
MUST_CHECK int state_ref_get(struct state *state, const char *reference,
			     struct state_image *ret_image, struct err *err);

/* One row of a list; a negative answer ends it and is returned. */
typedef int (*state_image_fn)(void *user, const struct state_image *image);
/* Each name, in order; images without a name last. */
MUST_CHECK int state_image_list(struct state *state, state_image_fn fn, void *user,
				struct err *err);

/* ---- sandboxes ---- */

struct state_sandbox {
	char *id, *name;
	char *spec;   /* JSON with all defaults */
	char *status; /* "starting", "running", "stopped", "crashed" */
	char *reason; /* why it ended, NULL before */
	bool ephemeral;
	bool flushed;		       /* of the last end */
	int32_t exit_code;	       /* of main at the last end; -1: none */
	int32_t exit_signal;	       /* 0: none */
	uint64_t created_at;	       /* wall clock, ns since the epoch */
	uint64_t started_at, ended_at; /* the same; 0: not yet */
};
void state_sandbox_done(struct state_sandbox *sb);

/* EXISTS if the name (or the id) is taken. */
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
 * state_sandbox_claim() - From "stopped" or "crashed" to "starting", for one caller only
 * @err:	NOT_FOUND; BUSY if it is in another state
 */
MUST_CHECK int state_sandbox_claim(struct state *state, const char *id, struct err *err);
/* A status while it is up. NOT_FOUND. */
MUST_CHECK int state_sandbox_set_status(struct state *state, const char *id, const char *status,
					struct err *err);
/*
 * Status, reason, exit fields and ended_at of @sb, by its id. A missing row is fine, and so is one
 * whose end is recorded: it stays as it is.
 */
MUST_CHECK int state_sandbox_set_end(struct state *state, const struct state_sandbox *sb,
				     struct err *err);
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
