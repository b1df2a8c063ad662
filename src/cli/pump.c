/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/pump.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/common.h"
#include "cli/out.h"
#include "cli/tty.h"

#define PUMP_CHUNK	  65536 /* bytes of stdin read at once */
#define PUMP_EVENTS	  64	/* events taken before stdin and signals are looked at again */
#define PUMP_IMPATIENT	  3	/* INT or TERM within PUMP_IMPATIENT_NS that kill */
#define PUMP_IMPATIENT_NS (2 * NS_PER_S)

static const int passed_on[] = { SIGINT,  SIGTERM, SIGHUP,   SIGQUIT,
				 SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT };

struct state {
	struct pump *p;
	struct msb_error *err;
	struct tty tty;
	int signal_fd; /* owned */
	uint8_t in[PUMP_CHUNK + KEYS_MAX];
	size_t in_len, in_pos;
	bool in_ended;
	int out_code; /* exit code once our stdout takes nothing any more; 0: it does */
	uint64_t impatient_ns[PUMP_IMPATIENT];
	struct pump_end end;
	bool ended;
};

static void signal_set(sigset_t *set)
{
	(void)sigemptyset(set);
	for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
		(void)sigaddset(set, passed_on[i]);
}

void pump_block_signals(void)
{
	sigset_t set;

	signal_set(&set);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
}

/* Send what was read; what does not fit stays. */
static int send_input(struct state *s)
{
	while (s->in_pos < s->in_len) {
		size_t n = 0;
		int r = msb_stream_write(s->p->stream, s->in + s->in_pos, s->in_len - s->in_pos, &n,
					 s->err);

		if (r < 0)
			return r;
		if (n == 0)
			return 0;
		s->in_pos += n;
	}
	s->in_pos = s->in_len = 0;
	return s->in_ended ? msb_stream_close_write(s->p->stream, s->err) : 0;
}

static void detach(struct state *s)
{
	s->ended = s->end.detached = true;
}

static int take_input(struct state *s)
{
	uint8_t typed[PUMP_CHUNK];
	bool detached = false;
	ssize_t n;

	if (tty_in_background())
		return 0;
	n = read(STDIN_FILENO, typed, sizeof(typed));
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n > 0)
		s->in_len = keys_filter(&s->p->keys, typed, (size_t)n, s->in, &detached);
	else
		s->in_ended = true; /* an error ends the input as EOF does */
	if (detached)
		detach(s);
	return s->in_len || s->in_ended ? send_input(s) : 0;
}

