/* SPDX-License-Identifier: Apache-2.0 */
#include "shutdown.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "control.h"
#include "freezer.h"
#include "session.h"

#define KILL_NS (2 * NS_PER_S) /* for killed processes to go and last output to be taken */

static _Noreturn void finish(void *user)
{
	struct agent *a = user;

	flush_disks(a);
	control_flushed(a);
	cut_power();
}

static void finish_from_timer(void *user)
{
	finish(user);
}

static void kill_all(void *user)
{
	struct agent *a = user;
	loop_id id = 0;

	(void)kill(-1, SIGKILL);
	if (loop_add_timer(a->loop, clock_now_ns() + KILL_NS, finish_from_timer, a, &id) < 0)
		finish(a);
	shutdown_check(a);
}

/* Kernel threads are children of another process, so no child means no process at all. */
static bool nothing_runs(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD;
}

void shutdown_begin(struct agent *a, uint32_t grace_ms)
{
	loop_id id = 0;

	if (a->stopping)
		return;
	a->stopping = true;
	freezer_end(a);
	(void)kill(-1, SIGTERM);
	session_hang_up_terminals(a);
	(void)kill(-1, SIGCONT); /* a stopped program could not take it */
	if (loop_add_timer(a->loop, clock_now_ns() + grace_ms * NS_PER_MS, kill_all, a, &id) < 0)
		kill_all(a);
	shutdown_check(a);
}

void shutdown_check(struct agent *a)
{
	loop_id id = 0;

	if (!a->stopping || !nothing_runs() || session_any_open(a))
		return;
	/* From the loop: whoever calls has its own work to end. */
	if (loop_add_timer(a->loop, 0, finish_from_timer, a, &id) < 0)
		finish(a);
}
