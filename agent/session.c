/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: sessions
 *
 * A session goes through the states of enum session_state in their order and never back.  It
 * outlives its clients: what becomes of the program when the one with the input leaves is said
 * by on_disconnect.  Its end is remembered, and as long as something runs in its cgroup or
 * holds its pipes it is not forgotten.
 *
 * Flow control: a program's output is read while the ring has room that the viewer with the
 * input does not need (output.c), its input is read from that viewer while it takes it
 * (input.c).  So each side waits for the other, and nobody else does.
 *
 * No timer runs for ended sessions: they are looked at when somebody asks.
 */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "cgroup.h"
#include "child.h"
#include "control.h"
#include "ends.h"
#include "shutdown.h"
#include "viewer.h"

#define DRAIN_NS  NS_PER_S	 /* docs/internals/agent-protocol.md, "End of a program" */
#define HANGUP_NS (2 * NS_PER_S) /* between HUP and KILL when the client is gone */

static void session_free(struct session *s)
{
	struct loop *loop = s->agent->loop;
	struct session **p = &s->agent->sessions;

	while (*p && *p != s)
		p = &(*p)->next;
	if (*p)
		*p = s->next;
	loop_remove(loop, &s->status_id);
	close_auto(&s->status_fd);
	input_close(s);
	outputs_close(s);
	IGNORE_RESULT(output_resize(&s->out[0], 0)); /* to nothing always works */
	IGNORE_RESULT(output_resize(&s->out[1], 0));
	loop_remove(loop, &s->timeout);
	loop_remove(loop, &s->kill);
	loop_remove(loop, &s->silence);
	loop_remove(loop, &s->drain);
	exec_request_done(&s->req);
	free(s);
}

/* Nothing of it runs or holds its pipes; asks the kernel, and may remove the cgroup. */
static bool is_empty(struct session *s)
{
	if (s->out[0].fd >= 0 || s->out[1].fd >= 0 || s->pid)
		return false;
	if (s->has_cgroup && cgroup_remove(s->agent->cgroup_fd, s->id) != -EBUSY)
		s->has_cgroup = false;
	return !s->has_cgroup;
}

void session_exit(const struct session *s, struct exec_exited *ret)
{
	int status = s->wait_status;
	uint32_t signal = WIFSIGNALED(status) ? (uint32_t)WTERMSIG(status) : 0;

	*ret = (struct exec_exited){
		.code = signal ? 128 + signal : (uint32_t)WEXITSTATUS(status),
		.signal = signal,
		.core = signal && WCOREDUMP(status),
		.timed_out = s->timed_out,
		.oom = s->oom,
		.pipes_open = s->pipes_open,
		.duration_ns = s->exited_ns - s->started_ns,
		.user_us = s->user_us,
		.system_us = s->system_us,
		.max_rss = s->max_rss,
	};
}

/* ---- what is remembered ---- */

static bool is_forgettable(struct session *s)
{
	return s->state == SESSION_ENDED && !s->viewers && is_empty(s);
}

/* The one that ended first and can be forgotten; *ret_n: how many have ended. */
static struct session *oldest_ended(struct agent *a, unsigned *ret_n)
{
	struct session *oldest = NULL;

	*ret_n = 0;
	for (struct session *s = a->sessions; s; s = s->next) {
		if (s->state != SESSION_ENDED)
			continue;
		++*ret_n;
		if ((!oldest || s->ended_ns < oldest->ended_ns) && is_forgettable(s))
			oldest = s;
	}
	return oldest;
}

/* Forget what ended too long ago, or too many sessions ago. */
static void expire(struct agent *a)
{
	uint64_t now = clock_now_ns();

	for (;;) {
		unsigned n;
		struct session *s = oldest_ended(a, &n);

		if (!s || (n <= SESSIONS_KEPT && now - s->ended_ns <= SESSION_KEPT_NS))
			return;
		session_free(s);
	}
}

static size_t fitting(const struct ring *r)
{
	size_t cap = RING_MIN;

	if (ring_kept(r) == 0)
		return 0;
	while (cap < ring_kept(r))
		cap *= 2;
	return cap;
}

void session_trim(struct session *s)
{
	bool keep = s->req.on_disconnect == ON_DISCONNECT_KEEP;

	if (s->viewers)
		return;
	if (s->state == SESSION_FAILED && is_empty(s)) {
		session_free(s);
		return;
	}
	if (s->state != SESSION_ENDED)
		return;
	for (int i = 0; i < 2; i++) {
		size_t cap = keep ? fitting(&s->out[i].ring) : 0;

		if (cap < s->out[i].ring.cap)
			IGNORE_RESULT(output_resize(&s->out[i], cap)); /* or it stays larger */
	}
}

