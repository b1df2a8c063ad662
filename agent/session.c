/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: sessions
 *
 * A session is made with the stream of its client and outlives it as long as something runs
 * in its cgroup or holds its pipes.  It goes through the states of enum session_state in
 * their order and never back.
 *
 * Flow control: while the stream has bytes that its socket did not take, the program's
 * output is not read; while the program has not taken 256 KiB of its input, the stream is
 * not read.  So each side waits for the other, and nobody else does.
 *
 * A session ends its stream, or itself, only from a callback of the loop that is its own
 * (`soon`, a timer, a lost stream): nothing further up the stack uses it then.
 */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "cgroup.h"
#include "child.h"
#include "control.h"
#include "ends.h"
#include "pty.h"
#include "shutdown.h"
#include "stream.h"

#define INPUT_PAUSE (256u << 10)		   /* bytes that the program did not take yet */
#define INPUT_MAX   (INPUT_PAUSE + FRAME_MAX_DATA) /* one more frame may be on its way */
#define READ_CHUNK  (64u << 10)			   /* bytes of one read of output */
#define SILENCE_NS  (100 * NS_PER_MS) /* docs/internals/agent-protocol.md, "End of a program" */
#define DRAIN_NS    NS_PER_S
#define HANGUP_NS   (2 * NS_PER_S) /* between HUP and KILL when the client is gone */

enum session_state {
	SESSION_OPENING,  /* hello, then open */
	SESSION_STARTING, /* the child sets itself up */
	SESSION_RUNNING,
	SESSION_DRAINING,  /* the program ended, its output is read */
	SESSION_FLUSHING,  /* the last frame is on its way to the client */
	SESSION_LINGERING, /* no client; something of it still runs */
};

struct output {
	struct session *session;
	int fd; /* owned, -1: at its end */
	loop_id id;
	uint16_t type; /* of the frames */
	size_t owed;   /* bytes that were there when the program ended */
};

struct session {
	struct session *next;
	struct agent *agent;  /* borrowed */
	struct stream stream; /* while client */
	bool client, hello;
	enum session_state state;
	uint64_t id;
	struct exec_request req; /* owned */
	pid_t pid;		 /* of the program until it is reaped, then 0 */
	int wait_status;
	bool started, timed_out, pipes_open, oom, expired, has_cgroup;
	int status_fd; /* owned; of child_args, while STARTING */
	loop_id status_id;
	int input_fd; /* owned, -1: closed */
	loop_id input_id;
	struct buf input;
	bool input_eof;
	struct output out[2];
	loop_id soon, timeout, kill, silence, drain;
};

static void input_close(struct session *s)
{
	loop_remove(s->agent->loop, &s->input_id);
	close_auto(&s->input_fd);
	buf_done(&s->input);
	if (s->client)
		stream_resume(&s->stream);
}

static void output_close(struct output *o)
{
	loop_remove(o->session->agent->loop, &o->id);
	close_auto(&o->fd);
	o->owed = 0;
}

static void session_free(struct session *s)
{
	struct loop *loop = s->agent->loop;
	struct session **p = &s->agent->sessions;

	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
	if (s->client)
		stream_done(&s->stream);
	s->client = false;
	loop_remove(loop, &s->status_id);
	close_auto(&s->status_fd);
	input_close(s);
	output_close(&s->out[0]);
	output_close(&s->out[1]);
	loop_remove(loop, &s->soon);
	loop_remove(loop, &s->timeout);
	loop_remove(loop, &s->kill);
	loop_remove(loop, &s->silence);
	loop_remove(loop, &s->drain);
	exec_request_done(&s->req);
	free(s);
}

static bool is_empty(const struct session *s)
{
	if (s->out[0].fd >= 0 || s->out[1].fd >= 0 || s->pid)
		return false;
	return !s->has_cgroup || cgroup_remove(s->agent->cgroup_fd, s->id) != -EBUSY;
}

static void outputs_resume(struct session *s);

static uint32_t exit_code(int status)
{
	return WIFEXITED(status) ? (uint32_t)WEXITSTATUS(status) : 128 + (uint32_t)WTERMSIG(status);
}

static uint32_t exit_signal(int status)
{
	return WIFSIGNALED(status) ? (uint32_t)WTERMSIG(status) : 0;
}

