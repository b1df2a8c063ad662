/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: one sandbox
 *
 * Everything here runs on the main loop; ending.c decides, this file carries out.  Events are:
 * frames of the agent, requests of clients, the watchdog pipe, signals, one timer (start
 * deadline, then deadlines of the end; none while the sandbox runs), the end of the engine.
 *
 * The record is written before the client hears that a boot failed, so that it can read it
 * then, and before threads are joined, so that a folder of the host that hangs keeps nobody
 * from learning of the end.
 */
#include "sandbox/sandbox.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "devices/devices.h"
#include "sandbox/agent_channel.h"
#include "sandbox/console.h"
#include "sandbox/control.h"
#include "sandbox/ending.h"
#include "sandbox/exit_record.h"
#include "sandbox/host_clock.h"
#include "sandbox/keeper.h"
#include "sandbox/limits.h"
#include "sandbox/listener.h"
#include "sandbox/log_queue.h"
#include "sandbox/machine.h"
#include "sandbox/report.h"
#include "sandbox/run_dir.h"
#include "sandbox/tap.h"

struct left_session {
	struct left_session *next; /* owned */
	struct tap_left left;
};

struct sandbox {
	const struct launch_spec *spec; /* borrowed */
	struct loop *loop;		/* owned */
	uint64_t started_at;		/* wall clock, ns */
	struct ending ending;
	struct machine machine;
	struct log_queue *log; /* owned */
	struct taps *taps;     /* owned */
	struct keeper keeper;
	struct left_session
		*left; /* owned; to be watched as soon as the device has done its work */
	struct console console;
	struct report report;
	struct agent_channel *channel; /* owned */
	struct control control;
	struct listener agent_listener;
	struct limits limits;
	struct host_clock clock;
	loop_id watchdog_id, parent_id, signal_id, timer_id;
	int signal_fd; /* owned */
	bool client_gone;
	struct failure failure; /* the first one; message is "" if there is none */
	bool has_main;
	uint32_t main_code, main_signal;
};

static void event(struct sandbox *s, enum end_event ev, uint32_t grace_ms);

static void timer_due(void *user)
{
	struct sandbox *s = user;

	if (s->ending.state == END_STARTING && !s->failure.message[0]) {
		(void)snprintf(s->failure.stage, sizeof(s->failure.stage), "%s", s->report.stage);
		(void)snprintf(s->failure.message, sizeof(s->failure.message),
			       "not ready after %llu s, the last stage was '%s'",
			       (unsigned long long)(s->spec->start_timeout_ms / 1000),
			       s->report.stage);
	}
	event(s, EVENT_TIMEOUT, 0);
}

static void set_timer(struct sandbox *s, uint64_t deadline_ns)
{
	loop_remove(s->loop, &s->timer_id);
	if (loop_add_timer(s->loop, deadline_ns, timer_due, s, &s->timer_id) < 0) {
		log_error("out of memory: no more waiting");
		machine_cut(&s->machine);
	}
}

/* Into the run folder, and to the clients that wait for it. */
static void write_record(struct sandbox *s)
{
	AUTO(buf_done) struct buf tail = { 0 };
	AUTO(buf_done) struct buf text = { 0 };
	struct err err = ERR_INIT;
	struct exit_record record = {
		.id = s->spec->id,
		.name = s->spec->name,
		.engine = s->spec->engine,
		.reason = end_reason_name(s->ending.reason),
		.detail = s->failure.message[0] ? s->failure.message : NULL,
		.stage = s->failure.stage[0] ? s->failure.stage : NULL,
		.sys = s->failure.sys,
		.started_at = s->started_at,
		.ended_at = clock_wall_ns(),
		.has_main = s->has_main,
		.main_code = s->main_code,
		.main_signal = s->main_signal,
		.flushed = s->ending.flushed,
	};

	buf_init(&tail, CONSOLE_TAIL_MAX);
	if (console_tail_lines(&s->console.tail, &tail) < 0)
		log_warn("out of memory: the record has no console");
	record.console_tail = tail.data;
	record.console_tail_len = tail.len;
	IGNORE_RESULT(monitor_boot_id(record.boot)); /* "" if it is not known */
	buf_init(&text, EXIT_RECORD_MAX);
	if (exit_record_encode(&text, &record) < 0) {
		log_error("out of memory: there is no exit record");
		return;
	}
	if (exit_record_write(LAUNCH_FD_RUN_DIR, text.data, text.len, !s->spec->remove_run_dir,
			      &err) < 0)
		log_error("%s", err.msg);
	if (s->control.loop)
		control_ended(&s->control, text.data, text.len);
}

