/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: why not posix_spawn()
 *
 * It cannot set a parent-death signal, give a pidfd that is sure to be the child's, or close
 * all but a list of descriptors.  So the child is made by clone(CLONE_VM | CLONE_VFORK |
 * CLONE_PIDFD), which is what posix_spawn() does inside: it borrows our memory, on a stack of
 * its own, until it executes, and makes system calls only.  All signals are blocked around it,
 * so no handler of the caller ever runs in the child.
 */
#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/defer.h"

#define SPAWN_STACK   (64ul * 1024) /* bytes; the child makes system calls only */
#define SPAWN_MAX_FDS 128

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif

struct child {
	const struct spawn_args *args;
	int fds[SPAWN_MAX_FDS]; /* scratch: where the descriptors were moved to */
	int error;		/* errno; set by the child, read after it executed or ended */
	pid_t parent;
};

/* Put the mapped descriptors in place: first all out of the way, then each to its number. */
static int place_fds(struct child *c)
{
	const struct spawn_args *a = c->args;
	int top = 2, null_fd;

	for (size_t i = 0; i < a->n_fds; i++)
		if (a->fds[i].to > top)
			top = a->fds[i].to;
	for (size_t i = 0; i < a->n_fds; i++) {
		c->fds[i] = fcntl(a->fds[i].from, F_DUPFD_CLOEXEC, top + 1);
		if (c->fds[i] < 0)
			return -1;
	}
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd < 0)
		return -1;
	for (int fd = 0; fd <= 2; fd++)
		if (dup2(null_fd, fd) < 0)
			return -1;
	/* What the map does not name closes at exec. */
	if (syscall(SYS_close_range, 3u, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */) < 0)
		return -1;
	for (size_t i = 0; i < a->n_fds; i++)
		if (dup2(c->fds[i], a->fds[i].to) < 0)
			return -1;
	return 0;
}

static int child_main(void *arg)
{
	struct child *c = arg;
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	char *const none[] = { NULL };
	sigset_t empty;

	for (int sig = 1; sig < 65; sig++)
		(void)sigaction(sig, &dfl, NULL); /* EINVAL for KILL, STOP and libc's own */
	if (place_fds(c) < 0)
		goto fail;
	if (c->args->new_session && setsid() < 0)
		goto fail;
	if (c->args->die_with_parent) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
			goto fail;
		if (getppid() != c->parent) /* it died before the line above */
			_exit(127);
	}
	(void)sigemptyset(&empty);
	(void)sigprocmask(SIG_SETMASK, &empty, NULL);
	(void)execve(c->args->path, c->args->argv, c->args->envp ? c->args->envp : none);
fail:
	c->error = errno;
	_exit(127);
}

pid_t spawn(const struct spawn_args *args, int *ret_pidfd)
{
	struct child c = { .args = args, .parent = getpid() };
	sigset_t all, old;
	AUTO_CLOSE int pidfd = -1;
	void *stack;
	pid_t pid;
	int error;

	if (args->n_fds > SPAWN_MAX_FDS)
		return -E2BIG;
	stack = mmap(NULL, SPAWN_STACK, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (stack == MAP_FAILED)
		return -errno;
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &old);
	pid = clone(child_main, (char *)stack + SPAWN_STACK,
		    CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &c, &pidfd);
	error = pid < 0 ? errno : c.error;
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	(void)munmap(stack, SPAWN_STACK);
	if (pid > 0 && error != 0)
		(void)waitpid(pid, NULL, 0);
	if (pid < 0 || error != 0)
		return -error;
	*ret_pidfd = TAKE_FD(pidfd);
	return pid;
}
