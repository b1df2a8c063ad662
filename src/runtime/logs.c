/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: a feed of logs
 *
 * The logs of a sandbox are read together, the record with the earliest time first.  Each has one
 * record that was read ahead; a cursor is the position of what is next in each of them.  A reader that
 * follows waits for inotify on the folder and for the end of a connection to the control socket, which
 * comes after the monitor has written all.  The descriptor is an epoll of both and of an eventfd
 * that is readable while there may be more to read.
 */
#include "runtime/logs.h"

#include <assert.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "logs/reader.h"
#include "runtime/internal.h"

static const char *const log_names[LOG_SOURCES] = { "out", "kernel" };
static const char *const stream_names[] = {
	[LOG_STDOUT] = "stdout", [LOG_STDERR] = "stderr", [LOG_TTY] = "tty",
	[LOG_KERNEL] = "kernel", [LOG_BOOT] = "boot",	  [LOG_LOST] = "lost",
};
static_assert(sizeof(stream_names) / sizeof(stream_names[0]) == LOG_STREAM_MAX, "names of streams");

struct log_source {
	struct log_reader *reader; /* owned; NULL: nothing of it is wanted */
	struct log_record next;	   /* if pending */
	bool pending;
	uint64_t position; /* of next, or where it will be */
	uint64_t lost;	   /* bytes in front of next */
};

struct log_feed {
	int fd, dir, wake, inotify, control; /* owned; -1: none */
	struct log_filter filter;
	struct log_source sources[LOG_SOURCES];
	uint64_t skip_lines; /* until the tail begins */
	bool awake;	     /* wake is readable */
	bool running;	     /* the monitor lives */
	bool over;
	struct buf json;
};

void log_feed_close(struct log_feed *f)
{
	int *fds[] = { &f->fd, &f->dir, &f->wake, &f->inotify, &f->control };

	if (!f)
		return;
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (*fds[i] >= 0)
			(void)close(*fds[i]);
	for (int i = 0; i < LOG_SOURCES; i++)
		log_reader_free(f->sources[i].reader);
	buf_done(&f->json);
	free(f);
}

int log_feed_fd(const struct log_feed *f)
{
	return f->fd;
}

static void set_awake(struct log_feed *f, bool awake)
{
	uint64_t count = 1;

	if (awake && !f->awake)
		IGNORE_RESULT(write(f->wake, &count, sizeof(count)) < 0);
	else if (!awake && f->awake)
		IGNORE_RESULT(read(f->wake, &count, sizeof(count)) < 0);
	f->awake = awake;
}