/* What the client hears of a boot that failed. */
static void tell_failure(struct sandbox *s)
{
	struct failure *f = &s->failure;

	if (!report_open(&s->report))
		return;
	if (!f->message[0]) {
		(void)snprintf(f->stage, sizeof(f->stage), "%s", s->report.stage);
		(void)snprintf(f->message, sizeof(f->message),
			       s->ending.reason == REASON_BOOT_FAILED
				       ? "the guest went down while it booted"
				       : "it was stopped before it was ready");
	}
}

/* The machine is gone. */
static void finish(struct sandbox *s)
{
	loop_remove(s->loop, &s->timer_id);
	log_queue_flush(s->log); /* who hears of the end finds all of the logs */
	tell_failure(s);
	log_info("ended: %s%s%s", end_reason_name(s->ending.reason),
		 s->failure.message[0] ? ": " : "", s->failure.message);
	write_record(s);
	if (report_open(&s->report))
		report_failed(&s->report, &s->failure);
	loop_stop(s->loop);
}

static void event(struct sandbox *s, enum end_event ev, uint32_t grace_ms)
{
	unsigned todo = ending_event(&s->ending, ev, grace_ms, clock_now_ns());

	if (todo & END_DO_TIMER)
		set_timer(s, s->ending.deadline_ns);
	if (todo & END_DO_SHUTDOWN &&
	    agent_channel_shutdown(s->channel, s->ending.grace_ms, s->spec->stop_signal) < 0)
		log_warn("the agent could not be asked to shut down");
	if (todo & END_DO_REFUSE && agent_channel_drain(s->channel) < 0)
		log_warn("the agent could not be asked to refuse sessions");
	if (todo & END_DO_CUT)
		machine_cut(&s->machine);
	if (todo & END_DO_FINISH)
		finish(s);
}

/* Keep the first failure only: what follows is its consequence. */
static void fail(struct sandbox *s, const char *stage, int sys, const char *message)
{
	if (s->failure.message[0])
		return;
	s->failure.sys = sys;
	(void)snprintf(s->failure.stage, sizeof(s->failure.stage), "%s", stage);
	(void)snprintf(s->failure.message, sizeof(s->failure.message), "%s", message);
}

static void engine_exited(void *user, const struct err *why)
{
	struct sandbox *s = user;

	console_finish(&s->console);
	if (why->code != ERR_NONE) {
		fail(s, "engine", why->sys, why->msg);
		event(s, EVENT_ENGINE_FAILED, 0);
	} else if (console_tail_has(&s->console.tail, "Kernel panic - not syncing")) {
		fail(s, "kernel", 0, "the guest's kernel panicked");
		event(s, EVENT_ENGINE_PANIC, 0);
	} else {
		event(s, EVENT_ENGINE_ENDED, 0);
	}
}

/*
 * Its kernel shut the devices down: a halt, or a reboot that QEMU tells as well.  A machine
 * without ACPI cannot be switched off from inside, so nothing else would tell a halt.
 */
static void guest_halted(void *user)
{
	event(user, EVENT_HALTED, 0);
}

/* The agent's events. */

static void agent_connected(void *user)
{
	struct sandbox *s = user;

	report_progress(&s->report, "agent");
}

static void agent_progress(void *user, const char *stage)
{
	struct sandbox *s = user;

	report_progress(&s->report, stage);
}

