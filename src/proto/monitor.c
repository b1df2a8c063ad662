/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/defer.h"
#include "base/io.h"
#include "base/num.h"
#include "proto/launch.h"

#define STAT_START_FIELD 20 /* fields after the name: starttime is the 22nd, proc(5) */

int monitor_boot_id(char id[static MONITOR_BOOT_ID_SIZE])
{
	AUTO_CLOSE int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : io_read_full(fd, id, 36); /* a UUID */

	id[n == 36 ? 36 : 0] = '\0';
	return n == 36 ? 0 : -ENOENT;
}

int monitor_start_time(int pid, uint64_t *ret_ticks)
{
	AUTO_CLOSE int fd = -1;
	char path[64], text[1024], *p;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : io_read_full(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return -ESRCH;
	text[n] = '\0';
	p = strrchr(text, ')'); /* the name may hold anything */
	for (int i = 0; p && i < STAT_START_FIELD; i++) {
		p = strchr(p, ' ');
		p = p ? p + 1 : NULL;
	}
	return p && parse_u64_n(p, strspn(p, "0123456789"), 10, UINT64_MAX, ret_ticks) >= 0
		       ? 0
		       : -ESRCH;
}

int monitor_identity_write(int fd)
{
	struct monitor_identity id = { .pid = getpid() };
	char text[MONITOR_IDENTITY_MAX];
	int n;

	if (monitor_boot_id(id.boot) < 0 || monitor_start_time(id.pid, &id.start) < 0)
		return -ENOENT;
	n = snprintf(text, sizeof(text), "%d %llu %s\n", id.pid, (unsigned long long)id.start,
		     id.boot);
	return pwrite(fd, text, (size_t)n, 0) == n ? 0 : -EIO;
}

int monitor_identity_parse(const char *text, struct monitor_identity *ret)
{
	size_t pid_len = strspn(text, "0123456789"), start_len;
	const char *start = text + pid_len + 1, *boot;
	uint64_t pid, ticks;

	if (text[pid_len] != ' ' || parse_u64_n(text, pid_len, 10, INT32_MAX, &pid) < 0 || pid < 1)
		return -EPROTO;
	start_len = strspn(start, "0123456789");
	boot = start + start_len + 1;
	if (start[start_len] != ' ' || parse_u64_n(start, start_len, 10, UINT64_MAX, &ticks) < 0 ||
	    strlen(boot) != 37 || boot[36] != '\n' || strspn(boot, "0123456789abcdef-") != 36)
		return -EPROTO;
	*ret = (struct monitor_identity){ .pid = (int)pid, .start = ticks };
	memcpy(ret->boot, boot, 36);
	return 0;
}
