/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/show.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/work.h"
#include "cli/bars.h"
#include "cli/common.h"
#include "cli/out.h"
#include "cli/tty.h"

#define AT_ONCE	  16		    /* jobs */
#define QUIET_NS  (200 * NS_PER_MS) /* a fast command blinks nothing */
#define REDRAW_MS 100
#define DRAW_MAX  (256u << 10) /* bytes of all lines */

const char *const show_mode_names[] = { "auto", "bar", "plain", "json", "none", NULL };

struct shown {
	struct show_job *job;	   /* borrowed */
	struct msb_stream *stream; /* owned */
	struct msb_cancel *cancel; /* borrowed */
	int ended_fd;		   /* borrowed */
	struct bars bars;
	atomic_bool ended; /* by its thread */
	bool told;	   /* job->ended was called */
};

struct show {
	enum show_mode mode;
	struct shown *all; /* owned */
	size_t n, n_ended;
	struct msb_cancel *cancel; /* owned */
	int ended_fd, signal_fd;   /* owned */
	struct pollfd *fds;	   /* owned: two, then the streams */
	uint64_t start_ns;
	struct buf drawn; /* what stands on the terminal */
	int signo;	  /* that ends it; 0: none */
};

/* ---- the calls ---------------------------------------------------------------------------- */

static void run_job(void *user)
{
	struct shown *s = user;
	struct msb_call call = { .struct_size = sizeof(call),
				 .cancel = s->cancel,
				 .progress = s->stream };

	s->job->result = s->job->run(s->job->user, &call, &s->job->error);
	atomic_store(&s->ended, true);
	(void)eventfd_write(s->ended_fd, 1);
}

/* ---- what one event looks like ------------------------------------------------------------ */

static void plain_line(const struct shown *s, const struct bars_event *ev)
{
	char size[32] = "", what[120];

	/* Nothing is said of an image that is here. */
	if (!s->bars.moved || strstr(ev->type, "_progress") || strcmp(ev->type, "boot") == 0 ||
	    strcmp(ev->type, "complete") == 0)
		return;
	if (ev->total)
		out_size(ev->total, size, sizeof(size));
	(void)snprintf(what, sizeof(what), "%s", ev->type);
	for (char *p = what; *p; p++)
		if (*p == '_')
			*p = ' ';
	if (ev->layer)
		(void)fprintf(stderr, "%s: layer %u/%u: %s%s%s%s%s\n", s->job->name,
			      (unsigned)ev->layer, (unsigned)ev->layers,
			      what + (strncmp(what, "layer ", 6) == 0 ? 6 : 0), *size ? " " : "",
			      size, *ev->message ? ": " : "", ev->message);
	else
		(void)fprintf(stderr, "%s: %s%s%s%s%s\n", s->job->name, what,
			      *ev->digest ? " " : "", ev->digest, *ev->message ? ": " : "",
			      ev->message);
}

static void json_error(const struct shown *s, int64_t number, const char *message)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct json_out o;

	buf_init(&b, 16384);
	json_out_init(&o, &b);
	json_put_object(&o, NULL);
	json_put_str(&o, "type", "error");
	json_put_str(&o, "reference", s->job->name);
	json_put_str(&o, "detail", msb_code_name((int32_t)number));
	json_put_i64(&o, "number", number);
	json_put_str(&o, "message", message);
	json_put_end(&o);
	if (json_out_end(&o) == 0)
		printf("%s\n", buf_cstr(&b));
}

static void repaint(struct show *show, const struct buf *lines, size_t width);

/* An image has come: its bars make room for one line. */
static void pulled(struct show *show, struct shown *s)
{
	static const struct buf nothing = { 0 };
	int rows, cols;

	s->job->took_ms = (clock_now_ns() - show->start_ns) / NS_PER_MS;
	if (!s->bars.moved || (show->mode != SHOW_BAR && show->mode != SHOW_PLAIN))
		return;
	tty_size(&rows, &cols);
	repaint(show, &nothing, (size_t)cols);
	show_action("Pulled", s->job);
}