struct session *session_find(struct agent *a, uint64_t id)
{
	struct session *s;

	expire(a);
	for (s = a->sessions; s && s->id != id; s = s->next)
		;
	return s && s->state != SESSION_STARTING && s->state != SESSION_FAILED ? s : NULL;
}

/* ---- the end ---- */

static void session_end(struct session *s)
{
	struct agent *a = s->agent;
	struct session_event event = { .session = s->id, .ended = true, .main = s->req.main };
	struct exec_exited e;

	s->state = SESSION_ENDED;
	s->ended_ns = clock_now_ns();
	session_exit(s, &e);
	event.code = e.code;
	event.signal = e.signal;
	event.n_live = --a->n_live;
	control_session(a, &event);
	IGNORE_RESULT(is_empty(s)); /* removes the cgroup */
	session_trim(s);
	outputs_update(s);
	shutdown_check(a);
}

/* All output is known. */
static void session_exited(struct session *s)
{
	loop_remove(s->agent->loop, &s->silence);
	loop_remove(s->agent->loop, &s->drain);
	loop_remove(s->agent->loop, &s->timeout);
	input_close(s);
	s->state = SESSION_FLUSHING;
	viewers_pump(s);
	if (!s->primary)
		session_end(s);
}

void session_try_exited(struct session *s)
{
	bool open = s->out[0].fd >= 0 || s->out[1].fd >= 0;

	if (s->state != SESSION_DRAINING)
		return;
	if (open && !(s->expired && s->out[0].owed == 0 && s->out[1].owed == 0))
		return;
	s->pipes_open = open;
	session_exited(s);
}

static void on_drain_end(void *user)
{
	struct session *s = user;

	s->drain = 0;
	s->expired = true;
	session_try_exited(s);
}

static void enter_draining(struct session *s)
{
	s->state = SESSION_DRAINING;
	s->exited_ns = clock_now_ns();
	s->exited_wall_ns = clock_wall_ns();
	if (s->has_cgroup)
		s->oom = cgroup_had_oom(s->agent->cgroup_fd, s->id);
	for (int i = 0; i < 2; i++)
		s->out[i].owed = output_waiting(&s->out[i]);
	if (!s->req.wait_pipes) {
		loop_remove(s->agent->loop, &s->timeout);
		input_close(s);
		if (loop_add_timer(s->agent->loop, s->exited_ns + DRAIN_NS, on_drain_end, s,
				   &s->drain) < 0)
			s->expired = true;
	}
	outputs_update(s);
	session_try_exited(s);
}

static void session_failed(struct session *s, const struct failure *f)
{
	loop_remove(s->agent->loop, &s->status_id);
	close_auto(&s->status_fd);
	input_close(s);
	outputs_close(s);
	s->state = SESSION_FAILED;
	viewers_failed(s, f);
	session_trim(s); /* while the child lives it stays for the sweep */
}

/* ---- killing ---- */

static void kill_all(void *user)
{
	struct session *s = user;

	s->kill = 0;
	if (s->has_cgroup && cgroup_kill(s->agent->cgroup_fd, s->id) >= 0)
		return;
	if (s->pid)
		(void)kill(-s->pid, SIGKILL);
}

static void kill_after(struct session *s, uint64_t ns)
{
	if (s->kill == 0 &&
	    loop_add_timer(s->agent->loop, clock_now_ns() + ns, kill_all, s, &s->kill) < 0)
		kill_all(s);
}

static void on_timeout(void *user)
{
	struct session *s = user;

	s->timeout = 0;
	s->timed_out = true;
	viewers_say(s, FRAME_TIMED_OUT);
	if (!s->pid) { /* its children hold the pipes that are waited for */
		kill_all(s);
		return;
	}
	(void)kill(-s->pid, SIGTERM);
	(void)kill(-s->pid, SIGCONT); /* a stopped program could not take it */
	kill_after(s, s->req.kill_after_ms * NS_PER_MS);
}

int session_kill(struct session *s, int signal, enum kill_scope scope)
{
	if (scope == KILL_CGROUP && s->has_cgroup)
		return is_empty(s) ? -ESRCH : cgroup_signal(s->agent->cgroup_fd, s->id, signal);
	if (!s->pid)
		return -ESRCH;
	return kill(-s->pid, signal) < 0 ? -errno : 0;
}

