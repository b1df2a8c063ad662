/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: one boot
 *
 * All that the monitor needs is opened here and inherited by number (proto/launch.h); it gets no
 * path but that of QEMU, no environment and no argument that means anything.  The two specs lie in sealed memory
 * files, the lock is ours until the monitor has it, the watchdog's writing end stays with us.
 */
#include "proto/launch.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/signals.h"
#include "base/spawn.h"
#include "runtime/internal.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

#define LISTEN_BACKLOG	  1024	     /* clients that wait for the agent; as many as it takes */
#define SPEC_MAX	  (1u << 20) /* bytes of an encoded launch spec */
#define DEADLINE_SLACK_MS 5000 /* the monitor keeps the start deadline and says more about it */

/* Environment of the programs: the image's, then the spec's on top. */
static int add_env(struct str_list *env, const char *item)
{
	size_t name = strcspn(item, "=") + 1;

	for (size_t i = 0; i < env->n; i++) {
		if (strncmp(env->items[i], item, name) == 0) {
			char *copy = strdup(item);

			if (!copy)
				return -ENOMEM;
			free(env->items[i]);
			env->items[i] = copy;
			return 0;
		}
	}
	return str_list_add(env, item);
}

static int build_env(const struct launch *l, struct boot_spec *b)
{
	int r = 0;

	for (char **e = l->image ? l->image->env : NULL; r == 0 && e && *e; e++)
		if (strchr(*e, '='))
			r = add_env(&b->env, *e);
	for (size_t i = 0; r == 0 && i < l->spec->env.n; i++)
		r = add_env(&b->env, l->spec->env.items[i]);
	return r;
}

static int copy_to(char **ret, const char *text)
{
	if (!text || !*text)
		return 0;
	*ret = strdup(text);
	return *ret ? 0 : -ENOMEM;
}

static int copy_limits(const struct spec *s, struct boot_spec *b)
{
	size_t size = s->n_rlimits * sizeof(*b->rlimits);

	if (size == 0)
		return 0;
	b->rlimits = malloc(size);
	if (!b->rlimits)
		return -ENOMEM;
	memcpy(b->rlimits, s->rlimits, size);
	b->n_rlimits = s->n_rlimits;
	return 0;
}

static int build_boot(const struct launch *l, struct boot_spec *b)
{
	const struct spec *s = l->spec;
	const struct image *image = l->image;
	char hostname[65];
	int r;

	(void)snprintf(hostname, sizeof(hostname), "%s", s->hostname ? s->hostname : l->name);
	r = copy_to(&b->hostname, hostname);
	if (r == 0)
		r = copy_to(&b->workdir, s->workdir ? s->workdir : image ? image->workdir : NULL);
	b->workdir_create = !s->workdir && b->workdir;
	if (r == 0)
		r = copy_to(&b->user, s->user ? s->user : image ? image->user : NULL);
	if (r == 0)
		r = build_env(l, b);
	if (r == 0)
		r = copy_limits(s, b);
	b->time_ns = clock_wall_ns();
	if (r == 0 && getrandom(b->seed, sizeof(b->seed), 0) != (ssize_t)sizeof(b->seed))
		r = -EIO;
	return r;
}

static bool writes_matter(const struct spec *spec)
{
	bool matter =
		!spec->ephemeral || spec->root == SPEC_ROOT_DIRECT || spec->root == SPEC_ROOT_DISK;

	for (size_t i = 0; i < spec->n_mounts; i++)
		matter |= !spec->mounts[i].read_only;
	return matter;
}

/* An image may say anything: what is no signal counts as none. */
static int stop_signal(const struct launch *l)
{
	if (l->spec->stop_signal)
		return l->spec->stop_signal;
	return l->image && l->image->stop_signal ? signal_number(l->image->stop_signal) : 0;
}

