/* SPDX-License-Identifier: Apache-2.0 */
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/defer.h"
#include "base/num.h"

#define PROCS_MAX     (1u << 20) /* bytes of cgroup.procs: about 130,000 processes */
#define CPU_PERIOD_US 100000	 /* the kernel's default */

void cgroup_name(uint64_t session, char name[CGROUP_NAME_MAX])
{
	(void)snprintf(name, CGROUP_NAME_MAX, "msb.%llu", (unsigned long long)session);
}

int cgroup_make(int root_fd, uint64_t session)
{
	char name[CGROUP_NAME_MAX];

	cgroup_name(session, name);
	return mkdirat(root_fd, name, 0755) < 0 ? -errno : 0;
}

int cgroup_remove(int root_fd, uint64_t session)
{
	char name[CGROUP_NAME_MAX];

	cgroup_name(session, name);
	return unlinkat(root_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

static int open_file(int root_fd, uint64_t session, const char *file, int flags)
{
	char name[CGROUP_NAME_MAX], path[2 * CGROUP_NAME_MAX];

	cgroup_name(session, name);
	(void)snprintf(path, sizeof(path), "%s/%s", name, file);
	return openat(root_fd, path, flags | O_CLOEXEC);
}

int cgroup_kill(int root_fd, uint64_t session)
{
	AUTO_CLOSE int fd = open_file(root_fd, session, "cgroup.kill", O_WRONLY);

	return fd < 0 || write(fd, "1", 1) < 0 ? -errno : 0;
}

bool cgroup_had_oom(int root_fd, uint64_t session)
{
	AUTO_CLOSE int fd = open_file(root_fd, session, "memory.events", O_RDONLY);
	char text[256];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	const char *p;

	if (n <= 0)
		return false;
	text[n] = '\0';
	p = strstr(text, "oom_kill ");
	return p && p[strlen("oom_kill ")] != '0';
}

static int write_number(int root_fd, uint64_t session, const char *file, uint64_t n)
{
	AUTO_CLOSE int fd = open_file(root_fd, session, file, O_WRONLY);

	return fd < 0 || dprintf(fd, "%" PRIu64, n) < 0 ? -errno : 0;
}

/*
 * Let the cgroups below the root have a controller.  Those that not every session needs come with
 * the first that does: each makes each cgroup dearer.
 */
static int enable(int root_fd, const char *controller)
{
	AUTO_CLOSE int fd = openat(root_fd, "cgroup.subtree_control", O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, controller, strlen(controller)) < 0 ? -errno : 0;
}

static int limit_cpu(int root_fd, uint64_t session, uint32_t milli)
{
	AUTO_CLOSE int fd = -1;
	int r = enable(root_fd, "+cpu");

	if (r < 0)
		return r;
	fd = open_file(root_fd, session, "cpu.max", O_WRONLY);
	if (fd < 0 ||
	    dprintf(fd, "%u %u", milli * (CPU_PERIOD_US / 1000), (unsigned)CPU_PERIOD_US) < 0)
		return -errno;
	return 0;
}

int cgroup_limit(int root_fd, uint64_t session, const struct cgroup_limits *limits)
{
	int r = 0;

	if (limits->memory_max) {
		r = write_number(root_fd, session, "memory.max", limits->memory_max);
		/* Absent without swap. */
		IGNORE_RESULT(write_number(root_fd, session, "memory.swap.max", 0) < 0);
	}
	if (r >= 0 && limits->pids_max) {
		r = enable(root_fd, "+pids");
		if (r >= 0)
			r = write_number(root_fd, session, "pids.max", limits->pids_max);
	}
	if (r >= 0 && limits->cpu_milli)
		r = limit_cpu(root_fd, session, limits->cpu_milli);
	return r;
}

static int read_all(int fd, struct buf *b)
{
	for (;;) {
		void *p = buf_room(b, 4096);
		ssize_t n = p ? read(fd, p, 4096) : 0;

		if (!p)
			return -E2BIG;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		buf_grew(b, (size_t)n);
	}
}

static int signal_each(int root_fd, uint64_t session, int signal)
{
	AUTO_CLOSE int fd = open_file(root_fd, session, "cgroup.procs", O_RDONLY);
	AUTO(buf_done) struct buf b = { .max = PROCS_MAX };
	int r = fd < 0 ? -errno : read_all(fd, &b), n = 0;
	char *p = r < 0 ? NULL : buf_cstr(&b);

	if (!p)
		return r < 0 ? r : -ENOMEM;
	while (*p) {
		size_t digits = strspn(p, "0123456789");
		uint64_t pid;

		/* 0: a process of another namespace; it cannot be named from here. */
		if (parse_u64_n(p, digits, 10, INT32_MAX, &pid) == 0 && pid > 0 &&
		    kill((pid_t)pid, signal) == 0)
			n++;
		p += digits;
		p += strspn(p, "\n");
		if (digits == 0)
			break;
	}
	return n ? 0 : -ESRCH;
}

int cgroup_signal(int root_fd, uint64_t session, int signal)
{
	return signal == SIGKILL ? cgroup_kill(root_fd, session)
				 : signal_each(root_fd, session, signal);
}
