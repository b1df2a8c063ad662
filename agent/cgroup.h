/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_CGROUP_H
#define AGENT_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* The cgroup of a session, "msb.N" below the root at @root_fd. Leaf functions. */
#define CGROUP_NAME_MAX 32 /* bytes */

void cgroup_name(uint64_t session, char name[CGROUP_NAME_MAX]);
MUST_CHECK int cgroup_make(int root_fd, uint64_t session);
/* -EBUSY while something runs in it. */
MUST_CHECK int cgroup_remove(int root_fd, uint64_t session);
MUST_CHECK int cgroup_kill(int root_fd, uint64_t session);
/* To every process directly in it; KILL also to those in cgroups below. -ESRCH: there is none. */
MUST_CHECK int cgroup_signal(int root_fd, uint64_t session, int signal);

struct cgroup_limits {
	uint64_t memory_max; /* bytes, no swap on top; 0: none */
	uint32_t pids_max;   /* 0: none */
	uint32_t cpu_milli;  /* thousandths of a CPU; 0: none */
};
MUST_CHECK int cgroup_limit(int root_fd, uint64_t session, const struct cgroup_limits *limits);
/* Did the kernel kill something in it for want of memory? */
bool cgroup_had_oom(int root_fd, uint64_t session);

#endif /* AGENT_CGROUP_H */
