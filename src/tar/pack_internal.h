/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TAR_PACK_INTERNAL_H
#define TAR_PACK_INTERNAL_H

#include <sys/types.h>

#include "base/buf.h"
#include "tar/pack.h"

struct stat;

#define PACK_BYTES (128u << 10) /* of one read, and of one piece to the sink */

struct pack_link {
	dev_t dev;
	ino_t ino;
	char *path; /* owned; in the archive; NULL: the slot is free */
};

struct packer {
	const struct tar_pack_options *o;
	const struct tar_sink *to; /* borrowed */
	struct tar_sink sink;	   /* into out[] */
	struct err *err;	   /* of the call that is under way */
	struct buf path;	   /* in the archive, with a NUL behind */
	struct pack_link *links;   /* owned table, by inode */
	size_t n_links, cap_links;
	size_t len; /* bytes in out */
	uint8_t out[PACK_BYTES];
};

/* Send what is collected. */
MUST_CHECK int pack_flush(struct packer *p);
/* Tell what is left out. */
void pack_warn(struct packer *p, const char *what);
/* Fill what the kernel tells of a file; name is the present path. */
void pack_entry(struct packer *p, enum tar_type type, const struct stat *st, struct tar_entry *e);
/* A regular file with its attributes and holes. */
MUST_CHECK int pack_file(struct packer *p, int fd, const struct stat *st);
/* Head of an entry with the attributes of @fd (-1: none). */
MUST_CHECK int pack_head(struct packer *p, int fd, struct tar_entry *e);

#endif /* TAR_PACK_INTERNAL_H */
