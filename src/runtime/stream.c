/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: an exec stream
 *
 * Out: HELLO and OPEN_EXEC, OPEN_ATTACH or OPEN_TCP, then STDIN, STDIN_EOF, SIGNAL, RESIZE (TCP_DATA,
 * TCP_EOF).  What the socket does not take
 * waits in `out`, at most OUT_MAX bytes: exec_stream_write() takes no more than fits, which is the
 * back pressure.  In: one frame at a time in `in`, which never holds more than the longest frame:
 * a reader that does not read stops the guest through the flow control of the connection.
 *
 * When the other thread leaves bytes in `out` while exec_stream_wait() sleeps, the eventfd `wake`
 * makes it poll for POLLOUT as well.
 *
 * The agent tells how much of its input the program takes.  If that is so far behind that the agent may
 * not read this connection any more, a signal goes over one of its own.  A program with a loop of its own asks exec_stream_want().
 */
#include "runtime/stream.h"

#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "proto/frame.h"
#include "proto/request.h"
#include "runtime/internal.h"

#define OUT_MAX	    (256u << 10) /* bytes of input that wait for the socket */
#define OUT_SLACK   (64u << 10)	 /* for frames other than input */
#define STDIN_CHUNK (32u << 10)	 /* bytes of one STDIN frame */
#define READ_CHUNK  (64u << 10)	 /* bytes of one recv(), as long as no longer frame waits */
#define MAX_SIGNAL  64

/* What may come next from the guest. */
enum stream_state {
	STREAM_HELLO,	/* its HELLO */
	STREAM_OPENING, /* STARTED (CONNECTED) or FAILED */
	STREAM_RUNNING, /* output, EXITED; TCP: data, the end of the connection */
	STREAM_LAST,	/* nothing: END is to be told */
	STREAM_OVER,	/* END was told; the descriptor is at rest */
	STREAM_STATE_MAX,
};

enum stream_kind { STREAM_PROGRAM, STREAM_WATCH, STREAM_TCP };

struct exec_stream {
	enum stream_kind kind;
	int fd;	     /* owned */
	int run_dir; /* owned: of the sandbox, -1: unknown */
	int aside;   /* owned: for signals that overtake input, under lock; -1 */
	int wake;    /* owned eventfd: `out` has bytes that the waiting thread does not know of */
	/* reading thread only */
	enum stream_state state;
	struct buf in;
	size_t used;	 /* bytes of `in` that the last event has borrowed */
	struct buf json; /* of the last event */
	uint64_t at[2];	 /* offsets of the next bytes of stdout (tty, TCP) and stderr */
	bool eof;	 /* TCP: the other side sends no more */
	int end_number;	 /* of END */
	char end_text[512];
	pthread_mutex_t lock;
	/* under lock */
	struct buf out;
	bool write_closed; /* EOF was sent, or the program closed its end, or all is over */
	bool broken;	   /* the socket takes nothing any more */
	uint64_t untaken;  /* bytes of input that the program is not known to have taken */
	uint64_t session;  /* 0: not started yet */
};

/* Send what waits; under lock. */
static void flush_out(struct exec_stream *s)
{
	while (s->out.len > 0 && !s->broken) {
		ssize_t n = send(s->fd, s->out.data, s->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n >= 0)
			buf_take(&s->out, (size_t)n);
		else if (errno == EAGAIN)
			break;
		else if (errno != EINTR)
			s->broken = true; /* the reader sees why */
	}
	if (s->broken)
		buf_clear(&s->out);
}

/* Make room for a small frame: a caller that sends signals faster than they leave is told. */
static bool has_slack(struct exec_stream *s)
{
	flush_out(s);
	return s->out.len < OUT_MAX + OUT_SLACK;
}

static void flush_and_wake(struct exec_stream *s)
{
	uint64_t one = 1;

	flush_out(s);
	if (s->out.len > 0)
		IGNORE_RESULT(write(s->wake, &one, sizeof(one)) < 0); /* full: it is awake */
}

/* Takes @fd over, also on failure. HELLO waits to be sent; what is to be opened follows it. */
static int stream_new(int fd, enum stream_kind kind, bool writable, struct exec_stream **ret_stream,
		      struct err *err)
{
	AUTO(exec_stream_close) struct exec_stream *s = calloc(1, sizeof(*s));
	struct hello hello = { .min = AGENT_PROTO_MIN, .max = AGENT_PROTO_MAX };

