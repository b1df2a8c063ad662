/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_SPAWN_H
#define BASE_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

/* In the child, descriptor @from becomes @to; @to is 0, 1, 2 or a small number of its own. */
struct spawn_fd {
	int from, to;
};

struct spawn_args {
	const char *path;	    /* program, no search on PATH */
	char *const *argv;	    /* NULL-terminated, argv[0] included */
	char *const *envp;	    /* NULL-terminated; NULL: empty environment */
	const struct spawn_fd *fds; /* all that the child gets; the rest is closed */
	size_t n_fds;
	bool new_session;     /* setsid() */
	bool die_with_parent; /* SIGKILL when the thread that called spawn() ends */
};

/**
 * spawn() - Start a program
 * @args:	Borrowed for the call
 * @ret_pidfd:	Owned by the caller
 *
 * The child has the descriptors of @args and no other, default signal handlers, an empty
 * signal mask; 0, 1 and 2 that are not in the map are /dev/null.  A program that cannot be
 * executed is reported here, not as an exit status.
 *
 * Any thread, also of a program with many.
 * Return: process id, or -errno.
 */
MUST_CHECK pid_t spawn(const struct spawn_args *args, int *ret_pidfd);

#endif /* BASE_SPAWN_H */
