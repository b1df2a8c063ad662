/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_MOUNTS_H
#define AGENT_MOUNTS_H

#include "base/err.h"
#include "proto/agent.h"

/*
 * The kernel's own file systems, mounted in the initramfs and moved into the new root
 * later.  Works with an empty initramfs, and opens /dev/console as 0, 1 and 2.
 */
MUST_CHECK int mounts_basic(struct failure *f);
/* Root of the cgroup tree; its children have the memory controller. -1 without cgroups. */
int mounts_cgroup_fd(void);
/* Move them below the root at @root_fd. */
MUST_CHECK int mounts_move(int root_fd, struct failure *f);

#endif /* AGENT_MOUNTS_H */
