/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: the engine qemu
 *
 * QEMU runs the vCPUs (TCG) and the machine; our process serves the devices.  For each there
 * is a socket pair: one end is a chardev of QEMU, the other goes to the vhost-user transport
 * on the device's loop.  QEMU dies with the thread that called start() (parent-death signal)
 * and is addressed by its pidfd only.  It is a child without control channel: it ends when the
 * guest reboots, when it fails, or when stop() kills it, and the pidfd tells.
 *
 * What it says on standard error goes to our log, bounded; its last line explains a failure.
 */
#include <fcntl.h>
#include <linux/virtio_ids.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/spawn.h"
#include "engine/qemu/internal.h"
#include "virtio/vhost_user.h"

#define STDERR_MAX_BYTES 65536 /* logged of one run; the rest is read and dropped */
#define LINE_MAX_BYTES	 400   /* of a line; fits struct err with a word in front */

struct qemu_device {
	struct qemu *qemu;     /* borrowed */
	struct vhost_user *vu; /* owned */
	const char *name;      /* borrowed from the device's ops */
};

struct qemu {
	struct engine engine;
	struct loop *loop; /* borrowed; the main loop */
	engine_exit_fn on_exit;
	void *user;

	pid_t pid;
	int pidfd; /* owned; -1 before spawn and after the end was told */
	loop_id pidfd_id;
	bool stopped; /* stop() was called */

	int stderr_fd; /* owned */
	loop_id stderr_id;
	size_t stderr_bytes;	       /* read so far */
	char line[LINE_MAX_BYTES + 1]; /* being read */
	size_t line_len;
	char last_line[LINE_MAX_BYTES + 1];

	struct qemu_device devices[QEMU_MAX_DEVICES];
	size_t n_devices;

	/* any thread */
	int broken; /* atomic; 1 + index of a device whose transport failed */
};

static void send_kill(struct qemu *q)
{
	/* ESRCH: it is gone already, which is what we want. */
	if (q->pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, q->pidfd, SIGKILL, NULL, 0);
}

static void end_line(struct qemu *q)
{
	q->line[q->line_len] = '\0';
	if (q->line_len > 0) {
		memcpy(q->last_line, q->line, q->line_len + 1);
		if (q->stderr_bytes <= STDERR_MAX_BYTES)
			log_warn("qemu: %s", q->line);
	}
	q->line_len = 0;
}

static void take_stderr(struct qemu *q, const char *data, size_t len)
{
	q->stderr_bytes += len;
	for (size_t i = 0; i < len; i++) {
		if (data[i] == '\n')
			end_line(q);
		else if (q->line_len < LINE_MAX_BYTES)
			q->line[q->line_len++] = data[i] >= ' ' && data[i] < 127 ? data[i] : '?';
	}
}