static void take_event(struct show *show, struct shown *s, const struct msb_event *raw)
{
	struct bars_event ev = { .type = "", .message = "", .digest = "", .stage = "" };
	AUTO(json_decref) json_t *root = NULL;
	struct err e = ERR_INIT;
	struct json_at at;

	if (raw->json &&
	    json_parse("event", raw->json, strlen(raw->json), COMMON_JSON_MAX, &root, &e) < 0)
		return;
	at = json_root(root, "event");
	if (!root || json_opt_str(&at, "type", &ev.type, &e) < 0 ||
	    json_opt_str(&at, "message", &ev.message, &e) < 0 ||
	    json_opt_str(&at, "digest", &ev.digest, &e) < 0 ||
	    json_opt_u64(&at, "layer", 0, UINT32_MAX, &ev.layer, &e) < 0 ||
	    json_opt_u64(&at, "layers", 0, UINT32_MAX, &ev.layers, &e) < 0 ||
	    json_opt_u64(&at, "done", 0, UINT64_MAX, &ev.done, &e) < 0 ||
	    json_opt_u64(&at, "total", 0, UINT64_MAX, &ev.total, &e) < 0)
		ev.type = ""; /* of a newer library */
	if (raw->type == MSB_EV_END) {
		s->bars.ended = true;
		if (raw->number && show->mode == SHOW_JSON)
			json_error(s, raw->number, ev.message);
		return;
	}
	IGNORE_RESULT(bars_event(&s->bars, &ev, clock_now_ns()) < 0); /* no memory: no bar */
	if (show->mode == SHOW_JSON)
		printf("%s\n", raw->json);
	else if (show->mode == SHOW_PLAIN)
		plain_line(s, &ev);
	if (strcmp(ev.type, "complete") == 0)
		pulled(show, s);
}

static void take_events(struct show *show, struct shown *s)
{
	struct msb_event ev = { .struct_size = sizeof(ev) };

	while (msb_stream_next(s->stream, &ev, NULL) == 1)
		if (ev.type == MSB_EV_PROGRESS || ev.type == MSB_EV_END)
			take_event(show, s, &ev);
}

/* ---- the terminal ------------------------------------------------------------------------- */

/* Rows that the text takes on a terminal of that width, which may have changed since. */
static size_t rows_of(const struct buf *text, size_t width)
{
	size_t rows = 0, cells = 0;
	bool escape = false;

	for (size_t i = 0; i < text->len; i++) {
		unsigned char c = text->data[i];

		if (c == '\n') {
			rows += 1 + (cells ? (cells - 1) / width : 0);
			cells = 0;
		} else if (c == '\033' || escape) {
			escape = c == '\033' || c == '[' || (c >= '0' && c <= '9') || c == ';';
		} else {
			cells += (c & 0xc0) != 0x80;
		}
	}
	return rows;
}

/* Take away what stands there and put @lines in its place, in one write. */
static void repaint(struct show *show, const struct buf *lines, size_t width)
{
	AUTO(buf_done) struct buf b = { 0 };
	size_t rows = rows_of(&show->drawn, width);

	if (rows == 0 && lines->len == 0)
		return;
	buf_init(&b, DRAW_MAX + 64);
	if (rows > 0)
		IGNORE_RESULT(buf_addf(&b, "\r\033[%zuA\033[J", rows) < 0);
	IGNORE_RESULT(buf_add(&b, lines->data, lines->len) < 0);
	IGNORE_RESULT(io_write_full(STDERR_FILENO, b.data, b.len) < 0); /* it is for the eye */
	buf_clear(&show->drawn);
	IGNORE_RESULT(buf_add(&show->drawn, lines->data, lines->len) < 0);
}

static void draw(struct show *show, bool erase)
{
	AUTO_FREE const struct bars **bars = calloc(show->n + 1, sizeof(const struct bars *));
	AUTO(buf_done) struct buf lines = { 0 };
	struct bars_look look = { .utf8 = out_utf8(), .colour = tty_colour() };
	int rows, cols;

	if (show->mode != SHOW_BAR || !bars || clock_now_ns() - show->start_ns < QUIET_NS)
		return;
	tty_size(&rows, &cols);
	look.height = (size_t)rows;
	look.width = (size_t)cols;
	buf_init(&lines, DRAW_MAX);
	for (size_t i = 0; i < show->n; i++)
		bars[i] = &show->all[i].bars;
	if (!erase)
		bars_draw(bars, show->n, &look, clock_now_ns(), &lines);
	repaint(show, &lines, look.width);
}

/* ---- the loop ----------------------------------------------------------------------------- */

static void take_signals(struct show *show)
{
	struct signalfd_siginfo info;

	while (read(show->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGWINCH)
			continue; /* the next drawing looks at the size */
		if (show->signo)
			_exit(128 + show->signo); /* twice: do not wait for an orderly end */
		show->signo = (int)info.ssi_signo;
		msb_cancel_fire(show->cancel);
	}
}

static void tell_ended(struct show *show)
{
	static const struct buf nothing = { 0 };

	for (size_t i = 0; i < show->n; i++) {
		struct shown *s = &show->all[i];
		int rows, cols;

		if (s->told || !s->job->ended || !atomic_load(&s->ended))
			continue;
		take_events(show, s);
		tty_size(&rows, &cols);
		repaint(show, &nothing, (size_t)cols);
		if (!s->job->took_ms)
			s->job->took_ms = (clock_now_ns() - show->start_ns) / NS_PER_MS;
		s->job->ended(s->job);
		s->told = true;
	}
}

