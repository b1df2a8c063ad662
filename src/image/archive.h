/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_ARCHIVE_H
#define IMAGE_ARCHIVE_H

#include "base/buf.h"
#include "image/layer.h"

/*
 * An archive given to load, read once, front to back, or the folder of a layout, of which each file
 * is read when it is asked for: documents are held in memory, what looks like a layer has become one
 * (in temporary files).
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
	struct store_run *run;	 /* borrowed */
	const char *what;	 /* borrowed: its name, for messages */
	int dir_fd;		 /* borrowed: the folder of a layout; -1: all has been read */
	struct member **members; /* owned */
	size_t n_members, cap_members;
	uint64_t doc_bytes;
	/* while reading */
	uint64_t size; /* of the present member */
	bool open, decided;
	uint8_t head[512];
	size_t n_head;
	unsigned n_writers; /* members with one */
};

#define BLOB_DIR "blobs/sha256/" /* of an OCI layout */

/* Read a stream to its end; of a folder nothing is read yet. @fd and @what are borrowed till the end. */
MUST_CHECK int archive_open(struct archive *a, struct store_run *run, int fd, const char *what,
			    struct err *err);
/* Removes layers that were not published. */
void archive_done(struct archive *a);
static inline void archive_done_auto(struct archive *a)
{
	archive_done(a);
}

/* A file as one more member; @name is clean. Members never move. */
MUST_CHECK int archive_take_file(struct archive *a, const char *name, int fd, uint64_t size,
				 struct err *err);
/* A document that the archive itself does not have. */
MUST_CHECK int archive_add_doc(struct archive *a, const char *name, const struct buf *doc,
			       struct err *err);

/* The member of that name, links followed; *ret is NULL if there is none. */
MUST_CHECK int archive_find(struct archive *a, const char *name, struct member **ret,
			    struct err *err);
/* The member blobs/sha256/HEX. */
MUST_CHECK int archive_blob(struct archive *a, const uint8_t sha[SHA256_BYTES], struct member **ret,
			    struct err *err);

#endif /* IMAGE_ARCHIVE_H */
