/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_SANDBOX_H
#define SANDBOX_SANDBOX_H

#include "proto/launch.h"

/**
 * sandbox_run() - Run one sandbox from boot to end
 * @spec:	Borrowed
 *
 * Uses the descriptors of enum launch_fd.  TERM and INT are blocked by the caller.  The
 * exit record is written and the ready pipe has its answer when this returns.
 * Return: 0, or -1 when the sandbox did not boot.
 */
int sandbox_run(const struct launch_spec *spec);

#endif /* SANDBOX_SANDBOX_H */