static void end_client(void *user)
{
	struct session *s = user;
	struct agent *a = s->agent;

	s->soon = 0;
	if (s->client)
		stream_done(&s->stream);
	s->client = false;
	s->state = SESSION_LINGERING;
	if (s->started) {
		a->n_live--;
		control_session(a, &(struct session_event){
					   .session = s->id,
					   .ended = true,
					   .main = s->req.main,
					   .code = exit_code(s->wait_status),
					   .signal = exit_signal(s->wait_status),
					   .n_live = a->n_live,
				   });
	}
	if (is_empty(s))
		session_free(s);
	else
		outputs_resume(s);
	shutdown_check(a);
}

/* The last frame is in the stream's buffer, or there is no client. */
static void enter_flushing(struct session *s)
{
	s->state = SESSION_FLUSHING;
	if (s->client)
		stream_push(&s->stream);
	if (!s->client || stream_idle(&s->stream))
		defer(s->agent->loop, end_client, s, &s->soon);
}

static void session_failed(struct session *s, const struct failure *f)
{
	loop_remove(s->agent->loop, &s->status_id);
	close_auto(&s->status_fd);
	input_close(s);
	output_close(&s->out[0]);
	output_close(&s->out[1]);
	if (s->client && failure_encode(&s->stream.out, FRAME_FAILED, f) < 0)
		stream_refuse(&s->stream, "busy", FRAME_OPEN_EXEC);
	enter_flushing(s);
}

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
	if (!s->pid)
		return;
	s->timed_out = true;
	(void)kill(-s->pid, SIGTERM);
	(void)kill(-s->pid, SIGCONT); /* a stopped program could not take it */
	kill_after(s, s->req.kill_after_ms * NS_PER_MS);
}

/* ---- output ---- */

static void on_output(void *user, uint32_t events);

static void outputs_pause(struct session *s)
{
	loop_remove(s->agent->loop, &s->out[0].id);
	loop_remove(s->agent->loop, &s->out[1].id);
	loop_remove(s->agent->loop, &s->silence);
}

static void session_exited(struct session *s)
{
	struct exec_exited e = {
		.code = exit_code(s->wait_status),
		.signal = exit_signal(s->wait_status),
		.core = WIFSIGNALED(s->wait_status) && WCOREDUMP(s->wait_status),
		.timed_out = s->timed_out,
		.oom = s->oom,
		.pipes_open = s->pipes_open,
	};

	loop_remove(s->agent->loop, &s->silence);
	loop_remove(s->agent->loop, &s->drain);
	if (s->client && exec_exited_encode(&s->stream.out, &e) < 0)
		stream_refuse(&s->stream, "busy", FRAME_OPEN_EXEC);
	enter_flushing(s);
}

static void try_exited(struct session *s)
{
	bool open = s->out[0].fd >= 0 || s->out[1].fd >= 0;

	if (s->state != SESSION_DRAINING)
		return;
	if (open && !(s->expired && s->out[0].owed == 0 && s->out[1].owed == 0))
		return;
	s->pipes_open = open;
	session_exited(s);
}

/* Bytes that wait in the pipes or the terminal. */
static size_t output_waiting(const struct output *o)
{
	int n = 0;

	return o->fd >= 0 && ioctl(o->fd, FIONREAD, &n) == 0 && n > 0 ? (size_t)n : 0;
}

static void arm_silence(struct session *s);

static void on_silence(void *user)
{
	struct session *s = user;

	s->silence = 0;
	/* On a busy machine the time is over before the output was read. */
	if (output_waiting(&s->out[0]) || output_waiting(&s->out[1])) {
		arm_silence(s);
		return;
	}
	s->expired = true;
	s->out[0].owed = s->out[1].owed = 0; /* nothing is there any more */
	try_exited(s);
}

static void on_drain_end(void *user)
{
	struct session *s = user;

	s->drain = 0;
	s->expired = true;
	try_exited(s);
}

static void arm_silence(struct session *s)
{
	loop_remove(s->agent->loop, &s->silence);
	if (loop_add_timer(s->agent->loop, clock_now_ns() + SILENCE_NS, on_silence, s,
			   &s->silence) < 0)
		s->expired = true;
}