/* io_write_full() for a descriptor that others may have made non-blocking. */
static int write_all(int fd, const uint8_t *data, size_t len)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n >= 0) {
			data += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN) {
			(void)poll(&p, 1, -1);
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

static void put_output(struct state *s, const struct msb_event *ev)
{
	int fd = ev->channel == MSB_STDERR ? STDERR_FILENO : STDOUT_FILENO, r;

	if (s->out_code && fd == STDOUT_FILENO)
		return;
	r = write_all(fd, ev->data, ev->len);
	if (r == 0 || fd == STDERR_FILENO) /* there is no place to tell that stderr failed */
		return;
	s->out_code = EXIT_PIPE_CLOSED;
	if (r != -EPIPE) {
		s->out_code = EXIT_MSB_FAILED;
		tty_restore(&s->tty);
		out_write_failed(-r);
	}
	/* As if the program had written to a closed pipe itself. */
	IGNORE_RESULT(msb_exec_signal(s->p->stream, SIGPIPE, NULL) < 0);
}

/* Nothing was run: say why, as a shell would count it. */
static int on_failed(struct state *s, const struct msb_event *ev)
{
	AUTO(json_decref) json_t *root = NULL;
	const char *kind = "", *message = "", *subject = "", *json = ev->json ? ev->json : "{}";
	struct msb_error error = { .code = MSB_E_EXEC_FAILED };
	struct err e = ERR_INIT;
	struct json_at at;

	if (json_parse("failure", json, strlen(json), COMMON_JSON_MAX, &root, &e) == 0) {
		at = json_root(root, "failure");
		IGNORE_RESULT(json_opt_str(&at, "kind", &kind, &e)); /* for words only */
		IGNORE_RESULT(json_opt_str(&at, "message", &message, &e));
		IGNORE_RESULT(json_opt_str(&at, "subject", &subject, &e));
	}
	s->end.code = EXIT_MSB_FAILED;
	if (strcmp(kind, "not-found") == 0) {
		s->end.code = EXIT_NOT_FOUND;
		(void)snprintf(error.message, sizeof(error.message),
			       "'%s' was not found in sandbox '%s'%s%s", s->p->program,
			       s->p->sandbox, s->p->hint ? "\n" : "", s->p->hint ? s->p->hint : "");
	} else if (strcmp(kind, "input-taken") == 0) {
		(void)snprintf(error.message, sizeof(error.message),
			       "another client has the input of this session\n"
			       "take it: msb attach --steal %s\n"
			       "or only look: msb attach --watch %s",
			       s->p->sandbox, s->p->sandbox);
	} else if (strcmp(kind, "not-executable") == 0 || strcmp(kind, "permission") == 0) {
		s->end.code = EXIT_CANNOT_EXEC;
		(void)snprintf(error.message, sizeof(error.message),
			       "cannot execute '%s' in '%s': %s", s->p->program, s->p->sandbox,
			       message);
	} else if (strcmp(kind, "bad-cwd") == 0) {
		(void)snprintf(error.message, sizeof(error.message),
			       "working directory '%s' does not exist in '%s'", subject,
			       s->p->sandbox);
	} else {
		(void)snprintf(error.message, sizeof(error.message), "%s", message);
	}
	tty_restore(&s->tty);
	out_error(&error);
	return 0;
}

/* STARTED and EXITED say more than a number. */
static void read_details(struct state *s, const char *json)
{
	AUTO(json_decref) json_t *root = NULL;
	struct err e = ERR_INIT;
	struct json_at at;
	uint64_t signo = 0;

	if (!json || json_parse("event", json, strlen(json), COMMON_JSON_MAX, &root, &e) < 0)
		return;
	at = json_root(root, "event");
	/* What is not there stays as it is. */
	IGNORE_RESULT(json_opt_u64(&at, "session", 0, UINT64_MAX, &s->end.session, &e) < 0);
	IGNORE_RESULT(json_opt_u64(&at, "signal", 0, 64, &signo, &e) < 0);
	IGNORE_RESULT(json_opt_bool(&at, "timed_out", &s->end.timed_out, &e) < 0);
	IGNORE_RESULT(json_opt_bool(&at, "oom", &s->end.oom, &e) < 0);
	s->end.signal = (int)signo;
}

static void on_exited(struct state *s, const struct msb_event *ev)
{
	struct msb_error error = { .code = MSB_E_EXEC_TIMEOUT };

	s->end.code = (int)ev->number;
	s->end.exited = true;
	read_details(s, ev->json);
	if (s->end.timed_out || s->end.oom)
		tty_restore(&s->tty);
	if (s->end.timed_out) {
		s->end.code = EXIT_TIMEOUT;
		(void)snprintf(error.message, sizeof(error.message),
			       "the command was stopped after %.3gs (--timeout); its output so far "
			       "is above",
			       (double)s->p->timeout_ms / 1000);
		out_error(&error);
	}
	if (s->end.oom)
		out_remark("'%s' was killed: the sandbox ran out of memory; try more: -m 1G",
			   s->p->program);
	if (s->out_code)
		s->end.code = s->out_code;
}

static void on_lost(struct state *s, const struct msb_event *ev)
{
	char size[32];

	out_size((uint64_t)ev->number, size, sizeof(size));
	(void)fprintf(stderr, "[... %s skipped ...]%s\n", size, s->tty.raw ? "\r" : "");
}

static int on_end(struct state *s, const struct msb_event *ev)
{
	AUTO(json_decref) json_t *root = NULL;
	const char *message = "the sandbox ended";
	struct err e = ERR_INIT;
	struct json_at at;

	s->ended = true;
	if (ev->number == 0)
		return 0;
	if (ev->json &&
	    json_parse("end", ev->json, strlen(ev->json), COMMON_JSON_MAX, &root, &e) == 0) {
		at = json_root(root, "end");
		IGNORE_RESULT(json_opt_str(&at, "message", &message, &e)); /* else the default */
	}
	return common_error(s->err, (int32_t)ev->number, "'%s': %s", s->p->sandbox, message);
}

static int take_events(struct state *s)
{
	for (int i = 0; i < PUMP_EVENTS && !s->ended; i++) {
		struct msb_event ev = { .struct_size = sizeof(ev) };
		int r = msb_stream_next(s->p->stream, &ev, s->err);

		if (r <= 0)
			return r;
		switch (ev.type) {
		case MSB_EV_STARTED:
			s->end.started = true;
			read_details(s, ev.json);
			if (s->p->leave)
				detach(s);
			break;
		case MSB_EV_LOST:
			on_lost(s, &ev);
			break;
		case MSB_EV_DATA:
			put_output(s, &ev);
			break;
		case MSB_EV_STDIN_ERROR:
			s->in_ended = true;
			s->in_len = s->in_pos = 0;
			break;
		case MSB_EV_EXITED:
			on_exited(s, &ev);
			break;
		case MSB_EV_FAILED:
			r = on_failed(s, &ev);
			break;
		case MSB_EV_END:
			r = on_end(s, &ev);
			break;
		default: /* a newer library may know more */
			break;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int pass_signal(struct state *s, int signo)
{
	uint64_t now = clock_now_ns();
	int rows, cols;

	if (signo == SIGCONT)
		return 0; /* back in the foreground: the poll set is made anew */
	if (s->p->watch) {
		if (signo != SIGWINCH)
			detach(s);
		return 0;
	}
	if (signo == SIGWINCH) {
		tty_size(&rows, &cols);
		return s->p->tty ? msb_exec_resize(s->p->stream, rows, cols, s->err) : 0;
	}
	if (signo == SIGINT || signo == SIGTERM) {
		for (int i = PUMP_IMPATIENT - 1; i > 0; i--)
			s->impatient_ns[i] = s->impatient_ns[i - 1];
		s->impatient_ns[0] = now;
		if (s->impatient_ns[PUMP_IMPATIENT - 1] &&
		    now - s->impatient_ns[PUMP_IMPATIENT - 1] < PUMP_IMPATIENT_NS)
			signo = SIGKILL;
	}
	return msb_exec_signal(s->p->stream, signo, s->err);
}

static int take_signals(struct state *s)
{
	struct signalfd_siginfo info;

	while (read(s->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		int r = pass_signal(s, (int)info.ssi_signo);

		if (r < 0)
			return r;
	}
	return 0;
}

static int step(struct state *s)
{
	struct pollfd fds[3] = {
		{ .fd = msb_stream_fd(s->p->stream), .events = msb_stream_want(s->p->stream) },
		{ .fd = s->signal_fd, .events = POLLIN },
		{ .fd = -1, .events = POLLIN },
	};
	int r;

	if (!s->in_ended && s->in_len == 0 && !tty_in_background())
		fds[2].fd = STDIN_FILENO;
	if (s->in_len > 0)
		fds[0].events |= POLLOUT;
	if (poll(fds, 3, -1) < 0 && errno != EINTR)
		return common_error(s->err, MSB_E_INTERNAL, "poll: %s", strerrordesc_np(errno));
	r = fds[1].revents ? take_signals(s) : 0;
	if (r >= 0 && fds[0].revents)
		r = take_events(s);
	if (r >= 0 && !s->ended && s->in_len > 0)
		r = send_input(s);
	if (r >= 0 && !s->ended && fds[2].revents)
		r = take_input(s);
	return r;
}

int pump_run(struct pump *p, struct pump_end *ret_end, struct msb_error *err)
{
	struct state s = { .p = p, .err = err, .in_ended = !p->stdin_open };
	sigset_t set;
	int r = 0;

	signal_set(&set);
	s.signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s.signal_fd < 0)
		return common_error(err, MSB_E_INTERNAL, "signalfd: %s", strerrordesc_np(errno));
	if (p->tty && isatty(STDIN_FILENO) && !p->watch)
		IGNORE_RESULT(tty_make_raw(&s.tty)); /* a cooked terminal still works */
	while (r >= 0 && !s.ended)
		r = step(&s);
	tty_restore(&s.tty);
	(void)close(s.signal_fd);
	*ret_end = s.end;
	return r < 0 ? r : 0;
}
