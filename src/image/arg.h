/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_ARG_H
#define IMAGE_ARG_H

#include <stdbool.h>

#include "base/defer.h"
#include "base/err.h"

/* What the text that names an image means. It is judged by its form alone; no file is looked at. */
enum image_arg_kind {
	IMAGE_ARG_LOCAL,     /* a folder or a file */
	IMAGE_ARG_LAYOUT,    /* oci:DIR[:TAG] */
	IMAGE_ARG_ARCHIVE,   /* docker-archive:FILE[:TAG], oci-archive:FILE[:TAG] */
	IMAGE_ARG_DIGEST,    /* sha256:HEX, 12 to 64 digits */
	IMAGE_ARG_REFERENCE, /* of a registry */
	IMAGE_ARG_KIND_MAX
};

struct image_arg {
	enum image_arg_kind kind;
	char *path; /* owned; LOCAL, LAYOUT, ARCHIVE: as written */
	char *pick; /* owned; LAYOUT, ARCHIVE: tag or name of the one meant; NULL: there is but one */
	char *full; /* owned; DIGEST: the digest; REFERENCE: its full form */
};

/**
 * image_arg_parse() - Take the text apart
 * @err:	INVALID with reason "image-ref-invalid": what is wrong with it
 */
MUST_CHECK int image_arg_parse(const char *text, struct image_arg *ret, struct err *err);
void image_arg_done(struct image_arg *a);
static inline void image_arg_done_auto(struct image_arg *a)
{
	image_arg_done(a);
}

/* A path by its form: ".", "..", or begins with "/", "./", "../", "~/". */
bool path_is_local(const char *text);
/* The same, or the plain name of a disk image: NAME.qcow2, NAME.raw. */
bool image_arg_is_local(const char *text);

#endif /* IMAGE_ARG_H */
