/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/identity.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/defer.h"
#include "base/io.h"
#include "base/num.h"
#include "proto/launch.h"

/* What is in the lock, parsed. */
static int read_identity(int run_dir, struct monitor_identity *ret)
{
	AUTO_CLOSE int fd = openat(run_dir, "lock", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char text[MONITOR_IDENTITY_MAX + 1];
	ssize_t n = fd < 0 ? -1 : io_read_full(fd, text, sizeof(text) - 1);

	if (n <= 0)
		return -ENOENT;
	text[n] = '\0';
	return monitor_identity_parse(text, ret);
}

bool identity_rebooted(int run_dir)
{
	struct monitor_identity said;
	char boot[MONITOR_BOOT_ID_SIZE];

	return read_identity(run_dir, &said) == 0 && monitor_boot_id(boot) == 0 &&
	       strcmp(boot, said.boot) != 0;
}

/* The effective user of a process. */
static int read_uid(int pid, uid_t *ret)
{
	AUTO_CLOSE int fd = -1;
	char path[64], text[4096], *p;
	uint64_t uid;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : io_read_full(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return -ESRCH;
	text[n] = '\0';
	p = strstr(text, "\nUid:\t");
	if (!p)
		return -ESRCH;
	p += strlen("\nUid:\t");
	p += strcspn(p, "\t") + 1; /* real, then effective */
	if (parse_u64_n(p, strspn(p, "0123456789"), 10, UINT32_MAX, &uid) < 0)
		return -ESRCH;
	*ret = (uid_t)uid;
	return 0;
}

/* Still alive, and all as it was said: what the pidfd was opened for is the monitor. */
static bool is_same(const struct monitor_identity *said)
{
	char boot[MONITOR_BOOT_ID_SIZE];
	uint64_t start = 0;
	uid_t uid = 0;

	return monitor_boot_id(boot) == 0 && strcmp(boot, said->boot) == 0 &&
	       monitor_start_time(said->pid, &start) == 0 && start == said->start &&
	       read_uid(said->pid, &uid) == 0 && uid == geteuid();
}

static bool lock_is_held(int run_dir)
{
	AUTO_CLOSE int fd = openat(run_dir, "lock", O_RDWR | O_NOFOLLOW | O_CLOEXEC);

	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

int identity_kill(int run_dir, struct err *err)
{
	struct monitor_identity said;
	AUTO_CLOSE int pidfd = -1;

	if (!lock_is_held(run_dir))
		return 0;
	if (read_identity(run_dir, &said) < 0)
		return err_set(err, ERR_DENIED,
			       "msb-sandbox does not react, and its lock does not "
			       "say which process it is");
	pidfd = (int)syscall(SYS_pidfd_open, said.pid, 0);
	if (pidfd < 0 && errno == ESRCH)
		return 0;
	if (pidfd < 0)
		return err_sys(err, errno, "open process %d", said.pid);
	if (!is_same(&said))
		return err_set(err, ERR_DENIED,
			       "process %d is not the msb-sandbox that was recorded: it is left "
			       "alone",
			       said.pid);
	if (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
		return err_sys(err, errno, "kill process %d", said.pid);
	return 0;
}

int identity_pid(int run_dir)
{
	struct monitor_identity said;

	if (!lock_is_held(run_dir) || read_identity(run_dir, &said) < 0 || !is_same(&said))
		return 0;
	return said.pid;
}
