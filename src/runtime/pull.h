/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_PULL_H
#define RUNTIME_PULL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "registry/registry.h"

/* When the registry is asked for an image; docs/api/spec.md, `registry`. */
enum pull_policy { PULL_IF_MISSING, PULL_ALWAYS, PULL_NEVER, PULL_POLICY_MAX };

/* How an image is fetched.  Strings are owned by it. */
struct pull_how {
	enum pull_policy policy;
	char *platform;	     /* "linux/arm64/v8"; NULL: what this host runs */
	char **ca_files;     /* PEM, trusted beside the system's; NULL-terminated; NULL: none */
	char *user, *secret; /* the only credentials then; NULL: look them up */
	bool insecure, force;
};
/* Wipes the secret. */
void pull_how_done(struct pull_how *how);

static inline void pull_how_done_auto(struct pull_how *how)
{
	pull_how_done(how);
}

/* Who asks, and so which of the keys there are. */
enum pull_how_of {
	PULL_HOW_SPEC,	/* pull, platform, ca_certs, insecure, auth */
	PULL_HOW_PULL,	/* and force */
	PULL_HOW_LOGIN, /* ca_certs, insecure */
	PULL_HOW_OF_MAX
};
struct json_at;
struct json_out;
/* @object: may be absent: the defaults. INVALID */
MUST_CHECK int pull_how_parse(const struct json_at *object, enum pull_how_of of,
			      struct pull_how *ret_how, struct err *err);
/* The same of a text, which errors call "options". */
MUST_CHECK int pull_how_parse_text(const char *text, enum pull_how_of of, struct pull_how *ret_how,
				   struct err *err);

struct home;
struct call;
struct state_image;

/* What the registry client is told; it borrows from home, how and call. */
struct fetch_from {
	struct registry_options options;
	int ca; /* owned: all certificates as one file; -1: none */
	char ca_path[32];
};
/* IO: a file of certificates cannot be read. Stays where it is: options point into it. */
MUST_CHECK int fetch_from_init(struct fetch_from *f, const struct home *home,
			       const struct pull_how *how, const struct call *call,
			       struct err *err);
void fetch_from_done_auto(struct fetch_from *f);

/**
 * home_image_get() - The record of the image that @text means, fetched if the policy says so
 * @text:	Reference, or a digest that may be shortened: that is never fetched
 * @how:	NULL: the defaults
 * @removed:	Open object for what home_image_gc() says of a fetch; NULL: nobody asks
 * @err:	IMAGE_NOT_FOUND (reason "image-not-cached": the policy is `never`), and as image_pull()
 *
 * Local files only if the image is here and the policy lets it be.  Else one process fetches and
 * the others wait for it.
 */
MUST_CHECK int home_image_get(struct home *home, const char *text, const struct pull_how *how,
			      const struct call *call, struct state_image *ret_image,
			      struct json_out *removed, struct err *err);

#endif /* RUNTIME_PULL_H */