	if (!s) {
		(void)close(fd);
		return err_no_memory(err);
	}
	s->kind = kind;
	s->fd = fd;
	s->run_dir = s->aside = -1;
	(void)pthread_mutex_init(&s->lock, NULL);
	buf_init(&s->in, FRAME_HEADER + FRAME_MAX_PAYLOAD);
	buf_init(&s->json, 8192);
	buf_init(&s->out, 2 * FRAME_HEADER + FRAME_MAX_PAYLOAD + OUT_MAX);
	s->write_closed = !writable;
	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->wake < 0)
		return err_sys(err, errno, "open a stream");
	if (hello_encode(&s->out, &hello) < 0)
		return err_no_memory(err);
	*ret_stream = TAKE_PTR(s);
	return 0;
}

/* @r is what encoding the opening message gave. */
static int stream_begin(struct exec_stream *s, int r, struct exec_stream **ret_stream,
			struct err *err)
{
	if (r < 0) {
		exec_stream_close(s);
		return err_no_memory(err);
	}
	flush_out(s);
	*ret_stream = s;
	return 0;
}

int exec_stream_new(int fd, struct exec_request *request, struct exec_stream **ret_stream,
		    struct err *err)
{
	struct exec_stream *s = NULL;
	int r = stream_new(fd, STREAM_PROGRAM, request->stdin_open, &s, err);

	if (r < 0)
		return r;
	request->time_ns = clock_wall_ns();
	r = exec_request_encode(&s->out, request);
	if (r < 0 && r != -ENOMEM) {
		exec_stream_close(s);
		return err_set(err, ERR_INVALID,
			       "arguments and environment of the program are longer than %u bytes",
			       FRAME_MAX_PAYLOAD);
	}
	return stream_begin(s, r, ret_stream, err);
}

int exec_stream_attach(int fd, struct attach_request *request, struct exec_stream **ret_stream,
		       struct err *err)
{
	struct exec_stream *s = NULL;
	int r = stream_new(fd, request->watch ? STREAM_WATCH : STREAM_PROGRAM, !request->watch, &s,
			   err);

	if (r < 0)
		return r;
	request->time_ns = clock_wall_ns();
	return stream_begin(s, attach_request_encode(&s->out, request), ret_stream, err);
}

int exec_stream_tcp(int fd, uint16_t port, struct exec_stream **ret_stream, struct err *err)
{
	struct tcp_request request = { .port = port, .time_ns = clock_wall_ns() };
	struct exec_stream *s = NULL;
	int r = stream_new(fd, STREAM_TCP, true, &s, err);

	return r < 0 ? r : stream_begin(s, tcp_request_encode(&s->out, &request), ret_stream, err);
}

void exec_stream_of(struct exec_stream *s, int run_dir)
{
	s->run_dir = fcntl(run_dir, F_DUPFD_CLOEXEC, 3);
}

