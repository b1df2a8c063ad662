/* SPDX-License-Identifier: Apache-2.0 */
#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"
#include "base/defer.h"
#include "path.h"

static const struct basic {
	const char *type, *target, *data;
	unsigned long flags;
	bool needed;
} basics[] = {
	{ "proc", "/proc", NULL, MS_NOSUID | MS_NOEXEC | MS_NODEV, true },
	{ "sysfs", "/sys", NULL, MS_NOSUID | MS_NOEXEC | MS_NODEV, true },
	{ "devtmpfs", "/dev", "mode=0755", MS_NOSUID | MS_NOEXEC, true },
	{ "devpts", "/dev/pts", "gid=5,mode=620,ptmxmode=666", MS_NOSUID | MS_NOEXEC, true },
	{ "tmpfs", "/dev/shm", "mode=1777", MS_NOSUID | MS_NODEV, true },
	{ "mqueue", "/dev/mqueue", NULL, MS_NOSUID | MS_NOEXEC | MS_NODEV, false },
	{ "tmpfs", "/run", "mode=0755", MS_NOSUID | MS_NODEV, true },
	{ "cgroup2", "/sys/fs/cgroup", "nsdelegate", MS_NOSUID | MS_NOEXEC | MS_NODEV, false },
};

static void console_as_standard_fds(void)
{
	int fd = open("/dev/console", O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	for (int i = 0; i <= 2; i++)
		if (fd != i)
			(void)dup2(fd, i);
	if (fd > 2)
		(void)close(fd);
}

static void dev_links(void)
{
	static const char *const links[][2] = {
		{ "/proc/self/fd", "/dev/fd" },
		{ "/proc/self/fd/0", "/dev/stdin" },
		{ "/proc/self/fd/1", "/dev/stdout" },
		{ "/proc/self/fd/2", "/dev/stderr" },
	};

	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		(void)!symlink(links[i][0], links[i][1]);
}

int mounts_basic(struct failure *f)
{
	for (size_t i = 0; i < sizeof(basics) / sizeof(basics[0]); i++) {
		const struct basic *m = &basics[i];

		(void)mkdir(m->target, 0755); /* in /sys it exists, or the mount fails */
		if (mount(m->type, m->target, m->type, m->flags, m->data) == 0)
			continue;
		if (errno == EBUSY) /* the kernel has mounted devtmpfs by itself */
			continue;
		if (m->needed)
			return fail(f, "agent", errno, m->target, "mount %s", m->type);
	}
	console_as_standard_fds();
	dev_links();
	return 0;
}

int mounts_cgroup_fd(void)
{
	AUTO_CLOSE int fd = open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_CLOSE int on =
		fd < 0 ? -1 : openat(fd, "cgroup.subtree_control", O_WRONLY | O_CLOEXEC);

	if (on < 0)
		return -1;
	/* Each further controller makes each session's cgroup dearer. */
	(void)!write(on, "+memory", strlen("+memory"));
	return TAKE_FD(fd);
}

int mounts_move(int root_fd, struct failure *f)
{
	static const char *const tops[] = { "/proc", "/sys", "/dev", "/run" };

	for (size_t i = 0; i < sizeof(tops) / sizeof(tops[0]); i++) {
		AUTO_CLOSE int tree = mount_take(tops[i]);
		AUTO_CLOSE int target = path_make_dir(root_fd, tops[i]);
		int r = tree < 0 ? tree : target < 0 ? target : mount_put(tree, target);

		if (r < 0)
			return fail(f, "mount", -r, tops[i], "move %s into the root", tops[i]);
	}
	return 0;
}
