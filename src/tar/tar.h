/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TAR_TAR_H
#define TAR_TAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/defer.h"
#include "base/err.h"

/*
 * Tar reader: ustar, old GNU and pax, fed with pieces of any size.  It knows the format, not
 * what a layer means.
 */
enum tar_type { TAR_FILE, TAR_DIR, TAR_SYMLINK, TAR_LINK, TAR_CHAR, TAR_BLOCK, TAR_FIFO };

/* Bytes of a sparse file that are not a hole. */
struct tar_chunk {
	uint64_t file_offset;
	uint64_t len;
	uint64_t data_offset; /* in the archive */
};

enum tar_xattr_kind { TAR_XATTR_BINARY, TAR_XATTR_ACL_TEXT };

struct tar_xattr {
	const char *name; /* "user.foo"; for texts the attribute that it becomes */
	const uint8_t *value;
	size_t len;
	enum tar_xattr_kind kind;
};

/* Borrowed by the handler for the call. */
struct tar_entry {
	enum tar_type type;
	const char *name; /* as it stands in the archive */
	const char *link;
	uint32_t mode; /* 12 bits */
	uint32_t uid, gid;
	uint32_t major, minor;
	int64_t mtime; /* seconds, rounded down */
	uint32_t mtime_ns;
	uint64_t offset;      /* of the header in the archive */
	uint64_t size;	      /* of the file as the guest sees it */
	uint64_t data_offset; /* of its content in the archive */
	uint64_t stored_size; /* bytes that follow in the archive */
	bool sparse;
	const struct tar_chunk *chunks;
	size_t n_chunks;
	const struct tar_xattr *xattrs;
	size_t n_xattrs;
};

struct tar_handler {
	int (*entry)(void *user, const struct tar_entry *e, struct err *err);
	/* Content of the last entry, as stored; either may be NULL. */
	int (*data)(void *user, const uint8_t *data, size_t len, struct err *err);
	int (*end)(void *user, struct err *err);
};

struct tar;

/**
 * tar_new() - A reader
 * @handler:	Borrowed, with @user, until tar_free()
 * @file_bytes:	A larger file is "limit-exceeded"
 */
MUST_CHECK int tar_new(const struct tar_handler *handler, void *user, uint64_t file_bytes,
		       struct tar **ret);
void tar_free(struct tar *t);
DEFINE_AUTO(struct tar *, tar_free);

/**
 * tar_feed() - The next bytes of the archive
 * @err:	INVALID with entry name and byte offset, or what a handler said
 *
 * After the end marker all bytes are taken and mean nothing.
 */
MUST_CHECK int tar_feed(struct tar *t, const uint8_t *data, size_t len, struct err *err);
/* No more bytes come: an entry that is not complete is an error. */
MUST_CHECK int tar_finish(struct tar *t, struct err *err);

/* Does a block look like the first of a tar archive: a header with its checksum, or zeros? */
bool tar_is_header(const uint8_t block[512]);

#endif /* TAR_TAR_H */
