/* SPDX-License-Identifier: Apache-2.0 */
#include "stats.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/defer.h"
#include "base/io.h"
#include "base/num.h"

#define TEXT_MAX 16384 /* bytes of one file; what is behind is of no interest */

/* The number that comes next, and where it ends; 0 if none does. */
static uint64_t number(const char *p, const char **ret_end)
{
	size_t digits;
	uint64_t v;

	p += strspn(p, " \t");
	digits = strspn(p, "0123456789");
	*ret_end = p + digits;
	return parse_u64_n(p, digits, 10, UINT64_MAX, &v) < 0 ? 0 : v;
}

static uint64_t number_after(const char *text, const char *name)
{
	const char *p = strstr(text, name);

	return p ? number(p + strlen(name), &p) : 0;
}

void stats_meminfo(const char *text, struct guest_stats *s)
{
	s->memory_total = number_after(text, "MemTotal:") * 1024;
	s->memory_free = number_after(text, "MemFree:") * 1024;
	s->memory_available = number_after(text, "MemAvailable:") * 1024;
	s->swap_total = number_after(text, "SwapTotal:") * 1024;
	s->swap_free = number_after(text, "SwapFree:") * 1024;
}

void stats_cpu(const char *text, long ticks, struct guest_stats *s)
{
	uint64_t v[8] = { 0 }; /* user nice system idle iowait irq softirq steal */
	uint64_t tick_ns = ticks > 0 ? NS_PER_S / (uint64_t)ticks : 0;
	const char *p = text;

	if (strncmp(p, "cpu ", 4) != 0)
		return;
	p += 4;
	for (int i = 0; i < 8; i++)
		v[i] = number(p, &p);
	s->cpu_user_ns = (v[0] + v[1]) * tick_ns;
	s->cpu_system_ns = (v[2] + v[5] + v[6]) * tick_ns;
	s->cpu_idle_ns = (v[3] + v[4]) * tick_ns;
	s->cpu_steal_ns = v[7] * tick_ns;
	for (p = strstr(text, "\ncpu"); p; p = strstr(p + 1, "\ncpu"))
		s->n_cpus++;
}

/* "0.52" as thousandths. */
static uint32_t milli(const char *p, const char **ret_end)
{
	uint64_t v = number(p, &p) * 1000;

	if (*p == '.') {
		const char *part = p + 1;
		uint64_t unit = 100;

		for (p = part; *p >= '0' && *p <= '9'; p++, unit /= 10)
			v += (uint64_t)(*p - '0') * unit;
	}
	*ret_end = p;
	return (uint32_t)v;
}

void stats_loadavg(const char *text, struct guest_stats *s)
{
	const char *p = text;

	for (int i = 0; i < 3; i++)
		s->load_milli[i] = milli(p, &p);
	p = strchr(p, '/');
	s->n_processes = p ? (uint32_t)number(p + 1, &p) : 0;
}

static const char *read_text(const char *path, char *out)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : io_read_full(fd, out, TEXT_MAX - 1);

	out[n > 0 ? n : 0] = '\0';
	return out;
}

static uint64_t n_entries(const char *path)
{
	DIR *d = opendir(path);
	uint64_t n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		(void)closedir(d);
	return n > 2 ? n - 2 : 0; /* "." and ".." */
}

void stats_read(const void *arg, int fd)
{
	struct guest_stats s = { .uptime_ns = clock_now_ns() };
	char text[TEXT_MAX];
	struct statfs fs;
	const char *end;

	stats_meminfo(read_text("/proc/meminfo", text), &s);
	stats_cpu(read_text("/proc/stat", text), sysconf(_SC_CLK_TCK), &s);
	stats_loadavg(read_text("/proc/loadavg", text), &s);
	(void)number(read_text("/proc/1/statm", text), &end); /* the second is the resident set */
	s.agent_memory = number(end, &end) * (uint64_t)sysconf(_SC_PAGESIZE);
	s.n_agent_fds = n_entries("/proc/1/fd");
	if (statfs("/", &fs) == 0) {
		s.disk_total = (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize;
		s.disk_free = (uint64_t)fs.f_bfree * (uint64_t)fs.f_bsize;
		s.disk_available = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
		s.inodes_total = fs.f_files;
		s.inodes_free = fs.f_ffree;
	}
	IGNORE_RESULT(io_write_full(fd, &s, sizeof(s)) < 0); /* nobody waits any more */
}