void session_primary_lost(struct session *s)
{
	enum on_disconnect how = s->req.on_disconnect;

	if (s->state == SESSION_FLUSHING) {
		session_end(s);
		return;
	}
	if (s->state > SESSION_FLUSHING)
		return;
	if (how != ON_DISCONNECT_KEEP) {
		input_close(s);
		if (s->pid)
			(void)kill(-s->pid, SIGHUP);
	}
	if (how == ON_DISCONNECT_KILL)
		kill_after(s, HANGUP_NS);
	outputs_update(s);
	session_try_exited(s);
}

/* ---- start ---- */

static void session_started(struct session *s)
{
	s->state = SESSION_RUNNING;
	s->started_ns = clock_now_ns();
	s->started_wall_ns = clock_wall_ns();
	s->agent->n_live++;
	viewers_started(s);
	control_session(s->agent, &(struct session_event){
					  .session = s->id,
					  .main = s->req.main,
					  .n_live = s->agent->n_live,
				  });
	if (s->req.timeout_ms &&
	    loop_add_timer(s->agent->loop, s->started_ns + s->req.timeout_ms * NS_PER_MS,
			   on_timeout, s, &s->timeout) < 0)
		on_timeout(s);
	input_start(s);
	outputs_update(s);
}

/* The child said why it failed, or is the program now. */
static void on_status(void *user, uint32_t events)
{
	struct session *s = user;
	struct failure f;
	ssize_t n = read(s->status_fd, &f, sizeof(f));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	loop_remove(s->agent->loop, &s->status_id);
	close_auto(&s->status_fd);
	if (n == (ssize_t)sizeof(f))
		session_failed(s, &f);
	else
		session_started(s);
}

static int make_cgroup(struct session *s)
{
	struct cgroup_limits limits = {
		.memory_max = s->req.memory_max,
		.pids_max = s->req.pids_max,
		.cpu_milli = s->req.cpu_milli,
	};
	int root = s->agent->cgroup_fd;

	s->has_cgroup = root >= 0 && cgroup_make(root, s->id) >= 0;
	if (!limits.memory_max && !limits.pids_max && !limits.cpu_milli)
		return 0;
	return s->has_cgroup ? cgroup_limit(root, s->id, &limits) : -EOPNOTSUPP;
}

static int start_child(struct session *s, const char **ret_kind)
{
	char cgroup[CGROUP_NAME_MAX];
	struct ends e = ENDS_NONE;
	int r = ends_open(&e, &s->req);

	s->input_fd = e.input;
	s->out[0].fd = e.output[0];
	s->out[1].fd = e.output[1];
	s->status_fd = e.status;
	if (r >= 0) {
		r = make_cgroup(s);
		if (r < 0)
			*ret_kind = "limit";
	}
	if (r >= 0) {
		cgroup_name(s->id, cgroup);
		r = child_start(&(struct child_args){
			.agent = s->agent,
			.req = &s->req,
			.fds = { e.child[0], e.child[1], e.child[2] },
			.status_fd = e.child_status,
			.cgroup = s->has_cgroup ? cgroup : NULL,
		});
	}
	ends_close_child(&e);
	if (r < 0)
		return r;
	s->pid = s->first_pid = r;
	return loop_add_fd(s->agent->loop, s->status_fd, EPOLLIN, on_status, s, &s->status_id);
}

static const char *kind_of_start(int r, bool tty)
{
	switch (-r) {
	case ENOMEM:
		return "no-memory";
	case EMFILE:
	case ENFILE:
	case EAGAIN:
		return "limit";
	default:
		return tty ? "pty" : "other";
	}
}

/* Sessions that take resources: all but those that only are remembered. */
static unsigned n_busy(const struct agent *a)
{
	unsigned n = 0;

	for (const struct session *s = a->sessions; s; s = s->next)
		n += s->state != SESSION_ENDED || s->has_cgroup || s->out[0].fd >= 0 ||
		     s->out[1].fd >= 0;
	return n;
}

struct session *session_start(struct agent *a, struct exec_request *req, struct viewer *primary)
{
	struct session *s;
	const char *kind = NULL;
	struct failure f;
	int r;