static void client_accepted(void *user, int fd)
{
	struct sandbox *s = user;
	int r = vsock_connect_tapped(s->machine.vsock, AGENT_PORT, fd, tap_new(s->taps));

	if (r < 0)
		log_warn("a client could not be joined to the agent: error %d", -r);
	else
		s->ending.streams = true;
}

static void watch_left(void *user)
{
	struct sandbox *s = user;

	while (s->left) {
		struct left_session *l = s->left;

		s->left = l->next;
		if (s->ending.state == END_GONE)
			;
		else if (keeper_watch(&s->keeper, &l->left) < 0)
			log_warn("the output of session %llu is not logged any more",
				 (unsigned long long)l->left.session);
		else
			s->ending.streams = true;
		free(l);
	}
}

/* A client went away in the midst of a session. */
static void session_left(void *user, const struct tap_left *left)
{
	struct sandbox *s = user;
	struct left_session *l = calloc(1, sizeof(*l));

	if (!l)
		return;
	*l = (struct left_session){ s->left, *left };
	if (!s->left && loop_post(s->loop, watch_left, s) < 0)
		log_warn("out of memory: the output of a session is not logged any more");
	s->left = l;
}

static void clients_quiet(void *user)
{
	struct sandbox *s = user;

	s->ending.streams = false;
	event(s, EVENT_QUIET, 0);
}

static void clock_changed(void *user)
{
	struct sandbox *s = user;

	IGNORE_RESULT(agent_channel_clock(s->channel) < 0); /* it is ending */
}

static struct limits_usage usage(void *user)
{
	struct sandbox *s = user;

	return (struct limits_usage){
		.attached = s->ending.streams,
		.cpu_ns = machine_cpu_ns(&s->machine),
		.io_ns = machine_io_ns(&s->machine),
	};
}

static void limit_due(void *user, enum end_event ev)
{
	event(user, ev, 0);
}

static const struct limits_events limits_events = { .usage = usage, .due = limit_due };

static void agent_ready(void *user)
{
	struct sandbox *s = user;
	int r;

	if (s->ending.state != END_STARTING)
		return;
	r = listener_init(&s->agent_listener, s->loop, LAUNCH_FD_AGENT, client_accepted, s);
	if (r < 0) {
		fail(s, "agent", -r, "clients of the agent cannot be accepted");
		event(s, EVENT_BOOT_FAILED, 0);
		return;
	}
	r = host_clock_init(&s->clock, s->loop, clock_changed, s);
	if (r < 0)
		log_warn("changes of the host's clock are not seen: error %d", -r);
	loop_remove(s->loop, &s->timer_id);
	r = limits_start(&s->limits, s->loop, s->spec, &limits_events, s);
	if (r < 0) {
		fail(s, "agent", -r, "the time of the sandbox cannot be limited");
		event(s, EVENT_BOOT_FAILED, 0);
		return;
	}
	event(s, EVENT_READY, 0);
	report_progress(&s->report, "ready");
	report_ready(&s->report);
	control_ready(&s->control);
	log_info("ready");
}

static void agent_boot_failed(void *user, const struct failure *why)
{
	struct sandbox *s = user;

	if (!s->failure.message[0])
		s->failure = *why;
	if (!s->failure.message[0])
		fail(s, why->stage, why->sys, "the agent could not set up the guest");
	event(s, EVENT_BOOT_FAILED, 0);
}

static void agent_session(void *user, const struct session_event *se)
{
	struct sandbox *s = user;

	s->ending.sessions = se->n_live > 0;
	limits_sessions(&s->limits, se->n_live);
	if (se->ended && se->main && !s->has_main) {
		s->has_main = true;
		s->main_code = se->code;
		s->main_signal = se->signal;
		event(s, EVENT_MAIN_EXITED, 0);
	}
	if (se->n_live == 0)
		event(s, EVENT_QUIET, 0);
}

static void agent_flushed(void *user)
{
	event(user, EVENT_FLUSHED, 0);
}

