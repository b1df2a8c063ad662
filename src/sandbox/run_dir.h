/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_RUN_DIR_H
#define SANDBOX_RUN_DIR_H

#include "base/err.h"

/**
 * run_dir_remove() - Delete the run folder of a sandbox and the files in it
 * @dir_fd:	The folder; borrowed
 * @name:	Its name in its parent: nothing happens if another folder has it by now
 * @err:	NOT_FOUND, IO
 */
int run_dir_remove(int dir_fd, const char *name, struct err *err);

#endif /* SANDBOX_RUN_DIR_H */
