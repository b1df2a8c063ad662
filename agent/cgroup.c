/* SPDX-License-Identifier: Apache-2.0 */
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/defer.h"

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