static void outputs_resume(struct session *s)
{
	for (int i = 0; i < 2; i++) {
		struct output *o = &s->out[i];

		if (o->fd >= 0 && o->id == 0 &&
		    loop_add_fd(s->agent->loop, o->fd, EPOLLIN, on_output, o, &o->id) < 0)
			output_close(o);
	}
	if (s->state == SESSION_DRAINING) {
		arm_silence(s);
		try_exited(s);
	}
}

static bool to_client(const struct session *s)
{
	return s->client && s->state < SESSION_FLUSHING && !s->stream.broken && !s->stream.dead;
}

/* Output that has no reader: the console, as far as it takes it. */
static ssize_t read_away(struct output *o)
{
	char chunk[4096];
	ssize_t n = read(o->fd, chunk, sizeof(chunk));

	if (n > 0 && o->session->state >= SESSION_FLUSHING && o->session->agent->console_fd >= 0)
		(void)!write(o->session->agent->console_fd, chunk, (size_t)n);
	return n;
}

/* Read straight into a frame of the stream. */
static ssize_t read_frame(struct output *o)
{
	struct buf *out = &o->session->stream.out;
	size_t at;
	ssize_t n = -1;
	void *p;

	errno = ENOMEM;
	if (frame_begin(out, o->type, &at) < 0)
		return -1;
	p = buf_room(out, READ_CHUNK);
	if (p)
		n = read(o->fd, p, READ_CHUNK);
	if (n <= 0) {
		out->len = at;
		return n;
	}
	buf_grew(out, (size_t)n);
	return frame_end(out, at) < 0 ? -1 : n;
}

static void on_output(void *user, uint32_t events)
{
	struct output *o = user;
	struct session *s = o->session;
	ssize_t n = to_client(s) ? read_frame(o) : read_away(o);

	if (n > 0) {
		o->owed -= (size_t)n < o->owed ? (size_t)n : o->owed;
		if (s->state == SESSION_DRAINING)
			arm_silence(s);
		if (to_client(s)) {
			stream_push(&s->stream);
			if (!stream_idle(&s->stream))
				outputs_pause(s);
		}
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		output_close(o); /* EIO: the last one left the terminal */
		if (s->state == SESSION_LINGERING && is_empty(s)) {
			session_free(s);
			return;
		}
	}
	try_exited(s);
}

static void enter_draining(struct session *s)
{
	s->state = SESSION_DRAINING;
	loop_remove(s->agent->loop, &s->timeout);
	if (s->has_cgroup)
		s->oom = cgroup_had_oom(s->agent->cgroup_fd, s->id);
	input_close(s);
	for (int i = 0; i < 2; i++)
		s->out[i].owed = output_waiting(&s->out[i]);
	if (loop_add_timer(s->agent->loop, clock_now_ns() + DRAIN_NS, on_drain_end, s, &s->drain) <
	    0)
		s->expired = true;
	if (!s->client || stream_idle(&s->stream))
		arm_silence(s);
	try_exited(s);
}

/* ---- input ---- */

static void input_gone(struct session *s)
{
	input_close(s);
	if (!to_client(s))
		return;
	if (frame_add(&s->stream.out, FRAME_STDIN_CLOSED, 0, NULL, 0) >= 0)
		stream_push(&s->stream);
}

static void input_write(struct session *s)
{
	while (s->input_fd >= 0 && s->input.len > 0) {
		ssize_t n = write(s->input_fd, s->input.data, s->input.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			input_gone(s);
			return;
		}
		buf_take(&s->input, (size_t)n);
	}
	if (s->input_fd < 0)
		return;
	if (s->input.len == 0 && s->input_eof && !s->req.tty) {
		input_close(s);
		return;
	}
	/* Without bytes to write only the end of the reader is of interest. */
	loop_set_events(s->agent->loop, s->input_id, s->input.len ? EPOLLOUT : 0);
	if (s->input.len < INPUT_PAUSE)
		stream_resume(&s->stream);
}

static void on_input(void *user, uint32_t events)
{
	struct session *s = user;

	if (events & (EPOLLERR | EPOLLHUP))
		input_gone(s);
	else
		input_write(s);
}

