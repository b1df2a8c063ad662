/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"
#include "base/log.h"
#include "boot.h"
#include "child.h"
#include "control.h"
#include "mounts.h"
#include "proto/frame.h"
#include "root.h"
#include "server.h"
#include "session.h"
#include "settings.h"
#include "shutdown.h"

#define REAP_BATCH 256 /* processes; bounds the work of one event */

/* What PID 1 is for itself: no core, not for the OOM killer, deaf to SIGPIPE. */
static void protect_self(void)
{
	AUTO_CLOSE int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "-1000", 5) < 0)
		log_warn("protect against the OOM killer: errno %d", errno);
	child_set_agent_limits();
	(void)signal(SIGPIPE, SIG_IGN);
}

/* A signal stands for any number of children: what a batch leaves has no other. */
static void reap(void *user)
{
	struct agent *a = user;
	int n = 0;

	a->reap_id = 0;
	for (; n < REAP_BATCH; n++) {
		struct rusage use;
		int status;
		pid_t pid = wait4(-1, &status, WNOHANG, &use);

		if (pid <= 0)
			break;
		session_reaped(a, pid, status, &use);
	}
	if (n == REAP_BATCH)
		defer(a->loop, reap, a, &a->reap_id);
	session_sweep(a);
	shutdown_check(a);
}

static void on_children(void *user, uint32_t events)
{
	struct agent *a = user;
	struct signalfd_siginfo info;

	while (read(a->children_fd, &info, sizeof(info)) > 0)
		;
	loop_remove(a->loop, &a->reap_id);
	reap(a);
}

static int watch_children(struct agent *a, struct failure *f)
{
	sigset_t set;
	loop_id id;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	a->children_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (a->children_fd < 0)
		return fail(f, "agent", errno, "signalfd", "watch children");
	r = loop_add_fd(a->loop, a->children_fd, EPOLLIN, on_children, a, &id);
	return r < 0 ? fail(f, "agent", -r, "signalfd", "watch children") : 0;
}

/* From the boot message to "ready". */
static int set_up(struct agent *a, int host, struct buf *early, struct failure *f)
{
	int r = boot_read(host, &a->boot, early, f);

	if (r < 0)
		return r;
	r = boot_progress(host, "agent");
	if (r < 0)
		return fail(f, "agent", -r, "vsock", "report progress");
	settings_kernel(&a->boot);
	explicit_bzero(a->boot.seed, sizeof(a->boot.seed));
	if (root_enter(a, f) < 0)
		return -1;
	r = boot_progress(host, "mounts");
	if (r < 0)
		return fail(f, "agent", -r, "vsock", "report progress");
	r = loop_new(&a->loop);
	if (r < 0)
		return fail(f, "agent", -r, "loop", "make the loop");
	if (watch_children(a, f) < 0)
		return -1;
	return server_start(a, f);
}

/* Nobody hears of it but the console. */
static _Noreturn void give_up(const struct failure *f)
{
	(void)fprintf(stderr, "agentd: stage %s: %s\n", f->stage, f->message);
	cut_power();
}

static _Noreturn void run(struct agent *a)
{
	AUTO(buf_done) struct buf early = { .max = FRAME_HEADER + FRAME_MAX_PAYLOAD };
	struct failure f;
	int host, r;

	if (mounts_basic(&f) < 0)
		give_up(&f);
	protect_self();
	a->cgroup_fd = mounts_cgroup_fd();
	a->console_fd = open("/dev/console", O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	host = boot_connect(&f);
	if (host < 0)
		give_up(&f);
	if (set_up(a, host, &early, &f) < 0) {
		(void)fprintf(stderr, "agentd: stage %s: %s\n", f.stage, f.message);
		boot_failed(host, &f);
		power_off(a);
	}
	r = control_start(a, host, &early);
	if (r < 0)
		power_off(a);
	control_ready(a);
	r = loop_run(a->loop);
	(void)fprintf(stderr, "agentd: the loop ended: errno %d\n", -r);
	power_off(a);
}

int main(void)
{
	struct agent a = {
		.cgroup_fd = -1,
		.upper_fd = -1,
		.console_fd = -1,
		.children_fd = -1,
	};

	if (getpid() != 1) {
		(void)fprintf(stderr, "agentd: runs as PID 1 of a sandbox only\n");
		return 2;
	}
	boot_spec_init(&a.boot);
	run(&a);
}
