/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_IDENTITY_H
#define RUNTIME_IDENTITY_H

#include <stdbool.h>

#include "base/err.h"

/*
 * Who the monitor of a run folder is: pid, start time and boot id, which it writes into the lock.  A
 * number alone is never signalled.
 */

/* The folder was made before the host was booted the last time. */
bool identity_rebooted(int run_dir);
/* KILL to the monitor, through a pidfd that is proven to be its. DENIED: it is another process. */
MUST_CHECK int identity_kill(int run_dir, struct err *err);
/* pid of the monitor, 0 if it is gone or not known. */
int identity_pid(int run_dir);

#endif /* RUNTIME_IDENTITY_H */
