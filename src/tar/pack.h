/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TAR_PACK_H
#define TAR_PACK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "tar/tar.h"

/* Where an archive goes, and what is told of it. */
struct tar_sink {
	int (*put)(void *user, const void *data, size_t len, struct err *err);
	/* Something was left out; @path is that in the archive. */
	void (*warn)(void *user, const char *path, const char *what);
	void *user; /* borrowed */
};

/* Head of an entry; its stored_size bytes and padding to 512 follow. "GNU.sparse" if @e->sparse. */
MUST_CHECK int tar_put_head(const struct tar_sink *sink, const struct tar_entry *e,
			    struct err *err);

struct tar_pack_options {
	const char *as; /* name of the top entry; "." for a folder that has no name */
	bool follow;	/* links are what they point to */
	bool xattrs;
};

/**
 * tar_pack() - A file or a tree as a pax archive: mode, owner, times, links, holes
 * @name:	In @dir_fd; no component of its tree is followed unless asked for
 *
 * Blocks, but never for what is no regular file: a FIFO is an entry, a socket a warning.  Memory does
 * not grow with the tree but for hard links, and those stop being links at 64 Ki of them.
 */
MUST_CHECK int tar_pack(int dir_fd, const char *name, const struct tar_pack_options *o,
			const struct tar_sink *sink, struct err *err);

#endif /* TAR_PACK_H */