void exec_stream_close(struct exec_stream *s)
{
	if (!s)
		return;
	(void)close(s->fd);
	if (s->wake >= 0)
		(void)close(s->wake);
	close_auto(&s->run_dir);
	close_auto(&s->aside);
	buf_done(&s->in);
	buf_done(&s->json);
	buf_done(&s->out);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

int exec_stream_fd(const struct exec_stream *s)
{
	return s->fd;
}

short exec_stream_want(struct exec_stream *s)
{
	short want = POLLIN;

	(void)pthread_mutex_lock(&s->lock);
	if (s->out.len > 0)
		want |= POLLOUT;
	(void)pthread_mutex_unlock(&s->lock);
	return want;
}

static void stop_writing(struct exec_stream *s)
{
	(void)pthread_mutex_lock(&s->lock);
	s->write_closed = true;
	(void)pthread_mutex_unlock(&s->lock);
}

static void ending(struct exec_stream *s, int number, const char *text)
{
	s->state = STREAM_LAST;
	s->end_number = number;
	(void)snprintf(s->end_text, sizeof(s->end_text), "%s", text);
	stop_writing(s);
}

static int json_event(struct exec_stream *s, struct json_out *o, struct stream_event *ev)
{
	if (json_out_end(o) < 0)
		return -ENOMEM;
	ev->json = buf_cstr(&s->json);
	return ev->json ? 1 : -ENOMEM;
}

static void json_begin(struct exec_stream *s, struct json_out *o)
{
	buf_clear(&s->json);
	json_out_init(o, &s->json);
	json_put_object(o, NULL);
}

static int on_started(struct exec_stream *s, const struct frame *f, struct stream_event *ev)
{
	struct exec_started x;
	struct json_out o;

	if (exec_started_decode(f->payload, f->len, &x) < 0)
		return -EPROTO;
	s->state = STREAM_RUNNING;
	(void)pthread_mutex_lock(&s->lock);
	s->session = x.session;
	(void)pthread_mutex_unlock(&s->lock);
	s->at[0] = x.out_from;
	s->at[1] = x.err_from;
	json_begin(s, &o);
	json_put_u64(&o, "session", x.session);
	json_put_bool(&o, "tty", x.tty);
	json_put_end(&o);
	ev->type = STREAM_STARTED;
	ev->number = x.pid;
	return json_event(s, &o, ev);
}

static int on_failed(struct exec_stream *s, const struct frame *f, struct stream_event *ev)
{
	struct failure x;
	struct json_out o;

	if (failure_decode(f->payload, f->len, &x) < 0)
		return -EPROTO;
	ending(s, 0, "");
	json_begin(s, &o);
	json_put_str(&o, "kind", x.kind);
	json_put_str(&o, "message", x.message);
	json_put_str(&o, "subject", x.subject);
	json_put_end(&o);
	ev->type = STREAM_FAILED;
	ev->number = x.sys;
	return json_event(s, &o, ev);
}

static int on_exited(struct exec_stream *s, const struct frame *f, struct stream_event *ev)
{
	struct exec_exited x;
	struct json_out o;

	if (exec_exited_decode(f->payload, f->len, &x) < 0)
		return -EPROTO;
	ending(s, 0, "");
	json_begin(s, &o);
	json_put_u64(&o, "code", x.code);
	json_put_u64(&o, "signal", x.signal);
	json_put_bool(&o, "core", x.core);
	json_put_bool(&o, "timed_out", x.timed_out);
	json_put_bool(&o, "oom", x.oom);
	json_put_bool(&o, "pipes_open", x.pipes_open);
	json_put_u64(&o, "duration_ms", x.duration_ns / NS_PER_MS);
	json_put_u64(&o, "user_us", x.user_us);
	json_put_u64(&o, "system_us", x.system_us);
	json_put_u64(&o, "max_rss_bytes", x.max_rss);
	json_put_end(&o);
	ev->type = STREAM_EXITED;
	ev->number = x.code;
	return json_event(s, &o, ev);
}

static int on_data(struct exec_stream *s, const struct frame *f, enum stream_channel channel,
		   struct stream_event *ev)
{
	uint64_t *at = &s->at[channel == STREAM_STDERR];

	if (f->len > FRAME_MAX_DATA)
		return -EPROTO;
	if (f->len == 0)
		return 0;
	ev->type = STREAM_DATA;
	ev->channel = (int)channel;
	ev->data = f->payload;
	ev->len = f->len;
	ev->number = (int64_t)*at;
	*at += f->len;
	return 1;
}

static int on_gap(struct exec_stream *s, const struct frame *f, struct stream_event *ev)
{
	struct output_gap x;

	if (output_gap_decode(f->payload, f->len, &x) < 0 || x.bytes > INT64_MAX)
		return -EPROTO;
	s->at[x.type == FRAME_STDERR] += x.bytes;
	ev->type = STREAM_LOST;
	ev->channel = x.type == FRAME_STDERR ? STREAM_STDERR
		      : x.type == FRAME_TTY  ? STREAM_TTY
					     : STREAM_STDOUT;
	ev->number = (int64_t)x.bytes;
	return 1;
}

/* The agent refuses the stream. */
static int on_error(struct exec_stream *s, const struct frame *f)
{
	struct proto_error x;
	char text[128];

	if (proto_error_decode(f->payload, f->len, &x) < 0)
		return -EPROTO;
	if (strcmp(x.code, "busy") == 0) {
		ending(s, ERR_NR_BUSY, "the sandbox has too many programs already");
	} else if (strcmp(x.code, "draining") == 0) {
		ending(s, ERR_NR_DRAINING,
		       "the sandbox takes no new programs: it is being drained");
	} else if (strcmp(x.code, "stopping") == 0) {
		ending(s, ERR_NR_NOT_RUNNING, "the sandbox is being stopped");
	} else if ((strcmp(x.code, "unsupported") != 0 && strcmp(x.code, "watching") != 0) ||
		   s->state != STREAM_RUNNING) {
		(void)snprintf(text, sizeof(text), "the agent refused the request: %s", x.code);
		ending(s, ERR_NR_PROTOCOL, text);
	}
	return 0;
}

static int on_hello(struct exec_stream *s, const struct frame *f)
{
	struct hello x;

	if (hello_decode(f->payload, f->len, &x) < 0)
		return -EPROTO;
	if (hello_agree(&x) < 0)
		ending(s, ERR_NR_PROTOCOL,
		       "the agent of the guest speaks another protocol version");
	else
		s->state = STREAM_OPENING;
	return 0;
}

/* The program took some of its input: as much may follow. */
static int on_taken(struct exec_stream *s, const struct frame *f)
{
	struct stdin_taken x;

	if (stdin_taken_decode(f->payload, f->len, &x) < 0)
		return -EPROTO;
	(void)pthread_mutex_lock(&s->lock);
	s->untaken -= x.bytes < s->untaken ? x.bytes : s->untaken;
	(void)pthread_mutex_unlock(&s->lock);
	return 0;
}

static int simple_event(struct stream_event *ev, enum stream_event_type type, int64_t number)
{
	ev->type = type;
	ev->number = number;
	return 1;
}

static int take_opening(struct exec_stream *s, const struct frame *f, struct stream_event *ev)
{
	if (f->type == FRAME_FAILED)
		return on_failed(s, f, ev);
	if (s->kind != STREAM_TCP)
		return f->type == FRAME_STARTED ? on_started(s, f, ev) : -EPROTO;
	if (f->type != FRAME_CONNECTED)
		return -EPROTO;
	s->state = STREAM_RUNNING;
	return simple_event(ev, STREAM_STARTED, 0);
}

static int take_tcp(struct exec_stream *s, const struct frame *f, struct stream_event *ev)
{
	struct failure x;

	if (f->type == FRAME_FAILED && failure_decode(f->payload, f->len, &x) >= 0) {
		ending(s, ERR_NR_IO, x.message);
		return 0;
	}
	if (s->eof || f->type == FRAME_FAILED)
		return -EPROTO;
	if (f->type == FRAME_TCP_DATA)
		return on_data(s, f, STREAM_STDOUT, ev);
	s->eof = true;
	ev->channel = STREAM_STDOUT;
	return simple_event(ev, STREAM_DATA, (int64_t)s->at[0]); /* no bytes: its end */
}

/* A newer agent says what we do not know: it learns that. */
static int take_other(struct exec_stream *s, uint16_t type)
{
	struct proto_error unsupported = { .code = "unsupported", .type = type };
	int r = 0;

	if (frame_is_known(type))
		return -EPROTO;
	(void)pthread_mutex_lock(&s->lock);
	if (!s->broken)
		r = has_slack(s) ? proto_error_encode(&s->out, &unsupported) : 0;
	flush_out(s);
	(void)pthread_mutex_unlock(&s->lock);
	return r;
}

/* 1 = an event, 0 = none of this frame, -EPROTO: it may not come now, -ENOMEM. */
static int take_frame(struct exec_stream *s, const struct frame *f, struct stream_event *ev)
{
	if (f->type == FRAME_ERROR)
		return on_error(s, f);
	if (s->state == STREAM_HELLO)
		return f->type == FRAME_HELLO ? on_hello(s, f) : -EPROTO;
	if (s->state == STREAM_OPENING)
		return take_opening(s, f, ev);
	if (s->state != STREAM_RUNNING)
		return -EPROTO;
	if (s->kind == STREAM_TCP &&
	    (f->type == FRAME_TCP_DATA || f->type == FRAME_TCP_EOF || f->type == FRAME_FAILED))
		return take_tcp(s, f, ev);
	if (s->kind == STREAM_TCP)
		return take_other(s, f->type);
	switch (f->type) {
	case FRAME_STDOUT:
		return on_data(s, f, STREAM_STDOUT, ev);
	case FRAME_STDERR:
		return on_data(s, f, STREAM_STDERR, ev);
	case FRAME_TTY:
		return on_data(s, f, STREAM_TTY, ev);
	case FRAME_GAP:
		return on_gap(s, f, ev);
	case FRAME_EXITED:
		return on_exited(s, f, ev);
	case FRAME_STDIN_TAKEN:
		return on_taken(s, f);
	case FRAME_TIMED_OUT:
		return simple_event(ev, STREAM_TIMEOUT, 0);
	case FRAME_STDIN_CLOSED:
		stop_writing(s);
		return simple_event(ev, STREAM_STDIN_ERROR, EPIPE);
	default:
		return take_other(s, f->type);
	}
}

/* END, and a descriptor that says nothing any more: an eventfd takes its number. */
static int tell_end(struct exec_stream *s, struct stream_event *ev, struct err *err)
{
	AUTO_CLOSE int rest = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct json_out o;

	(void)pthread_mutex_lock(&s->lock);
	s->broken = s->write_closed = true;
	buf_clear(&s->out);
	(void)pthread_mutex_unlock(&s->lock);
	if (rest < 0 || dup3(rest, s->fd, O_CLOEXEC) < 0)
		return err_sys(err, errno, "end a stream");
	s->state = STREAM_OVER;
	ev->type = STREAM_END;
	ev->number = s->end_number;
	if (s->end_number == 0)
		return 1;
	json_begin(s, &o);
	json_put_str(&o, "message", s->end_text);
	json_put_end(&o);
	return json_event(s, &o, ev) < 0 ? err_no_memory(err) : 1;
}

/* 1 = bytes came, 0 = none now or the stream is ending. */
static int fill_in(struct exec_stream *s, struct err *err)
{
	size_t room = s->in.max - s->in.len < READ_CHUNK ? s->in.max - s->in.len : READ_CHUNK;
	void *p = buf_room(&s->in, room);
	ssize_t n;

	if (!p)
		return err_no_memory(err);
	do
		n = recv(s->fd, p, room, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		buf_grew(&s->in, (size_t)n);
		return 1;
	}
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (s->kind == STREAM_TCP)
		ending(s, s->eof ? 0 : ERR_NR_IO, s->eof ? "" : "the connection was lost");
	else
		ending(s, ERR_NR_EXEC_LOST, "the sandbox ended while the program was running");
	return 0;
}

int exec_stream_next(struct exec_stream *s, struct stream_event *ret_ev, struct err *err)
{
	struct stream_event ev = { 0 };
	struct frame f;
	int64_t took;
	int r;

	buf_take(&s->in, s->used);
	s->used = 0;
	(void)pthread_mutex_lock(&s->lock);
	flush_out(s);
	(void)pthread_mutex_unlock(&s->lock);
	for (;;) {
		if (s->state == STREAM_OVER)
			return 0;
		if (s->state == STREAM_LAST) {
			r = tell_end(s, &ev, err);
			break;
		}
		took = frame_next(s->in.data, s->in.len, &f);
		r = took < 0 ? -EPROTO : took > 0 ? take_frame(s, &f, &ev) : 0;
		if (r == -EPROTO) {
			ending(s, ERR_NR_PROTOCOL, "the agent of the guest broke the protocol");
			continue;
		}
		if (r < 0)
			return err_no_memory(err);
		if (r == 1) {
			s->used = (size_t)took;
			break;
		}
		buf_take(&s->in, (size_t)took);
		if (took == 0) {
			r = fill_in(s, err);
			if (r < 0 || (r == 0 && s->state != STREAM_LAST))
				return r;
		}
	}
	if (r == 1)
		*ret_ev = ev;
	return r;
}

int exec_stream_wait(struct exec_stream *s, int64_t timeout_ms, struct cancel *cancel,
		     struct stream_event *ret_ev, struct err *err)
{
	uint64_t start = clock_now_ns(), count;

	for (;;) {
		struct pollfd p[2] = { { .fd = s->fd }, { .fd = s->wake, .events = POLLIN } };
		int64_t left = left_ms(start, timeout_ms);
		int r = exec_stream_next(s, ret_ev, err);

		if (r != 0 || s->state == STREAM_OVER || (left == 0 && timeout_ms > 0))
			return r;
		p[0].events = exec_stream_want(s);
		r = cancel_poll(cancel, p, 2, left, err);
		if (r <= 0)
			return r;
		if (p[1].revents)
			IGNORE_RESULT(read(s->wake, &count, sizeof(count)) < 0);
	}
}

int exec_stream_write(struct exec_stream *s, const void *data, size_t len, size_t *ret_n,
		      struct err *err)
{
	uint16_t type = s->kind == STREAM_TCP ? FRAME_TCP_DATA : FRAME_STDIN;
	size_t n = 0;
	int r = 0;

	(void)pthread_mutex_lock(&s->lock);
	flush_out(s);
	if (s->write_closed || s->broken)
		n = len;
	while (r == 0 && n < len && s->out.len + FRAME_HEADER < OUT_MAX) {
		size_t room = OUT_MAX - s->out.len - FRAME_HEADER;
		size_t chunk = len - n < STDIN_CHUNK ? len - n : STDIN_CHUNK;

		chunk = chunk < room ? chunk : room;
		r = frame_add(&s->out, type, 0, (const uint8_t *)data + n, chunk);
		if (r == 0) {
			n += chunk;
			s->untaken += chunk;
		}
		flush_out(s);
	}
	flush_and_wake(s);
	(void)pthread_mutex_unlock(&s->lock);
	if (r < 0 && n == 0)
		return err_no_memory(err);
	*ret_n = n;
	return 0;
}

int exec_stream_close_write(struct exec_stream *s, struct err *err)
{
	int r = 0;

	(void)pthread_mutex_lock(&s->lock);
	if (!s->write_closed && !s->broken)
		r = frame_add(&s->out, s->kind == STREAM_TCP ? FRAME_TCP_EOF : FRAME_STDIN_EOF, 0,
			      NULL, 0);
	if (r == 0)
		s->write_closed = true;
	flush_and_wake(s);
	(void)pthread_mutex_unlock(&s->lock);
	return r < 0 ? err_no_memory(err) : 0;
}

/* It has a program, and may do more than look. */
static int check_program(const struct exec_stream *s, const char *what, struct err *err)
{
	if (s->kind == STREAM_PROGRAM)
		return 0;
	return err_set(err, ERR_INVALID, "%s: the stream %s", what,
		       s->kind == STREAM_WATCH ? "only watches its session" : "has no program");
}

/* Hello and open of the connection beside; under lock. */
static int aside_greet(struct exec_stream *s, struct buf *b)
{
	struct requests_open open = { .time_ns = clock_wall_ns() };
	struct hello hello = { .min = AGENT_PROTO_MIN, .max = AGENT_PROTO_MAX };
	int r = agent_connect(s->run_dir, &s->aside);

	if (r >= 0)
		r = hello_encode(b, &hello);
	return r < 0 ? r : requests_open_encode(b, &open);
}

/*
 * Over a connection of its own, which stays for the next one: the agent reads nothing of a client
 * that has gone.  Its answers do not matter.  False: it could not be said that way.  Under lock.
 */
static bool signal_aside(struct exec_stream *s, int signo)
{
	struct kill_request kill = { .session = s->session, .signal = (uint32_t)signo };
	AUTO(buf_done) struct buf b = { .max = 4096 };
	char away[256];
	int r = 0;

	if (s->run_dir < 0 || s->session == 0)
		return false;
	if (s->aside < 0)
		r = aside_greet(s, &b);
	if (r >= 0)
		r = kill_request_encode(&b, &kill);
	while (r >= 0 && recv(s->aside, away, sizeof(away), MSG_DONTWAIT) > 0)
		;
	if (r >= 0 && send(s->aside, b.data, b.len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)b.len)
		return true;
	close_auto(&s->aside);
	return false;
}

int exec_stream_signal(struct exec_stream *s, int signo, struct err *err)
{
	int r = check_program(s, "signal", err);
	bool stuck;

	if (r < 0)
		return r;
	if (signo < 1 || signo > MAX_SIGNAL)
		return err_set(err, ERR_INVALID, "there is no signal %d", signo);
	(void)pthread_mutex_lock(&s->lock);
	stuck = s->untaken >= STDIN_STUCK && !s->broken;
	if (!s->broken && !(stuck && signal_aside(s, signo)))
		r = has_slack(s) ? signal_encode(&s->out, (uint32_t)signo) : -EAGAIN;
	flush_and_wake(s);
	(void)pthread_mutex_unlock(&s->lock);
	return r < 0 ? err_sys(err, -r, "send signal %d", signo) : 0;
}

int exec_stream_resize(struct exec_stream *s, int rows, int cols, struct err *err)
{
	struct tty_size size = { .rows = (uint16_t)rows, .cols = (uint16_t)cols };
	int r = check_program(s, "resize", err);

	if (r < 0)
		return r;
	if (rows < 1 || rows > UINT16_MAX || cols < 1 || cols > UINT16_MAX)
		return err_set(err, ERR_INVALID, "%d x %d is no size of a terminal", rows, cols);
	(void)pthread_mutex_lock(&s->lock);
	if (!s->broken)
		r = has_slack(s) ? tty_size_encode(&s->out, &size) : -EAGAIN;
	flush_and_wake(s);
	(void)pthread_mutex_unlock(&s->lock);
	return r < 0 ? err_sys(err, -r, "resize a terminal") : 0;
}