	expire(a);
	s = n_busy(a) < SESSIONS_MAX ? calloc(1, sizeof(*s)) : NULL;
	if (!s)
		return NULL;
	s->agent = a;
	s->status_fd = s->input_fd = s->out[0].fd = s->out[1].fd = -1;
	s->out[0].session = s->out[1].session = s;
	s->req.tty = req->tty;
	if (!outputs_init(s)) {
		session_free(s);
		return NULL;
	}
	s->req = *req;
	*req = (struct exec_request){ 0 };
	s->id = ++a->last_session;
	s->next = a->sessions;
	a->sessions = s;
	primary->session = s;
	s->viewers = s->primary = primary;
	r = start_child(s, &kind);
	if (r >= 0)
		return s;
	(void)fail(&f, "main", -r, s->req.argv.items[0], "start a program");
	(void)snprintf(f.kind, sizeof(f.kind), "%s", kind ? kind : kind_of_start(r, s->req.tty));
	kill_all(s);
	session_failed(s, &f);
	return s;
}

/* ---- all of them ---- */

void session_reaped(struct agent *a, pid_t pid, int status, const struct rusage *use)
{
	struct session *s = a->sessions;

	while (s && s->pid != pid)
		s = s->next;
	if (!s)
		return;
	if (s->state == SESSION_STARTING)
		on_status(s, 0);
	s->pid = 0;
	s->wait_status = status;
	s->user_us = (uint64_t)use->ru_utime.tv_sec * 1000000 + (uint64_t)use->ru_utime.tv_usec;
	s->system_us = (uint64_t)use->ru_stime.tv_sec * 1000000 + (uint64_t)use->ru_stime.tv_usec;
	s->max_rss = (uint64_t)use->ru_maxrss * 1024;
	if (s->state == SESSION_RUNNING)
		enter_draining(s);
}

void session_sweep(struct agent *a)
{
	struct session *s, *next;

	for (s = a->sessions; s; s = next) {
		next = s->next;
		if (s->state == SESSION_ENDED && s->has_cgroup)
			IGNORE_RESULT(is_empty(s)); /* removes the cgroup */
		else if (s->state == SESSION_FAILED)
			session_trim(s);
	}
}

void session_hang_up_terminals(struct agent *a)
{
	for (struct session *s = a->sessions; s; s = s->next)
		if (s->pid && s->req.tty)
			(void)kill(-s->pid, SIGHUP);
}

bool session_any_open(const struct agent *a)
{
	for (const struct session *s = a->sessions; s; s = s->next)
		if (s->state > SESSION_STARTING && s->state < SESSION_ENDED)
			return true;
	return false;
}

static void join_argv(const struct str_list *argv, char *out, size_t size)
{
	size_t len = 0;

	for (size_t i = 0; i < argv->n && len < size - 1; i++) {
		int n = snprintf(out + len, size - len, "%s%s", i ? " " : "", argv->items[i]);

		if (n > 0)
			len += (size_t)n;
	}
}

static void describe(const struct session *s, struct session_info *ret)
{
	struct exec_exited e = { 0 };

	if (s->state >= SESSION_DRAINING)
		session_exit(s, &e);
	*ret = (struct session_info){
		.session = s->id,
		.phase = s->state == SESSION_RUNNING ? PHASE_RUNNING
			 : s->state == SESSION_ENDED ? PHASE_ENDED
						     : PHASE_ENDING,
		.pid = (uint32_t)s->pid,
		.main = s->req.main,
		.tty = s->req.tty,
		.input_taken = s->primary != NULL,
		.on_disconnect = s->req.on_disconnect,
		.started_ns = s->started_wall_ns,
		.ended_ns = s->exited_wall_ns,
		.code = e.code,
		.signal = e.signal,
		.timed_out = e.timed_out,
		.oom = e.oom,
		.out_bytes = s->out[0].ring.end,
		.err_bytes = s->out[1].ring.end,
		.out_kept = ring_kept(&s->out[0].ring),
		.err_kept = ring_kept(&s->out[1].ring),
	};
	for (const struct viewer *v = s->viewers; v; v = v->next)
		ret->n_clients++;
	join_argv(&s->req.argv, ret->command, sizeof(ret->command));
}

int session_list_make(struct agent *a, struct session_list *ret)
{
	size_t n = 0;

	expire(a);
	*ret = (struct session_list){ 0 };
	for (const struct session *s = a->sessions; s; s = s->next)
		n += s->state != SESSION_STARTING && s->state != SESSION_FAILED;
	ret->items = calloc(n ? n : 1, sizeof(*ret->items));
	if (!ret->items)
		return -ENOMEM;
	for (const struct session *s = a->sessions; s; s = s->next)
		if (s->state != SESSION_STARTING && s->state != SESSION_FAILED)
			describe(s, &ret->items[ret->n_items++]);
	return 0;
}