static void step(struct show *show)
{
	eventfd_t n_ended = 0;

	if (poll(show->fds, show->n + 2, show->mode == SHOW_BAR ? REDRAW_MS : -1) < 0)
		return; /* EINTR */
	if (show->fds[1].revents)
		take_signals(show);
	for (size_t i = 0; i < show->n; i++)
		if (show->fds[i + 2].revents)
			take_events(show, &show->all[i]);
	if (show->fds[0].revents && eventfd_read(show->ended_fd, &n_ended) == 0)
		show->n_ended += n_ended;
	tell_ended(show);
	if (show->mode == SHOW_JSON)
		(void)fflush(stdout);
	draw(show, false);
}

static void signal_set(sigset_t *set)
{
	static const int all[] = { SIGINT, SIGTERM, SIGHUP, SIGWINCH };

	(void)sigemptyset(set);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		(void)sigaddset(set, all[i]);
}

static int prepare(struct show *show, struct show_job *jobs, size_t n, const sigset_t *signals)
{
	buf_init(&show->drawn, DRAW_MAX);
	show->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	show->signal_fd = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
	show->all = calloc(n, sizeof(*show->all));
	show->fds = calloc(n + 2, sizeof(*show->fds));
	if (show->ended_fd < 0 || show->signal_fd < 0 || !show->all || !show->fds ||
	    msb_cancel_new(&show->cancel) < 0)
		return -ENOMEM;
	show->fds[0] = (struct pollfd){ .fd = show->ended_fd, .events = POLLIN };
	show->fds[1] = (struct pollfd){ .fd = show->signal_fd, .events = POLLIN };
	for (size_t i = 0; i < n; i++) {
		struct shown *s = &show->all[i];

		if (msb_progress_new(&s->stream) < 0)
			return -ENOMEM;
		s->job = &jobs[i];
		s->cancel = show->cancel;
		s->ended_fd = show->ended_fd;
		bars_init(&s->bars, jobs[i].name);
		show->fds[i + 2] =
			(struct pollfd){ .fd = msb_stream_fd(s->stream), .events = POLLIN };
		show->n++;
	}
	return 0;
}

static void show_done_auto(struct show *show)
{
	for (size_t i = 0; i < show->n; i++) {
		msb_stream_close(show->all[i].stream);
		bars_done(&show->all[i].bars);
	}
	free(show->all);
	free(show->fds);
	buf_done(&show->drawn);
	msb_cancel_free(show->cancel);
	close_auto(&show->ended_fd);
	close_auto(&show->signal_fd);
}

static int serve(struct show *show, struct show_job *jobs, size_t n, const sigset_t *signals)
{
	AUTO(work_pool_free) struct work_pool *pool = NULL;
	int r = prepare(show, jobs, n, signals);
	size_t n_begun = 0;

	if (r == 0)
		r = work_pool_new(NULL, n < AT_ONCE ? (unsigned)n : AT_ONCE, &pool);
	for (; r == 0 && n_begun < n; n_begun++)
		r = work_submit(pool, &show->all[n_begun], run_job, NULL);
	if (r < 0) {
		msb_cancel_fire(show->cancel);
		return r;
	}
	while (show->n_ended < n)
		step(show);
	for (size_t i = 0; i < n; i++) {
		take_events(show, &show->all[i]);
		jobs[i].moved = show->all[i].bars.moved;
	}
	draw(show, true);
	return 0;
}

int show_run(struct show_job *jobs, size_t n, enum show_mode mode, struct msb_error *err)
{
	AUTO(show_done)
	struct show show = {
		.mode = mode,
		.ended_fd = -1,
		.signal_fd = -1,
		.start_ns = clock_now_ns(),
	};
	sigset_t signals, before;
	int r;

	if (mode == SHOW_AUTO || mode == SHOW_BAR)
		show.mode = tty_fancy() ? SHOW_BAR : SHOW_PLAIN;
	signal_set(&signals);
	(void)sigprocmask(SIG_BLOCK, &signals, &before);
	r = serve(&show, jobs, n, &signals);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	if (r < 0)
		return common_error(err, MSB_E_NO_MEMORY, "out of memory");
	return show.signo;
}

void show_action(const char *verb, const struct show_job *job)
{
	char text[400], took[32];

	out_duration(job->took_ms, took, sizeof(took));
	if (job->took_ms < 500)
		(void)snprintf(text, sizeof(text), "%s", job->name);
	else
		(void)snprintf(text, sizeof(text), "%s (%s)", job->name, took);
	out_action(verb, text);
}
