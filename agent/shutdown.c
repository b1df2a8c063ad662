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

	a->kill_id = 0;
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

static struct session *find_main(struct agent *a)
{
	struct session *s = a->sessions;

	while (s && !(s->req.main && s->pid > 0))
		s = s->next;
	return s;
}

/*
 * TERM to all, but to main its own signal: main stands still meanwhile, so it is found by its group.
 * Without a main, or with TERM, that is one call.
 */
static void terminate_all(struct agent *a, int signal)
{
	struct session *main = signal && signal != SIGTERM ? find_main(a) : NULL;

	if (!main) {
		(void)kill(-1, SIGTERM);
		return;
	}
	for (struct session *s = a->sessions; s; s = s->next)
		if (s->pid > 0)
			IGNORE_RESULT(session_kill(s, s == main ? signal : SIGTERM,
						   s == main ? KILL_GROUP : KILL_CGROUP));
}

/* The time that is left may only become less. */
static void set_kill_timer(struct agent *a, uint32_t grace_ms)
{
	uint64_t at = clock_now_ns() + grace_ms * NS_PER_MS;

	if (a->kill_id && a->kill_at_ns <= at)
		return;
	loop_remove(a->loop, &a->kill_id);
	a->kill_at_ns = at;
	if (loop_add_timer(a->loop, at, kill_all, a, &a->kill_id) < 0)
		kill_all(a);
}

void shutdown_begin(struct agent *a, const struct shutdown_request *request)
{
	bool again = a->stopping;

	if (again && !a->kill_id) /* killed already */
		return;
	a->stopping = true;
	if (!again) {
		freezer_end(a);
		terminate_all(a, (int)request->signal);
		session_hang_up_terminals(a);
		(void)kill(-1, SIGCONT); /* a stopped program could not take it */
	}
	set_kill_timer(a, request->grace_ms);
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