static void stderr_ready(void *user, uint32_t events)
{
	struct qemu *q = user;
	char data[4096];
	ssize_t n = read(q->stderr_fd, data, sizeof(data));

	if (n > 0)
		take_stderr(q, data, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		loop_remove(q->loop, &q->stderr_id);
}

/* What is left in the pipe when the process is gone. */
static void drain_stderr(struct qemu *q)
{
	char data[4096];
	ssize_t n;

	while ((n = read(q->stderr_fd, data, sizeof(data))) > 0)
		take_stderr(q, data, (size_t)n);
	end_line(q);
}

/* Why QEMU ended, in our words. */
static void explain(struct qemu *q, const siginfo_t *info, struct err *err)
{
	int broken = __atomic_load_n(&q->broken, __ATOMIC_ACQUIRE);
	const char *line = q->last_line, *colon;

	if (q->stopped || (broken == 0 && info->si_code == CLD_EXITED && info->si_status == 0))
		return;
	if (broken > 0) {
		err_set(err, ERR_PROTOCOL, "QEMU broke the vhost-user protocol of device '%s'",
			q->devices[broken - 1].name);
		return;
	}
	if (info->si_code != CLD_EXITED) {
		err_set(err, ERR_UNAVAILABLE, "QEMU was killed by signal %d%s%s", info->si_status,
			*line ? ": " : "", line);
		return;
	}
	if (strstr(line, "cannot set up guest memory") || strstr(line, "Cannot allocate memory")) {
		err_set(err, ERR_UNAVAILABLE, "not enough memory on the host for the guest: %s",
			line);
		return;
	}
	colon = strstr(line, ": "); /* "PROGRAM: what happened" */
	err_set(err, ERR_UNAVAILABLE, "QEMU ended with status %d: %s", info->si_status,
		colon	? colon + 2
		: *line ? line
			: "it gave no reason");
}

static void qemu_gone(void *user, uint32_t events)
{
	struct qemu *q = user;
	siginfo_t info = { 0 };
	struct err why = ERR_INIT;

	loop_remove(q->loop, &q->pidfd_id);
	/* Fails if somebody else waited for all children; the end of QEMU is a fact anyway. */
	if (waitid((idtype_t)P_PIDFD, (id_t)q->pidfd, &info, WEXITED) < 0)
		info = (siginfo_t){ .si_code = CLD_EXITED };
	(void)close(q->pidfd);
	q->pidfd = -1;
	loop_remove(q->loop, &q->stderr_id);
	drain_stderr(q);
	explain(q, &info, &why);
	q->on_exit(q->user, &why);
}

/* On the device's thread. An orderly close is the end of QEMU, which the pidfd tells. */
static void transport_closed(void *user, int error)
{
	struct qemu_device *d = user;
	int none = 0;

	if (error == 0)
		return;
	log_warn("device %s: the vhost-user connection failed: error %d", d->name, -error);
	(void)__atomic_compare_exchange_n(&d->qemu->broken, &none, 1 + (int)(d - d->qemu->devices),
					  false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
	send_kill(d->qemu);
}

/* Socket pairs and transports; QEMU's ends go to @ret_fds. */
static int make_transports(struct qemu *q, const struct engine_config *config, int *ret_fds,
			   struct err *err)
{
	for (size_t i = 0; i < config->n_devices; i++) {
		const struct engine_device *ed = &config->devices[i];
		struct qemu_device *d = &q->devices[i];
		int pair[2], r;

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
			return err_sys(err, errno, "make a socket for device '%s'",
				       ed->dev->ops->name);
		ret_fds[i] = pair[1];
		*d = (struct qemu_device){ .qemu = q, .name = ed->dev->ops->name };
		q->n_devices = i + 1;
		r = vhost_user_new(ed->loop, ed->dev, pair[0], transport_closed, d, &d->vu);
		if (r < 0) {
			(void)close(pair[0]);
			return err_sys(err, -r, "serve device '%s'", d->name);
		}
	}
	return 0;
}

static int spawn_qemu(struct qemu *q, const struct engine_config *config, const int *device_fds,
		      int stderr_fd, struct err *err)
{
	AUTO(qemu_args_done) struct qemu_args args = { 0 };
	struct spawn_fd fds[QEMU_FD_DEVICE + QEMU_MAX_DEVICES] = {
		{ stderr_fd, QEMU_FD_STDERR },
		{ config->kernel_fd, QEMU_FD_KERNEL },
		{ config->initramfs_fd, QEMU_FD_INITRAMFS },
		{ config->console_fd, QEMU_FD_CONSOLE },
	};
	/*
	 * Beside its main arena glibc grows one in steps of a page, by mprotect(): under TCG that
	 * makes a thousand calls of one boot and a tenth of its time.
	 */
	char malloc_arenas[] = "GLIBC_TUNABLES=glibc.malloc.arena_max=1";
	char *const environment[] = { malloc_arenas, NULL };
	struct spawn_args spawn_args = {
		.path = config->qemu_path,
		.envp = environment,
		.fds = fds,
		.n_fds = 4,
		.die_with_parent = true,
	};
	int r = qemu_args_build(config, qemu_tsc_khz(), &args, err);

	if (r < 0)
		return r;
	spawn_args.argv = args.v;
	if (config->lock_fd >= 0)
		fds[spawn_args.n_fds++] = (struct spawn_fd){ config->lock_fd, QEMU_FD_LOCK };
	for (size_t i = 0; i < config->n_devices; i++)
		fds[spawn_args.n_fds++] =
			(struct spawn_fd){ device_fds[i], QEMU_FD_DEVICE + (int)i };
	r = spawn(&spawn_args, &q->pidfd);
	if (r < 0)
		return err_sys(err, -r, "start QEMU '%s'", config->qemu_path);
	q->pid = r;
	return 0;
}

static void qemu_free(struct engine *e);

/* All of start() that can fail; the caller closes @device_fds. */
static int start_all(struct qemu *q, const struct engine_config *config, int *device_fds,
		     struct err *err)
{
	AUTO_CLOSE int stderr_write = -1;
	int pipe_fds[2], r;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return err_sys(err, errno, "make a pipe");
	q->stderr_fd = pipe_fds[0];
	stderr_write = pipe_fds[1];
	r = io_set_nonblock(q->stderr_fd, 1);
	if (r == 0)
		r = loop_add_fd(q->loop, q->stderr_fd, EPOLLIN, stderr_ready, q, &q->stderr_id);
	if (r < 0)
		return err_sys(err, -r, "watch QEMU");
	r = make_transports(q, config, device_fds, err);
	if (r == 0)
		r = spawn_qemu(q, config, device_fds, stderr_write, err);
	if (r < 0)
		return r;
	r = loop_add_fd(q->loop, q->pidfd, EPOLLIN, qemu_gone, q, &q->pidfd_id);
	return r < 0 ? err_sys(err, -r, "watch QEMU") : 0;
}

static int qemu_start(struct loop *loop, const struct engine_config *config, engine_exit_fn on_exit,
		      void *user, struct engine **ret_engine, struct err *err)
{
	int device_fds[QEMU_MAX_DEVICES], r;
	struct qemu *q = calloc(1, sizeof(*q));

	if (!q)
		return err_sys(err, ENOMEM, "start QEMU");
	*q = (struct qemu){
		.engine = { .ops = &engine_qemu },
		.loop = loop,
		.on_exit = on_exit,
		.user = user,
		.pidfd = -1,
		.stderr_fd = -1,
	};
	for (size_t i = 0; i < QEMU_MAX_DEVICES; i++)
		device_fds[i] = -1;
	if (config->n_devices > QEMU_MAX_DEVICES)
		r = err_set(err, ERR_INVALID, "too many devices for QEMU");
	else
		r = start_all(q, config, device_fds, err);
	for (size_t i = 0; i < QEMU_MAX_DEVICES; i++)
		if (device_fds[i] >= 0)
			(void)close(device_fds[i]);
	if (r < 0) {
		qemu_free(&q->engine);
		return r;
	}
	*ret_engine = &q->engine;
	return 0;
}

static void qemu_stop(struct engine *e)
{
	struct qemu *q = (struct qemu *)e;

	q->stopped = true;
	send_kill(q);
}

static void qemu_free(struct engine *e)
{
	struct qemu *q = (struct qemu *)e;

	if (!q)
		return;
	send_kill(q);
	loop_remove(q->loop, &q->pidfd_id);
	loop_remove(q->loop, &q->stderr_id);
	if (q->pidfd >= 0) {
		siginfo_t info;

		(void)waitid((idtype_t)P_PIDFD, (id_t)q->pidfd, &info, WEXITED);
		close_auto(&q->pidfd);
	}
	if (q->stderr_fd >= 0)
		(void)close(q->stderr_fd);
	for (size_t i = 0; i < q->n_devices; i++)
		vhost_user_free(q->devices[i].vu);
	free(q);
}

/* As long as it is not collected, the number is its. */
static uint64_t qemu_cpu_ns(struct engine *e)
{
	struct qemu *q = (struct qemu *)e;
	struct timespec t = { 0 };
	clockid_t clock;

	if (q->pidfd < 0 || clock_getcpuclockid(q->pid, &clock) != 0 ||
	    clock_gettime(clock, &t) < 0)
		return 0;
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

const struct engine_ops engine_qemu = {
	.name = "qemu",
	.start = qemu_start,
	.cpu_ns = qemu_cpu_ns,
	.stop = qemu_stop,
	.free = qemu_free,
};
