/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_ROOT_H
#define AGENT_ROOT_H

#include "agent.h"

/*
 * The root of the guest from the boot message: partitions, lower side, upper side, kernel
 * modules and user mounts; all of it in the initramfs, at /.root.
 */

/**
 * root_enter() - Set up the new root and make it "/"
 *
 * Sets a->upper_fd. Once, at boot. Blocks.
 */
MUST_CHECK int root_enter(struct agent *a, struct failure *f);

#endif /* AGENT_ROOT_H */
