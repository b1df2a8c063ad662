/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TAR_UNPACK_INTERNAL_H
#define TAR_UNPACK_INTERNAL_H

#include <sys/types.h>

#include "base/buf.h"
#include "tar/tar.h"
#include "tar/unpack.h"

/* What is set once the content is there. */
struct unpack_meta {
	mode_t mode;
	uid_t uid;
	gid_t gid;
	int64_t mtime;
	uint32_t mtime_ns;
};

/* A folder whose mode and times wait until nothing more comes below it. */
struct unpack_dir {
	char *path; /* owned */
	struct unpack_meta meta;
};

struct tar_unpack {
	int dir_fd; /* borrowed */
	const struct tar_unpack_options *o;
	struct tar *tar;	 /* owned */
	struct buf path, target; /* names, checked, with a NUL behind */

	struct buf parent; /* path of parent_fd */
	int parent_fd;	   /* owned; -1: none */

	struct unpack_dir *dirs; /* owned stack: each lies in the one before */
	size_t n_dirs, cap_dirs;

	int fd; /* owned; the file at work, -1: none */
	struct unpack_meta meta;
	struct tar_chunk *chunks; /* owned */
	size_t n_chunks, chunk;
	bool sparse;
	uint64_t size, at; /* of the file; bytes of the present chunk, or of the file, that came */
	struct buf xattrs; /* name, NUL, 4 bytes of length, value */
};

/* ---- unpack_path.c ---- */

/* Check a name of the archive: components joined by one "/", in @to; may be "". */
MUST_CHECK int unpack_name(struct tar_unpack *u, const char *name, struct buf *to, struct err *err);
/* Folder of a checked path, made if missing; borrowed until the next call. *ret_name: the last part. */
MUST_CHECK int unpack_parent(struct tar_unpack *u, const char *path, int *ret_fd,
			     const char **ret_name, struct err *err);
/* "cannot WHAT 'PATH'", with the path as subject. */
int unpack_failed(struct tar_unpack *u, int sys, const char *what, struct err *err);
/* openat2() below the folder, through no link. */
MUST_CHECK int unpack_open(const struct tar_unpack *u, const char *path, int flags);

/* ---- unpack_dirs.c ---- */

void unpack_meta_of(const struct tar_unpack *u, const struct tar_entry *e, struct unpack_meta *ret);
/* Owner, mode, times of an open file or folder. */
MUST_CHECK int unpack_set_meta(struct tar_unpack *u, int fd, const struct unpack_meta *m,
			       struct err *err);
/* The path is a folder that waits for its mode and times. */
MUST_CHECK int unpack_push_dir(struct tar_unpack *u, const struct tar_entry *e, struct err *err);
/* Those that @path does not lie in get theirs; NULL: all. */
MUST_CHECK int unpack_pop_dirs(struct tar_unpack *u, const char *path, struct err *err);

/* ---- unpack_file.c ---- */

MUST_CHECK int unpack_file_begin(struct tar_unpack *u, const struct tar_entry *e, int parent,
				 const char *name, struct err *err);
MUST_CHECK int unpack_file_data(struct tar_unpack *u, const uint8_t *data, size_t len,
				struct err *err);
MUST_CHECK int unpack_file_end(struct tar_unpack *u, struct err *err);
/* Attributes of an entry to an open file or folder. */
MUST_CHECK int unpack_keep_xattrs(struct tar_unpack *u, const struct tar_entry *e, struct err *err);
void unpack_set_xattrs(struct tar_unpack *u, int fd);

static inline void unpack_warn(const struct tar_unpack *u, const char *what)
{
	u->o->warn(u->o->user, (const char *)u->path.data, what);
}

#endif /* TAR_UNPACK_INTERNAL_H */