static int build_launch(const struct launch *l, struct launch_spec *ls)
{
	const struct spec *s = l->spec;

	(void)snprintf(ls->id, sizeof(ls->id), "%s", l->id);
	(void)snprintf(ls->name, sizeof(ls->name), "%s", l->name);
	(void)snprintf(ls->engine, sizeof(ls->engine), "qemu");
	ls->cpus = s->cpus;
	ls->memory_mib = s->memory_mib;
	ls->flush = writes_matter(s);
	ls->remove_run_dir = s->ephemeral;
	ls->start_timeout_ms = s->start_timeout_ms;
	ls->max_duration_ms = s->max_duration_ms;
	ls->idle_timeout_ms = s->idle_timeout_ms;
	ls->linger_ms = l->linger_ms;
	ls->stop_timeout_ms = (uint32_t)s->stop_timeout_ms;
	ls->stop_signal = (uint32_t)stop_signal(l);
	ls->capture = s->capture;
	return copy_to(&ls->qemu_path, l->files->qemu);
}

static int memfd_of(const char *name, struct buf *b, int *ret_fd)
{
	int fd = io_memfd(name, b->data, b->len);

	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

/* The two specs as sealed files. */
static int make_specs(struct launch *l, struct fd_map *map, int *ret_spec, int *ret_boot,
		      struct err *err)
{
	struct launch_spec ls = { 0 };
	struct boot_spec bs;
	AUTO(buf_done) struct buf launch_buf = { 0 };
	AUTO(buf_done) struct buf boot_buf = { 0 };
	int r;

	buf_init(&launch_buf, SPEC_MAX);
	buf_init(&boot_buf, AGENT_BOOT_MAX + (1u << 20));
	boot_spec_init(&bs);
	r = layout_build(l, &ls, &bs, map, err);
	if (r < 0)
		goto out;
	r = build_launch(l, &ls);
	if (r == 0)
		r = build_boot(l, &bs);
	if (r == 0)
		r = launch_spec_encode(&launch_buf, &ls);
	if (r == 0)
		r = boot_spec_encode(&boot_buf, &bs);
	if (r == 0)
		r = memfd_of("msb-spec", &launch_buf, ret_spec);
	if (r == 0)
		r = memfd_of("msb-boot", &boot_buf, ret_boot);
	if (r < 0)
		err_sys(err, -r, "write the boot message of '%s'", l->name);
out:
	launch_spec_done(&ls);
	boot_spec_done(&bs);
	return r < 0 ? -(int)err->code : 0;
}

static int listen_at(const struct launch *l, const char *name, int *ret_fd, struct err *err)
{
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un addr;

	socket_address(l->run_dir, name, &addr);
	/* The mode of the socket is that of the file, once bound: whatever the umask is. */
	if (fd < 0 || fchmod(fd, 0600) < 0 ||
	    bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, LISTEN_BACKLOG) < 0)
		return err_sys(err, errno, "listen at '%s' of '%s'", name, l->name);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int open_log(const struct launch *l, const char *name, int *ret_fd, struct err *err)
{
	int fd = openat(l->run_dir, name, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC,
			0600);

	if (fd < 0)
		return err_sys(err, errno, "open '%s' of '%s'", name, l->name);
	*ret_fd = fd;
	return 0;
}

/* MSB_HOME/logs/ID, made if missing. */
static int open_log_dir(const struct launch *l, int *ret_fd, struct err *err)
{
	int logs = l->home->logs_fd, fd;

	if (mkdirat(logs, l->id, 0700) < 0 && errno != EEXIST)
		return err_sys(err, errno, "make a folder in '%s/logs'", l->home->path);
	fd = openat(logs, l->id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "open the logs of '%s'", l->name);
	*ret_fd = fd;
	return 0;
}

/* What the monitor inherits beside disks and folders; our copies are closed after the spawn. */
struct ends {
	int spec, boot, ready, watchdog, parent, agent, control, log, log_dir;
};

static void ends_done_auto(struct ends *e)
{
	int *fds[] = { &e->spec,  &e->boot,    &e->ready, &e->watchdog, &e->parent,
		       &e->agent, &e->control, &e->log,	  &e->log_dir };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (*fds[i] >= 0)
			(void)close(*fds[i]);
}

static int open_ends(struct launch *l, struct ends *e, int *ret_ready, int *ret_watchdog,
		     struct err *err)
{
	int ready[2], watchdog[2], r;

	r = listen_at(l, "agent.sock", &e->agent, err);
	if (r == 0)
		r = listen_at(l, "control.sock", &e->control, err);
	if (r == 0)
		r = open_log(l, "monitor.log", &e->log, err);
	if (r == 0)
		r = open_log_dir(l, &e->log_dir, err);
	if (r < 0)
		return r;
	if (pipe2(ready, O_CLOEXEC) < 0)
		return err_sys(err, errno, "make a pipe");
	*ret_ready = ready[0];
	e->ready = ready[1];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, watchdog) < 0)
		return err_sys(err, errno, "make a socket");
	e->watchdog = watchdog[0];
	*ret_watchdog = watchdog[1];
	e->parent = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (e->parent < 0)
		return err_sys(err, errno, "open a pidfd");
	return 0;
}

