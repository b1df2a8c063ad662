/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_SETTINGS_H
#define AGENT_SETTINGS_H

#include "base/buf.h"
#include "proto/agent.h"

/* Entropy, clock, hostname, loopback. What fails is logged: a guest without it still runs. */
void settings_kernel(const struct boot_spec *s);

/*
 * Files of the root that depend on the boot message: /etc/hostname, our block of /etc/hosts,
 * /tmp, /var/tmp, the image's working directory.
 */
MUST_CHECK int settings_files(const struct boot_spec *s, int root, struct failure *f);

/* /etc/hosts with our marked block, and all other lines of @old kept. 0 or buf_add()'s. */
MUST_CHECK int hosts_merge(const char *old, size_t old_len, const char *hostname, struct buf *out);

#endif /* AGENT_SETTINGS_H */
