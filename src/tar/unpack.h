/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TAR_UNPACK_H
#define TAR_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/defer.h"
#include "base/err.h"

struct tar_unpack_options {
	const char *top; /* the only name at the top; NULL: any */
	bool tame; /* a stranger's archive: no devices, no setuid, setgid; attributes "user." only */
	bool owner; /* owners are those of the archive */
	bool xattrs;
	bool chown; /* owner of all is this one */
	uint32_t uid, gid;
	/* Something was left out or not kept. */
	void (*warn)(void *user, const char *path, const char *what);
	void *user; /* borrowed */
};

/*
 * An archive becomes files below one folder, and nowhere else, whatever it says: names are resolved
 * below the descriptor of that folder and never through a link; links are made as they are written
 * and not followed.  What is in the way of a file is replaced, a folder stays and is filled.
 */
struct tar_unpack;

/**
 * tar_unpack_new() - Begin
 * @dir_fd:	The folder; borrowed, with @o and what it points to, until tar_unpack_free()
 * @err:	UNAVAILABLE
 */
MUST_CHECK int tar_unpack_new(int dir_fd, const struct tar_unpack_options *o,
			      struct tar_unpack **ret, struct err *err);
/**
 * tar_unpack_feed() - The next bytes
 * @err:	INVALID, reason "bad-archive" or "outside" (a name that leads out of the folder, or
 *		through a link); or the failed call, with the path as subject
 */
MUST_CHECK int tar_unpack_feed(struct tar_unpack *u, const uint8_t *data, size_t len,
			       struct err *err);
/* No more bytes come: modes and times of folders are set. */
MUST_CHECK int tar_unpack_finish(struct tar_unpack *u, struct err *err);
/* A file that is not whole goes away. */
void tar_unpack_free(struct tar_unpack *u);
DEFINE_AUTO(struct tar_unpack *, tar_unpack_free);

#endif /* TAR_UNPACK_H */