static int watch(struct log_feed *f, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };

	return epoll_ctl(f->fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

/* See the end of a monitor that lives. */
static int watch_monitor(struct log_feed *f, int run_dir)
{
	struct sockaddr_un addr;

	f->control = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (f->control < 0)
		return -errno;
	socket_address(run_dir, "control.sock", &addr);
	f->running = connect(f->control, (struct sockaddr *)&addr, sizeof(addr)) == 0;
	return f->running ? watch(f, f->control) : 0;
}

static int open_follow(struct log_feed *f, int run_dir)
{
	char path[64];
	int r;

	f->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (f->inotify < 0)
		return -errno;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", f->dir);
	if (inotify_add_watch(f->inotify, path, IN_MODIFY | IN_CREATE) < 0)
		return -errno;
	r = watch(f, f->inotify);
	return r == 0 && run_dir >= 0 ? watch_monitor(f, run_dir) : r;
}

static bool wants(const struct log_filter *f, int source)
{
	return source == 1
		       ? f->streams[LOG_KERNEL]
		       : f->streams[LOG_STDOUT] || f->streams[LOG_STDERR] || f->streams[LOG_TTY];
}

static int open_readers(struct log_feed *f)
{
	int r = 0;

	for (int i = 0; r == 0 && i < LOG_SOURCES; i++) {
		struct log_source *s = &f->sources[i];

		s->position = f->filter.cursor[i];
		if (!wants(&f->filter, i))
			continue;
		r = log_reader_new(f->dir, log_names[i], &s->reader);
		if (r == 0)
			log_reader_seek(s->reader, s->position);
	}
	return r;
}

/* The next record of all; NULL: none now. Negative: failed. */
static int peek(struct log_feed *f, struct log_source **ret)
{
	struct log_source *first = NULL;

	for (int i = 0; i < LOG_SOURCES; i++) {
		struct log_source *s = &f->sources[i];
		uint64_t lost = 0;
		int r;

		if (!s->reader)
			continue;
		if (!s->pending) {
			s->position = log_reader_position(s->reader);
			r = log_reader_next(s->reader, &s->next, &lost);
			if (r < 0)
				return r;
			s->lost += lost;
			s->pending = r == 1;
		}
		if (s->pending && (!first || s->next.at_ns < first->next.at_ns))
			first = s;
	}
	*ret = first;
	return 0;
}

static void take(struct log_source *s)
{
	s->pending = false;
	s->position = log_reader_position(s->reader);
}

static uint64_t lines_in(const struct log_record *r)
{
	uint64_t n = 0;

	for (const uint8_t *p = r->data, *end = p + r->len;
	     p < end && (p = memchr(p, '\n', (size_t)(end - p))); p++)
		n++;
	return n;
}

/* Find out how many lines come before the tail, and begin again. */
static int find_tail(struct log_feed *f)
{
	struct log_source *s = NULL;
	uint64_t lines = 0;
	bool open = false; /* the last line has no end yet */
	int r;

	if (f->filter.tail == UINT64_MAX)
		return 0;
	while ((r = peek(f, &s)) == 0 && s) {
		const struct log_record *rec = &s->next;

		if (log_filter_takes(&f->filter, rec) && rec->len > 0) {
			lines += lines_in(rec);
			open = rec->data[rec->len - 1] != '\n';
		}
		take(s);
	}
	lines += open;
	f->skip_lines = lines > f->filter.tail ? lines - f->filter.tail : 0;
	for (int i = 0; i < LOG_SOURCES; i++) {
		f->sources[i].pending = false;
		f->sources[i].lost = 0;
		if (f->sources[i].reader)
			log_reader_seek(f->sources[i].reader, f->filter.cursor[i]);
	}
	return r;
}

/* What a cursor names must be there. */
static int check_cursor(const struct log_feed *f, struct err *err)
{
	uint64_t oldest[LOG_SOURCES], lost = 0;
	char text[LOG_CURSOR_MAX];

	for (int i = 0; f->filter.has_cursor && i < LOG_SOURCES; i++) {
		const struct log_source *s = &f->sources[i];
		int64_t at = s->reader ? log_reader_oldest(s->reader) : 0;

		oldest[i] = f->filter.cursor[i];
		if (f->filter.cursor[i] > 0 && at > (int64_t)f->filter.cursor[i]) {
			lost += (uint64_t)at - f->filter.cursor[i];
			oldest[i] = (uint64_t)at;
		}
	}
	if (lost == 0)
		return 0;
	log_cursor_print(oldest, text);
	err_set(err, ERR_PROTOCOL,
		"%llu bytes of the log behind this cursor are gone; the oldest one that works is %s",
		(unsigned long long)lost, text);
	err_reason(err, text);
	return err_detail(err, ERR_NR_LOG_GAP, text);
}

static int feed_new(struct home *home, const char *id, const struct log_filter *filter,
		    struct log_feed **ret_feed, struct err *err)
{
	AUTO(log_feed_close) struct log_feed *f = calloc(1, sizeof(*f));
	AUTO_CLOSE int run_dir =
		openat(home->run_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r;

	if (!f)
		return err_no_memory(err);
	f->filter = *filter;
	f->inotify = f->control = f->dir = -1;
	buf_init(&f->json, 4096);
	f->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	f->fd = epoll_create1(EPOLL_CLOEXEC);
	if (f->wake < 0 || f->fd < 0)
		return err_sys(err, errno, "open a stream");
	r = watch(f, f->wake);
	f->dir = openat(home->logs_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (f->dir < 0 && errno != ENOENT) /* none: it was never started */
		r = -errno;
	if (r == 0 && f->dir >= 0 && filter->follow)
		r = open_follow(f, run_dir);
	if (r == 0 && f->dir >= 0)
		r = open_readers(f);
	if (r == 0)
		r = find_tail(f);
	if (r < 0)
		return err_sys(err, -r, "read the logs in '%s/logs/%s'", home->path, id);
	r = check_cursor(f, err);
	if (r < 0)
		return r;
	set_awake(f, true);
	*ret_feed = TAKE_PTR(f);
	return 0;
}

int home_logs(struct home *home, const char *name, const char *filter, struct log_feed **ret_feed,
	      struct err *err)
{
	struct state_sandbox row = { 0 };
	struct log_filter lf;
	int r = log_filter_parse(filter, &lf, err);

	if (r < 0)
		return r;
	r = state_sandbox_by_name(home->state, name, &row, err);
	if (r < 0 && err->code == ERR_NOT_FOUND) {
		*err = ERR_INIT;
		r = state_sandbox_by_id(home->state, name, &row, err);
	}
	if (r < 0 && err->code == ERR_NOT_FOUND && kept_logs_there(home, name)) {
		*err = ERR_INIT;
		return feed_new(home, name, &lf, ret_feed, err);
	}
	if (r < 0)
		return err->code == ERR_NOT_FOUND ? err_detail(err, ERR_NR_SANDBOX_NOT_FOUND, name)
						  : r;
	r = feed_new(home, row.id, &lf, ret_feed, err);
	state_sandbox_done(&row);
	return r;
}

static int tell_log(struct log_feed *f, const struct log_record *r, const uint8_t *data,
		    struct stream_event *ev, struct err *err)
{
	uint64_t cursor[LOG_SOURCES];
	char text[LOG_CURSOR_MAX];
	struct json_out o;

	for (int i = 0; i < LOG_SOURCES; i++)
		cursor[i] = f->sources[i].position;
	log_cursor_print(cursor, text);
	buf_clear(&f->json);
	json_out_init(&o, &f->json);
	json_put_object(&o, NULL);
	json_put_u64(&o, "at", r->at_ns);
	json_put_str(&o, "source", stream_names[r->stream]);
	json_put_u64(&o, "session", r->session);
	json_put_u64(&o, "boot", r->boot);
	json_put_str(&o, "cursor", text);
	json_put_end(&o);
	*ev = (struct stream_event){
		.type = STREAM_LOG,
		.channel = r->stream <= LOG_TTY ? (int)r->stream : 0,
		.data = data,
		.len = r->len - (size_t)(data - r->data),
		.number = (int64_t)r->offset + (data - r->data),
	};
	ev->json = json_out_end(&o) == 0 ? buf_cstr(&f->json) : NULL;
	return ev->json ? 1 : err_no_memory(err);
}

/* Where the tail begins in this record; NULL: not in it. */
static const uint8_t *skip_to_tail(struct log_feed *f, const struct log_record *r)
{
	const uint8_t *p = r->data, *end = r->data + r->len;

	for (; f->skip_lines > 0; f->skip_lines--) {
		p = memchr(p, '\n', (size_t)(end - p));
		if (!p)
			return NULL;
		p++;
	}
	return p == end && r->len > 0 ? NULL : p;
}

static int tell_lost(uint64_t bytes, struct stream_event *ev)
{
	*ev = (struct stream_event){ .type = STREAM_LOST, .number = (int64_t)bytes };
	return 1;
}

/* 1, 0: nothing now, negative. */
static int next_record(struct log_feed *f, struct stream_event *ev, struct err *err)
{
	for (;;) {
		struct log_source *s = NULL;
		const uint8_t *data;
		int r = peek(f, &s);

		if (r < 0)
			return err_sys(err, -r, "read the logs");
		if (!s)
			return 0;
		if (s->lost > 0) {
			uint64_t lost = s->lost;

			s->lost = 0;
			if (f->skip_lines == 0)
				return tell_lost(lost, ev);
		}
		take(s);
		if (s->next.stream == LOG_LOST && f->skip_lines == 0)
			return tell_lost(s->next.offset, ev);
		if (!log_filter_takes(&f->filter, &s->next))
			continue;
		data = skip_to_tail(f, &s->next);
		if (data)
			return tell_log(f, &s->next, data, ev, err);
	}
}

/* Take the news from the descriptors: what comes after them is told by them again. */
static void drain(struct log_feed *f)
{
	char bytes[4096];
	ssize_t n;

	while (read(f->inotify, bytes, sizeof(bytes)) > 0)
		;
	if (!f->running)
		return;
	while ((n = recv(f->control, bytes, sizeof(bytes), 0)) > 0)
		;
	if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		f->running = false;
		(void)close(TAKE_FD(f->control));
	}
}

int log_feed_next(struct log_feed *f, struct stream_event *ret_ev, struct err *err)
{
	bool running;
	int r;

	if (f->over)
		return 0;
	r = next_record(f, ret_ev, err);
	running = f->running;
	if (r == 0 && f->filter.follow) {
		drain(f);
		r = next_record(f, ret_ev, err);
	}
	if (r != 0) {
		set_awake(f, true);
		return r;
	}
	if (running && !f->running) { /* what was written last is read in the next turn */
		set_awake(f, true);
		return log_feed_next(f, ret_ev, err);
	}
	set_awake(f, false);
	if (f->running)
		return 0;
	f->over = true;
	close_auto(&f->inotify);
	*ret_ev = (struct stream_event){ .type = STREAM_END };
	return 1;
}

int log_feed_wait(struct log_feed *f, int64_t timeout_ms, struct cancel *cancel,
		  struct stream_event *ret_ev, struct err *err)
{
	uint64_t start = clock_now_ns();

	for (;;) {
		struct pollfd fd = { .fd = f->fd, .events = POLLIN };
		int r = log_feed_next(f, ret_ev, err);

		if (r != 0 || f->over)
			return r;
		r = cancel_poll(cancel, &fd, 1, left_ms(start, timeout_ms), err);
		if (r <= 0)
			return r;
	}
}

void console_tail(int log_dir, char *out, size_t max)
{
	AUTO(log_reader_free) struct log_reader *reader = NULL;
	AUTO(buf_done) struct buf all = { 0 };
	struct log_record r;
	uint64_t lost;
	size_t from, n = 0;

	out[0] = '\0';
	buf_init(&all, LOG_DATA_MAX + 2 * max);
	if (log_reader_new(log_dir, "kernel", &reader) < 0)
		return;
	while (log_reader_next(reader, &r, &lost) == 1) {
		if (r.stream == LOG_BOOT)
			buf_clear(&all);
		if (all.len > max)
			buf_take(&all, all.len - max);
		if (r.stream == LOG_KERNEL && buf_add(&all, r.data, r.len) < 0)
			return;
	}
	while (all.len > 0 && all.data[all.len - 1] <= ' ')
		all.len--;
	from = all.len > max - 1 ? all.len - (max - 1) : 0;
	for (; from < all.len; from++) {
		uint8_t c = all.data[from];

		out[n++] = c < ' ' && c != '\n' ? ' ' : c >= 0x7f ? '?' : (char)c;
	}
	out[n] = '\0';
}
