/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "path.h"

#define HOSTS_MAX (1u << 20) /* bytes of /etc/hosts that are read */

static void seed_pool(const uint8_t seed[64])
{
	struct {
		struct rand_pool_info info;
		uint8_t data[64];
	} add = { .info = { .entropy_count = 8 * 64, .buf_size = 64 } };
	AUTO_CLOSE int fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);

	memcpy(add.data, seed, sizeof(add.data));
	if (fd < 0 || ioctl(fd, RNDADDENTROPY, &add) < 0)
		log_warn("seed the random pool: errno %d", errno);
	explicit_bzero(&add, sizeof(add));
}

static void set_clock(uint64_t ns)
{
	struct timespec t = { .tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S) };

	if (ns && clock_settime(CLOCK_REALTIME, &t) < 0)
		log_warn("set the clock: errno %d", errno);
}

static void loopback_up(void)
{
	struct ifreq req = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &req) < 0)
		log_warn("loopback interface: errno %d", errno);
}

void settings_kernel(const struct boot_spec *s)
{
	seed_pool(s->seed);
	set_clock(s->time_ns);
	if (s->hostname && sethostname(s->hostname, strlen(s->hostname)) < 0)
		log_warn("set the hostname: errno %d", errno);
	loopback_up();
}

/* The content of a regular file; nothing if it is anything else. */
static int read_file(int root, const char *path, struct buf *out)
{
	AUTO_CLOSE int fd = path_open(root, path, O_RDONLY | O_NONBLOCK, 0);
	struct stat st;
	ssize_t n;
	void *p;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > (off_t)out->max)
		return -EINVAL;
	p = buf_room(out, (size_t)st.st_size);
	if (!p)
		return -ENOMEM;
	n = io_read_full(fd, p, (size_t)st.st_size);
	if (n < 0)
		return (int)n;
	buf_grew(out, (size_t)n);
	return 0;
}

static int write_file(int root, const char *path, const void *data, size_t len)
{
	AUTO_CLOSE int fd = path_open(root, path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK, 0644);

	return fd < 0 ? fd : io_write_full(fd, data, len);
}

static void write_hosts(const struct boot_spec *s, int root)
{
	AUTO(buf_done) struct buf old = { .max = HOSTS_MAX };
	AUTO(buf_done) struct buf merged = { .max = 2 * HOSTS_MAX };
	int r = read_file(root, "/etc/hosts", &old);

	if (r >= 0)
		r = hosts_merge((const char *)old.data, old.len, s->hostname, &merged);
	if (r >= 0 && (merged.len != old.len || memcmp(merged.data, old.data, old.len) != 0))
		r = write_file(root, "/etc/hosts", merged.data, merged.len);
	if (r < 0)
		log_warn("write '/etc/hosts': errno %d", -r);
}

static void write_hostname(const struct boot_spec *s, int root)
{
	char line[128];
	int r, n;

	if (!s->hostname)
		return;
	n = snprintf(line, sizeof(line), "%s\n", s->hostname);
	r = n < (int)sizeof(line) ? write_file(root, "/etc/hostname", line, (size_t)n) : -EINVAL;
	if (r < 0)
		log_warn("write '/etc/hostname': errno %d", -r);
}

static void make_tmp(int root, const char *path)
{
	AUTO_CLOSE int made = path_make_dir(root, path);
	AUTO_CLOSE int fd = -1;
	struct stat st;

	/* The overlay copies up what gets a mode, even the same. */
	if (made >= 0 && fstat(made, &st) == 0 && (st.st_mode & 07777) == 01777)
		return;
	fd = made < 0 ? made : path_open(root, path, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0 || fchmod(fd, 01777) < 0)
		log_warn("make '%s': errno %d", path, fd < 0 ? -fd : errno);
}

int settings_files(const struct boot_spec *s, int root, struct failure *f)
{
	AUTO_CLOSE int etc = path_make_dir(root, "/etc");
	AUTO_CLOSE int workdir = -1;

	if (etc >= 0) {
		write_hosts(s, root);
		write_hostname(s, root);
	}
	make_tmp(root, "/tmp");
	make_tmp(root, "/var/tmp");
	if (!s->workdir || !s->workdir_create)
		return 0;
	workdir = path_make_dir(root, s->workdir);
	return workdir < 0 ? fail(f, "main", -workdir, s->workdir,
				  "make the working directory '%s'", s->workdir)
			   : 0;
}