static void agent_lost(void *user, const char *why)
{
	struct sandbox *s = user;

	if (s->ending.state == END_STARTING)
		fail(s, "agent", 0, why ? why : "the agent ended its stream while it booted");
	event(s, EVENT_AGENT_LOST, 0);
}

static const struct agent_events agent_events = {
	.connected = agent_connected,
	.progress = agent_progress,
	.ready = agent_ready,
	.boot_failed = agent_boot_failed,
	.session = agent_session,
	.flushed = agent_flushed,
	.lost = agent_lost,
};

/* The guest opens a stream to the host: only the agent's control stream is one. */
static int guest_connects(void *user, uint32_t port)
{
	struct sandbox *s = user;

	return port == AGENT_CONTROL_PORT ? agent_channel_accept(s->channel) : -ECONNREFUSED;
}

/* The host's events. */

static void control_stop(void *user, const struct stop_request *request)
{
	static const enum end_event events[] = {
		[STOP_GRACEFUL] = EVENT_STOP,
		[STOP_KILL] = EVENT_KILL,
		[STOP_CUT] = EVENT_CUT,
		[STOP_DRAIN] = EVENT_DRAIN,
	};

	event(user, events[request->how], request->grace_ms);
}

static void control_touch(void *user)
{
	struct sandbox *s = user;

	limits_touch(&s->limits);
}

static const struct control_events control_events = {
	.stop = control_stop,
	.touch = control_touch,
};

/* From now on nobody's death matters. */
static void forget_client(struct sandbox *s)
{
	loop_remove(s->loop, &s->watchdog_id);
	loop_remove(s->loop, &s->parent_id);
}

static void client_died(struct sandbox *s)
{
	forget_client(s);
	s->client_gone = true;
	event(s, EVENT_PARENT_EXITED, 0);
}

static void watchdog_ready(void *user, uint32_t events)
{
	struct sandbox *s = user;
	char byte;
	ssize_t n = read(LAUNCH_FD_WATCHDOG, &byte, 1);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == 1) {
		log_info("detached");
		forget_client(s);
		return;
	}
	client_died(s);
}

/* A child that the client has forked may hold the other end of the watchdog. */
static void parent_ready(void *user, uint32_t events)
{
	struct sandbox *s = user;
	char byte;

	if (read(LAUNCH_FD_WATCHDOG, &byte, 1) == 1) { /* its last word */
		log_info("detached");
		forget_client(s);
		return;
	}
	client_died(s);
}

static void signal_ready(void *user, uint32_t events)
{
	struct sandbox *s = user;
	struct signalfd_siginfo info;

	if (read(s->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		event(s, EVENT_HOST_SIGNAL, 0);
}

static int watch_host(struct sandbox *s, struct err *err)
{
	sigset_t set;
	int r;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signal_fd < 0)
		return err_sys(err, errno, "make a signalfd");
	r = loop_add_fd(s->loop, s->signal_fd, EPOLLIN, signal_ready, s, &s->signal_id);
	if (r == 0)
		r = io_set_nonblock(LAUNCH_FD_WATCHDOG, 1);
	if (r == 0)
		r = loop_add_fd(s->loop, LAUNCH_FD_WATCHDOG, EPOLLIN, watchdog_ready, s,
				&s->watchdog_id);
	if (r == 0)
		r = loop_add_fd(s->loop, LAUNCH_FD_PARENT, EPOLLIN, parent_ready, s, &s->parent_id);
	if (r == 0)
		r = control_init(&s->control, s->loop, LAUNCH_FD_CONTROL, &control_events, s);
	return r < 0 ? err_sys(err, -r, "watch the host") : 0;
}

static int boot(struct sandbox *s, struct err *err)
{
	AUTO_CLOSE int guest_console = -1;
	int pair[2], r = log_queue_new(LAUNCH_FD_LOG_DIR, &s->log);

	if (r == 0)
		r = taps_new(s->log, s->spec->capture, &s->taps);
	if (r < 0)
		return err_sys(err, -r, "open the logs");
	r = machine_init(&s->machine, s->loop, s->spec, err);
	if (r < 0)
		return r;
	keeper_init(&s->keeper, s->loop, s->machine.vsock, s->taps);
	taps_on_left(s->taps, session_left, s);
	vsock_on_accept(s->machine.vsock, guest_connects, s);
	vsock_on_quiet(s->machine.vsock, clients_quiet, s);
	vsock_on_shutdown(s->machine.vsock, guest_halted, s);
	r = agent_channel_new(s->loop, LAUNCH_FD_BOOT, &agent_events, s, &s->channel);
	if (r < 0)
		return err_sys(err, -r, "make the agent's channel");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, errno, "make the console's socket");
	guest_console = pair[1];
	r = io_set_nonblock(pair[0], 1);
	if (r == 0)
		r = console_init(&s->console, s->loop, pair[0], s->log);
	else
		(void)close(pair[0]);
	if (r < 0)
		return err_sys(err, -r, "watch the console");
	return machine_start(&s->machine, s->spec, guest_console, engine_exited, s, err);
}

