/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_PATH_H
#define AGENT_PATH_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

/*
 * Paths below the root of the guest, which its image made: links are followed as if that
 * folder were "/", never out of it, and magic links not at all.  Leaf functions.
 */

/* openat2() below @root. */
MUST_CHECK int path_open(int root, const char *path, int flags, mode_t mode);

/* Absolute, no "." and "..", not "/" itself: a place where a mount may go. */
bool path_is_target(const char *path);

/* Make @path and its parents (0755) where missing; a descriptor (O_PATH) of it. */
MUST_CHECK int path_make_dir(int root, const char *path);

/* The same with an empty file at the end. */
MUST_CHECK int path_make_file(int root, const char *path);

/* Wrappers of calls that musl does not have. */
MUST_CHECK int mount_clone(const char *path);		    /* OPEN_TREE_CLONE, a bind mount */
MUST_CHECK int mount_take(const char *path);		    /* an existing mount, to move it */
MUST_CHECK int mount_put(int tree_fd, int target_fd);	    /* move it onto the target */
MUST_CHECK int mount_flags(int tree_fd, uint64_t attr_set); /* MOUNT_ATTR_ */

#endif /* AGENT_PATH_H */