static int map_ends(const struct launch *l, const struct ends *e, struct fd_map *map)
{
	const struct spawn_fd all[] = {
		{ e->spec, LAUNCH_FD_SPEC },
		{ e->boot, LAUNCH_FD_BOOT },
		{ e->ready, LAUNCH_FD_READY },
		{ e->watchdog, LAUNCH_FD_WATCHDOG },
		{ e->parent, LAUNCH_FD_PARENT },
		{ l->run_dir, LAUNCH_FD_RUN_DIR },
		{ l->lock, LAUNCH_FD_LOCK },
		{ e->agent, LAUNCH_FD_AGENT },
		{ e->control, LAUNCH_FD_CONTROL },
		{ l->files->kernel, LAUNCH_FD_KERNEL },
		{ l->files->initramfs, LAUNCH_FD_INITRAMFS },
		{ e->log, LAUNCH_FD_LOG },
		{ e->log, 2 },
		{ e->log_dir, LAUNCH_FD_LOG_DIR },
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(all) / sizeof(all[0]); i++)
		r = fd_map_add(map, all[i].from, (uint32_t)all[i].to);
	return r;
}

/* Through the pidfd: it cannot hit another process. */
static void kill_monitor(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	siginfo_t info;

	(void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
	(void)waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG);
}

static int spawn_monitor(struct launch *l, const struct ends *e, struct fd_map *map, int *ret_pidfd,
			 struct err *err)
{
	AUTO_FREE char *name = strdup(l->name);
	AUTO_FREE char *id = strdup(l->id);
	char program[] = "msb-sandbox";
	char *argv[] = { program, NULL, NULL, NULL };
	struct spawn_args args = { .path = l->files->monitor, .argv = argv, .new_session = true };
	int r = map_ends(l, e, map);
	pid_t pid;

	if (!name || !id || r == -ENOMEM)
		return err_no_memory(err);
	argv[1] = name;
	argv[2] = id;
	if (r < 0)
		return err_sys(err, -r, "hand over the files of '%s'", l->name);
	args.fds = map->fds;
	args.n_fds = map->n;
	l->spawned_at = clock_now_ns();
	pid = spawn(&args, ret_pidfd);
	if (pid < 0) {
		err_sys(err, (int)-pid, "start '%s'", l->files->monitor);
		return err_detail(err, ERR_NR_BOOT_FAILED, l->files->monitor);
	}
	return 0;
}

int launch_run(struct launch *l, struct err *err)
{
	AUTO(ends_done) struct ends e = { -1, -1, -1, -1, -1, -1, -1, -1, -1 };
	AUTO(fd_map_done) struct fd_map map = { 0 };
	AUTO_CLOSE int ready = -1;
	AUTO_CLOSE int watchdog = -1;
	AUTO_CLOSE int pidfd = -1;
	uint64_t deadline;
	int r;

	l->pidfd = l->watchdog = -1;
	r = make_specs(l, &map, &e.spec, &e.boot, err);
	if (r == 0)
		r = open_ends(l, &e, &ready, &watchdog, err);
	if (r == 0)
		r = spawn_monitor(l, &e, &map, &pidfd, err);
	if (r < 0)
		return r;
	l->log_dir = e.log_dir;
	(void)close(TAKE_FD(e.ready)); /* else the pipe would never end */
	deadline = l->spawned_at + (l->spec->start_timeout_ms + DEADLINE_SLACK_MS) * NS_PER_MS;
	r = ready_wait(l, ready, deadline, err);
	if (r < 0) {
		kill_monitor(pidfd);
		return r;
	}
	l->pidfd = TAKE_FD(pidfd);
	l->watchdog = TAKE_FD(watchdog);
	return 0;
}