/* From the first thing that can fail on; what is made is released by sandbox_done(). */
static int start(struct sandbox *s, struct err *err)
{
	int r = loop_new(&s->loop);

	if (r < 0)
		return err_sys(err, -r, "make the loop");
	r = watch_host(s, err);
	if (r == 0)
		r = boot(s, err);
	if (r < 0)
		return r;
	report_progress(&s->report, "engine");
	set_timer(s, clock_now_ns() + s->spec->start_timeout_ms * NS_PER_MS);
	return 0;
}

static void sandbox_done(struct sandbox *s)
{
	if (s->taps)
		taps_on_left(s->taps, NULL, NULL);
	keeper_done(&s->keeper);
	machine_done(&s->machine);
	taps_free(s->taps);
	while (s->left) {
		struct left_session *next = s->left->next;

		free(s->left);
		s->left = next;
	}
	agent_channel_free(s->channel);
	host_clock_done(&s->clock);
	limits_done(&s->limits);
	listener_done(&s->agent_listener);
	control_done(&s->control);
	console_done(&s->console);
	log_queue_free(s->log);
	report_done(&s->report);
	if (s->signal_fd >= 0)
		(void)close(s->signal_fd);
	loop_free(s->loop);
}

/* Nobody is left to read the record and remove the folder. */
static void clean_up(struct sandbox *s)
{
	struct err err = ERR_INIT;
	char byte;

	if (!s->spec->remove_run_dir)
		return;
	if (s->watchdog_id && read(LAUNCH_FD_WATCHDOG, &byte, 1) == 0)
		s->client_gone = true;
	if (s->client_gone && run_dir_remove(LAUNCH_FD_RUN_DIR, s->spec->id, &err) < 0)
		log_warn("%s", err.msg);
}

int sandbox_run(const struct launch_spec *spec)
{
	struct sandbox s = {
		.spec = spec,
		.started_at = clock_wall_ns(),
		.console = { .fd = -1 },
		.signal_fd = -1,
	};
	struct err err = ERR_INIT;
	int r;

	ending_init(&s.ending, spec->flush, spec->stop_timeout_ms);
	report_init(&s.report, LAUNCH_FD_READY);
	report_progress(&s.report, "monitor");
	r = start(&s, &err);
	if (r == 0)
		IGNORE_RESULT(loop_run(s.loop) < 0); /* the state below tells */
	else
		fail(&s, "engine", err.sys, err.msg);
	if (s.ending.state != END_GONE) { /* not even started, or the loop failed */
		s.ending.reason =
			s.ending.state == END_STARTING ? REASON_BOOT_FAILED : REASON_ENGINE_FAILED;
		tell_failure(&s);
		write_record(&s);
		if (report_open(&s.report))
			report_failed(&s.report, &s.failure);
	}
	r = s.ending.reason == REASON_BOOT_FAILED ? -1 : 0;
	clean_up(&s);
	sandbox_done(&s);
	return r;
}
