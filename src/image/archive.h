/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_ARCHIVE_H
#define IMAGE_ARCHIVE_H

#include "base/buf.h"
#include "image/layer.h"

/*
 * An archive given to load, read once, front to back: documents are held in memory, what looks
 * like a layer has become one (in temporary files).
 */
enum member_kind {
	MEMBER_OTHER,
	MEMBER_DOC,
	MEMBER_LAYER,
	MEMBER_BAD,
	MEMBER_SYMLINK,
	MEMBER_LINK
};

struct member {
	char *name; /* cleaned */
	char *link; /* MEMBER_SYMLINK, MEMBER_LINK */
	enum member_kind kind;
	struct buf doc;
	uint8_t sha[SHA256_BYTES]; /* of a document or a layer, as it stands in the archive */
	struct layer layer;
	struct layer_writer *writer; /* owned; MEMBER_LAYER, until it is written */
	struct err *bad;	     /* MEMBER_BAD: why it is no layer */
};

struct archive {
	struct store_run *run; /* borrowed */
	struct member *members;
	size_t n_members, cap_members;
	uint64_t doc_bytes;
	/* while reading */
	uint64_t size; /* of the present member */
	bool open, decided;
	uint8_t head[512];
	size_t n_head;
	unsigned n_writers; /* members with one */
};

MUST_CHECK int archive_read(struct archive *a, struct store_run *run, int fd, const char *what,
			    struct err *err);
/* Removes layers that were not published. */
void archive_done(struct archive *a);
static inline void archive_done_auto(struct archive *a)
{
	archive_done(a);
}

/* The member of that name, links followed; NULL if there is none. */
struct member *archive_find(struct archive *a, const char *name);
/* The member blobs/sha256/HEX. */
struct member *archive_blob(struct archive *a, const uint8_t sha[SHA256_BYTES]);

#endif /* IMAGE_ARCHIVE_H */