static void take_input(struct session *s, const void *data, size_t len)
{
	if (s->input_fd < 0)
		return; /* the client knows, or did not open it */
	if (buf_add(&s->input, data, len) < 0) {
		stream_refuse(&s->stream, "busy", FRAME_STDIN);
		return;
	}
	if (s->state != SESSION_STARTING)
		input_write(s);
	if (s->input.len >= INPUT_PAUSE)
		stream_pause(&s->stream);
}

static void take_eof(struct session *s)
{
	unsigned char c;

	if (s->input_fd < 0)
		return;
	if (s->req.tty) {
		c = pty_eof_char(s->input_fd);
		take_input(s, &c, 1);
		return;
	}
	s->input_eof = true;
	if (s->state != SESSION_STARTING)
		input_write(s);
}

/* ---- start ---- */

static void session_started(struct session *s)
{
	struct exec_started e = { .session = s->id, .pid = (uint32_t)s->pid };

	s->state = SESSION_RUNNING;
	s->started = true;
	s->agent->n_live++;
	if (s->client && exec_started_encode(&s->stream.out, &e) < 0)
		stream_refuse(&s->stream, "busy", FRAME_OPEN_EXEC);
	if (s->client)
		stream_push(&s->stream);
	control_session(s->agent, &(struct session_event){
					  .session = s->id,
					  .main = s->req.main,
					  .n_live = s->agent->n_live,
				  });
	if (s->req.timeout_ms &&
	    loop_add_timer(s->agent->loop, clock_now_ns() + s->req.timeout_ms * NS_PER_MS,
			   on_timeout, s, &s->timeout) < 0)
		on_timeout(s);
	if (s->input_fd >= 0 &&
	    loop_add_fd(s->agent->loop, s->input_fd, 0, on_input, s, &s->input_id) < 0)
		input_gone(s);
	input_write(s);
	outputs_resume(s);
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

static int start_child(struct session *s)
{
	char cgroup[CGROUP_NAME_MAX];
	struct ends e = ENDS_NONE;
	int r = ends_open(&e, &s->req);

	s->input_fd = e.input;
	s->out[0].fd = e.output[0];
	s->out[1].fd = e.output[1];
	s->status_fd = e.status;
	s->out[0].type = s->req.tty ? FRAME_TTY : FRAME_STDOUT;
	s->out[1].type = FRAME_STDERR;
	if (r >= 0) {
		cgroup_name(s->id, cgroup);
		s->has_cgroup =
			s->agent->cgroup_fd >= 0 && cgroup_make(s->agent->cgroup_fd, s->id) >= 0;
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
	s->pid = r;
	s->state = SESSION_STARTING;
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

static void session_open(struct session *s, const struct frame *frame)
{
	struct failure f;
	int r = exec_request_decode(frame->payload, frame->len, &s->req);

	if (r < 0 || s->agent->stopping) {
		stream_refuse(&s->stream,
			      r == -EOPNOTSUPP ? "unsupported"
			      : r == -ENOMEM   ? "busy"
			      : r < 0	       ? "protocol"
					       : "stopping",
			      frame->type);
		return;
	}
	s->id = ++s->agent->last_session;
	r = start_child(s);
	if (r >= 0)
		return;
	(void)fail(&f, "main", -r, s->req.argv.items[0], "start a program");
	(void)snprintf(f.kind, sizeof(f.kind), "%s", kind_of_start(r, s->req.tty));
	kill_all(s);
	session_failed(s, &f);
}

/* ---- frames ---- */

static void take_hello(struct session *s, const struct frame *f)
{
	struct hello h;

	if (s->hello || hello_decode(f->payload, f->len, &h) < 0 || h.min > AGENT_PROTO_MAX ||
	    h.max < AGENT_PROTO_MIN)
		stream_refuse(&s->stream, "protocol", f->type);
	s->hello = true;
}

static void take_control(struct session *s, const struct frame *f)
{
	struct tty_size size;
	uint32_t signal = 0;

	if (f->type == FRAME_RESIZE && tty_size_decode(f->payload, f->len, &size) >= 0) {
		if (s->req.tty && s->out[0].fd >= 0)
			pty_resize(s->out[0].fd, &size);
	} else if (f->type == FRAME_SIGNAL && signal_decode(f->payload, f->len, &signal) >= 0 &&
		   signal > 0) {
		if (s->pid && s->state == SESSION_RUNNING)
			(void)kill(-s->pid, (int)signal);
	} else {
		stream_refuse(&s->stream, "protocol", f->type);
	}
}

static void on_frame(void *user, const struct frame *f)
{
	struct session *s = user;
	bool running = s->state > SESSION_OPENING;

	if (f->type == FRAME_HELLO) {
		take_hello(s, f);
		return;
	}
	if (!s->hello) {
		stream_refuse(&s->stream, "protocol", f->type);
		return;
	}
	switch (f->type) {
	case FRAME_OPEN_EXEC:
		if (running)
			stream_refuse(&s->stream, "protocol", f->type);
		else
			session_open(s, f);
		return;
	case FRAME_STDIN:
		if (!running || f->len > FRAME_MAX_DATA || s->input_eof)
			stream_refuse(&s->stream, "protocol", f->type);
		else
			take_input(s, f->payload, f->len);
		return;
	case FRAME_STDIN_EOF:
		if (!running)
			stream_refuse(&s->stream, "protocol", f->type);
		else
			take_eof(s);
		return;
	case FRAME_RESIZE:
	case FRAME_SIGNAL:
		if (!running)
			stream_refuse(&s->stream, "protocol", f->type);
		else
			take_control(s, f);
		return;
	case FRAME_ERROR: /* the client does not know something of ours; it decides what then */
		return;
	default:
		stream_unsupported(&s->stream, f->type);
	}
}

static void on_drained(void *user)
{
	struct session *s = user;

	if (s->state == SESSION_FLUSHING)
		defer(s->agent->loop, end_client, s, &s->soon);
	else if (s->state == SESSION_RUNNING || s->state == SESSION_DRAINING)
		outputs_resume(s);
}

static void on_lost(void *user)
{
	struct session *s = user;

	stream_done(&s->stream);
	s->client = false;
	switch (s->state) {
	case SESSION_OPENING:
		session_free(s);
		return;
	case SESSION_STARTING:
	case SESSION_RUNNING:
		input_close(s);
		if (s->pid)
			(void)kill(-s->pid, SIGHUP);
		kill_after(s, HANGUP_NS);
		outputs_resume(s);
		return;
	case SESSION_DRAINING:
		outputs_resume(s);
		return;
	case SESSION_FLUSHING:
		defer(s->agent->loop, end_client, s, &s->soon);
		return;
	case SESSION_LINGERING:
		return;
	}
}

static const struct stream_ops session_ops = {
	.frame = on_frame,
	.drained = on_drained,
	.lost = on_lost,
};

void session_accept(struct agent *a, int fd)
{
	struct hello h = { .min = AGENT_PROTO_MIN, .max = AGENT_PROTO_MAX };
	struct session *s;
	unsigned n = 0;

	for (s = a->sessions; s; s = s->next)
		n++;
	s = calloc(1, sizeof(*s));
	if (!s) {
		(void)close(fd);
		return;
	}
	s->agent = a;
	s->status_fd = s->input_fd = s->out[0].fd = s->out[1].fd = -1;
	s->out[0].session = s->out[1].session = s;
	buf_init(&s->input, INPUT_MAX);
	s->next = a->sessions;
	a->sessions = s;
	s->client = true;
	if (stream_init(&s->stream, a->loop, fd, &session_ops, s) < 0 ||
	    hello_encode(&s->stream.out, &h) < 0) {
		session_free(s);
		return;
	}
	stream_push(&s->stream);
	if (n >= SESSIONS_MAX)
		stream_refuse(&s->stream, "busy", 0);
}

void session_reaped(struct agent *a, pid_t pid, int status)
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
	if (s->state == SESSION_RUNNING)
		enter_draining(s);
}

void session_sweep(struct agent *a)
{
	struct session *s, *next;

	for (s = a->sessions; s; s = next) {
		next = s->next;
		if (s->state == SESSION_LINGERING && is_empty(s))
			session_free(s);
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
		if (s->started && s->state < SESSION_LINGERING)
			return true;
	return false;
}
