/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_BOOT_H
#define AGENT_BOOT_H

#include "agent.h"
#include "base/buf.h"

/* The conversation with the host until the guest is set up. All of it blocks. */

/* A connected stream to the host, owned by the caller; -1. */
int boot_connect(struct failure *f);
/* Hello both ways, then the boot message. *early gets the bytes behind it. */
MUST_CHECK int boot_read(int fd, struct boot_spec *ret, struct buf *early, struct failure *f);
MUST_CHECK int boot_progress(int fd, const char *stage);
/* Tell the host, and wait until it has read that. */
void boot_failed(int fd, const struct failure *f);

#endif /* AGENT_BOOT_H */
