/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_PULL_H
#define RUNTIME_PULL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

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

struct json_at;
struct json_out;
/**
 * pull_how_parse() - The keys {"pull","platform","ca_certs","insecure","auth","force"}
 * @object:	May be absent: the defaults
 * @with_force:	"force" is among them
 */
MUST_CHECK int pull_how_parse(const struct json_at *object, bool with_force,
			      struct pull_how *ret_how, struct err *err);

struct home;
struct call;
struct state_image;
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
