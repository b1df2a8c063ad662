/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_DISK_H
#define AGENT_DISK_H

#include "agent.h"

/* Room for the name of any partition. */
#define DISK_NAME_MAX 32 /* bytes */

/* Tell the kernel of all partitions of the boot message. */
MUST_CHECK int disk_partitions(const struct boot_spec *s, struct failure *f);
/* "/dev/vda1" for part 0. */
void disk_name(uint32_t part, char name[DISK_NAME_MAX]);

#endif /* AGENT_DISK_H */
