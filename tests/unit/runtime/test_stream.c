/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include "base/io.h"
#include "proto/frame.h"
#include "runtime/stream.h"

/* The other end of the connection, played by the test. */
struct agent {
	int fd;
	struct buf out;
	struct exec_stream *s;
};

static void begin(struct agent *a, bool with_stdin)
{
	char program[] = "x", *items[] = { program, NULL };
	struct exec_request req = { .argv = { .items = items, .n = 1 }, .stdin_open = with_stdin };
	struct err err = ERR_INIT;
	int fds[2];

	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ASSERT_EQ(io_set_nonblock(fds[0], 1), 0);
	*a = (struct agent){ .fd = fds[1] };
	buf_init(&a->out, 1u << 20);
	ASSERT_EQ(exec_stream_new(fds[0], &req, &a->s, &err), 0);
}

static void finish(struct agent *a)
{
	exec_stream_close(a->s);
	buf_done(&a->out);
	if (a->fd >= 0)
		(void)close(a->fd);
}

static void push(struct agent *a, size_t n)
{
	ASSERT_EQ(send(a->fd, a->out.data, n, MSG_NOSIGNAL), n);
	buf_take(&a->out, n);
}

static void say(struct agent *a, uint16_t type, const void *data, size_t len)
{
	ASSERT_EQ(frame_add(&a->out, type, 0, data, len), 0);
	push(a, a->out.len);
}

static void say_started(struct agent *a)
{
	struct hello hello = { .min = 1, .max = 1 };
	struct exec_started started = { .session = 4, .pid = 99 };

	ASSERT_EQ(hello_encode(&a->out, &hello), 0);
	ASSERT_EQ(exec_started_encode(&a->out, &started), 0);
	push(a, a->out.len);
}

static void say_exited(struct agent *a, uint32_t code)
{
	struct exec_exited exited = { .code = code };

	ASSERT_EQ(exec_exited_encode(&a->out, &exited), 0);
	push(a, a->out.len);
}

static struct stream_event next(struct agent *a)
{
	struct stream_event ev = { 0 };
	struct err err = ERR_INIT;

	ASSERT_EQ(exec_stream_next(a->s, &ev, &err), 1);
	return ev;
}

static void expect_end(struct agent *a, int number)
{
	struct stream_event ev = next(a);
	struct pollfd p;
	struct err err = ERR_INIT;

	ASSERT_EQ(ev.type, STREAM_END);
	ASSERT_EQ(ev.number, number);
	ASSERT_EQ(exec_stream_next(a->s, &ev, &err), 0);
	ASSERT_EQ(exec_stream_wait(a->s, -1, NULL, &ev, &err), 0);
	p = (struct pollfd){ .fd = exec_stream_fd(a->s), .events = exec_stream_want(a->s) };
	ASSERT_EQ(poll(&p, 1, 0), 0); /* at rest */
}

TEST(a_program_from_start_to_end)
{
	struct stream_event ev;
	struct err err = ERR_INIT;
	struct agent a;

	begin(&a, false);
	ASSERT_EQ(exec_stream_next(a.s, &ev, &err), 0);
	say_started(&a);
	say(&a, FRAME_STDOUT, "out", 3);
	say(&a, FRAME_STDERR, "err", 3);
	say_exited(&a, 3);
	ev = next(&a);
	ASSERT_EQ(ev.type, STREAM_STARTED);
	ASSERT_EQ(ev.number, 99);
	ASSERT_STR(ev.json, "{\"session\":4,\"tty\":false}");
	ev = next(&a);
	ASSERT_EQ(ev.channel, STREAM_STDOUT);
	ASSERT_EQ(ev.number, 0);
	ASSERT(ev.len == 3 && memcmp(ev.data, "out", 3) == 0);
	ev = next(&a);
	ASSERT_EQ(ev.channel, STREAM_STDERR);
	ev = next(&a);
	ASSERT_EQ(ev.type, STREAM_EXITED);
	ASSERT_EQ(ev.number, 3);
	expect_end(&a, 0);
	finish(&a);
}

TEST(frames_may_come_byte_by_byte)
{
	struct stream_event ev = { 0 };
	struct err err = ERR_INIT;
	struct agent a;
	int n = 0;

	begin(&a, false);
	say_started(&a);
	(void)next(&a);
	ASSERT_EQ(frame_add(&a.out, FRAME_STDOUT, 0, "abc", 3), 0);
	while (a.out.len > 0) {
		push(&a, 1);
		n += exec_stream_next(a.s, &ev, &err);
	}
	ASSERT_EQ(n, 1);
	ASSERT_EQ(ev.len, 3);
	finish(&a);
}

TEST(a_program_that_was_not_found)
{
	struct failure failure = {
		.kind = "not-found", .sys = ENOENT, .subject = "x", .message = "m"
	};
	struct hello hello = { .min = 1, .max = 1 };
	struct stream_event ev;
	struct agent a;

	begin(&a, false);
	ASSERT_EQ(hello_encode(&a.out, &hello), 0);
	ASSERT_EQ(failure_encode(&a.out, FRAME_FAILED, &failure), 0);
	push(&a, a.out.len);
	ev = next(&a);
	ASSERT_EQ(ev.type, STREAM_FAILED);
	ASSERT_EQ(ev.number, ENOENT);
	ASSERT(strstr(ev.json, "\"kind\":\"not-found\""));
	expect_end(&a, 0);
	finish(&a);
}

TEST(a_stream_that_breaks_off)
{
	struct agent a;

	begin(&a, false);
	say_started(&a);
	(void)next(&a);
	(void)close(a.fd);
	a.fd = -1;
	expect_end(&a, ERR_NR_EXEC_LOST);
	finish(&a);
}

TEST(a_hostile_agent_ends_the_stream)
{
	static const struct {
		const char *name;
		uint16_t type;
		const char *bytes;
		size_t len;
	} cases[] = {
		{ "frame for the other end", FRAME_STDIN, "a", 1 },
		{ "started twice", FRAME_STARTED, "a", 1 },
		{ "bad exited", FRAME_EXITED, "\xff", 1 },
	};

	for_cases(c, cases) {
		struct agent a;

		begin(&a, false);
		say_started(&a);
		(void)next(&a);
		say(&a, c->type, c->bytes, c->len);
		expect_end(&a, ERR_NR_PROTOCOL);
		finish(&a);
	}
}

TEST(what_a_newer_agent_says_is_answered_and_skipped)
{
	struct proto_error e;
	struct frame f;
	uint8_t got[8192];
	struct agent a;
	ssize_t n;
	int64_t took;

	begin(&a, false);
	say_started(&a);
	say(&a, 999, "x", 1);
	say_exited(&a, 0);
	ASSERT_EQ(next(&a).type, STREAM_STARTED);
	ASSERT_EQ(next(&a).type, STREAM_EXITED);
	n = recv(a.fd, got, sizeof(got), MSG_DONTWAIT);
	ASSERT(n > 0);
	for (size_t at = 0; at < (size_t)n; at += (size_t)took) {
		took = frame_next(got + at, (size_t)n - at, &f);
		ASSERT(took > 0);
	}
	ASSERT_EQ(f.type, FRAME_ERROR);
	ASSERT_EQ(proto_error_decode(f.payload, f.len, &e), 0);
	ASSERT_STR(e.code, "unsupported");
	ASSERT_EQ(e.type, 999);
	expect_end(&a, 0);
	finish(&a);
}

TEST(offsets_begin_where_the_agent_says_and_count_what_is_lost)
{
	struct attach_request req = { .session = 4, .watch = true };
	struct exec_started started = { .session = 4, .out_from = 100, .err_from = 7 };
	struct output_gap gap = { .type = FRAME_STDOUT, .bytes = 50 };
	struct hello hello = { .min = 1, .max = 1 };
	struct err err = ERR_INIT;
	struct stream_event ev;
	struct agent a;
	size_t n = 0;
	int fds[2];

	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ASSERT_EQ(io_set_nonblock(fds[0], 1), 0);
	a = (struct agent){ .fd = fds[1] };
	buf_init(&a.out, 1u << 20);
	ASSERT_EQ(exec_stream_attach(fds[0], &req, &a.s, &err), 0);
	ASSERT_EQ(hello_encode(&a.out, &hello), 0);
	ASSERT_EQ(exec_started_encode(&a.out, &started), 0);
	ASSERT_EQ(output_gap_encode(&a.out, &gap), 0);
	push(&a, a.out.len);
	say(&a, FRAME_STDOUT, "abc", 3);
	say(&a, FRAME_STDERR, "d", 1);
	say(&a, FRAME_STDOUT, "e", 1);
	say(&a, FRAME_TIMED_OUT, "", 0);
	ASSERT_EQ(next(&a).type, STREAM_STARTED);
	ev = next(&a);
	ASSERT(ev.type == STREAM_LOST && ev.channel == STREAM_STDOUT && ev.number == 50);
	ASSERT_EQ(next(&a).number, 150);
	ASSERT_EQ(next(&a).number, 7);
	ASSERT_EQ(next(&a).number, 153);
	ASSERT_EQ(next(&a).type, STREAM_TIMEOUT);
	/* Who watches does nothing else. */
	ASSERT_EQ(exec_stream_signal(a.s, 15, &err), -ERR_INVALID);
	ASSERT_EQ(exec_stream_resize(a.s, 1, 1, &err), -ERR_INVALID);
	ASSERT_EQ(exec_stream_write(a.s, "x", 1, &n, &err), 0);
	ASSERT_EQ(n, 1); /* dropped */
	finish(&a);
}

TEST(a_connection_ends_when_both_directions_have)
{
	struct hello hello = { .min = 1, .max = 1 };
	struct err err = ERR_INIT;
	struct stream_event ev;
	struct agent a;
	int fds[2];

	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ASSERT_EQ(io_set_nonblock(fds[0], 1), 0);
	a = (struct agent){ .fd = fds[1] };
	buf_init(&a.out, 1u << 20);
	ASSERT_EQ(exec_stream_tcp(fds[0], 80, &a.s, &err), 0);
	ASSERT_EQ(hello_encode(&a.out, &hello), 0);
	push(&a, a.out.len);
	say(&a, FRAME_CONNECTED, "", 0);
	say(&a, FRAME_TCP_DATA, "abc", 3);
	say(&a, FRAME_TCP_EOF, "", 0);
	ASSERT_EQ(next(&a).type, STREAM_STARTED);
	ev = next(&a);
	ASSERT(ev.type == STREAM_DATA && ev.len == 3);
	ev = next(&a);
	ASSERT(ev.type == STREAM_DATA && ev.len == 0 && ev.number == 3);
	ASSERT_EQ(exec_stream_next(a.s, &ev, &err), 0);
	(void)close(a.fd);
	a.fd = -1;
	expect_end(&a, 0);
	finish(&a);
}

TEST(output_before_started_is_refused)
{
	struct agent a;

	begin(&a, false);
	say(&a, FRAME_STDOUT, "a", 1);
	expect_end(&a, ERR_NR_PROTOCOL);
	finish(&a);
}

TEST(a_length_above_the_limit_is_refused)
{
	static const uint8_t head[8] = { FRAME_STDOUT, 0, 0, 0, 0xff, 0xff, 0xff, 0xff };
	struct agent a;

	begin(&a, false);
	say_started(&a);
	(void)next(&a);
	ASSERT_EQ(send(a.fd, head, sizeof(head), 0), sizeof(head));
	expect_end(&a, ERR_NR_PROTOCOL);
	finish(&a);
}

TEST(input_is_bounded_and_dropped_once_closed)
{
	static uint8_t big[1u << 20];
	struct stream_event ev;
	struct err err = ERR_INIT;
	size_t n = 1, total = 0;
	struct agent a;

	begin(&a, true);
	for (int i = 0; n > 0; i++) { /* nobody reads */
		ASSERT(i < 100);
		ASSERT_EQ(exec_stream_write(a.s, big, sizeof(big), &n, &err), 0);
		total += n;
	}
	ASSERT(total < 2u << 20);
	ASSERT(exec_stream_want(a.s) & POLLOUT);
	say_started(&a);
	say(&a, FRAME_STDIN_CLOSED, "", 0);
	(void)next(&a);
	ev = next(&a);
	ASSERT_EQ(ev.type, STREAM_STDIN_ERROR);
	ASSERT_EQ(exec_stream_write(a.s, big, sizeof(big), &n, &err), 0);
	ASSERT_EQ(n, sizeof(big));
	finish(&a);
}

/* Reads frames from the stream and gives back what came as input, until its end. */
static void *echo(void *user)
{
	struct agent *a = user;
	struct buf in;
	struct frame f;
	bool eof = false;

	buf_init(&in, 8u << 20);
	while (!eof) {
		void *p = buf_room(&in, 65536);
		ssize_t n = read(a->fd, p, 65536);
		int64_t took;

		if (n <= 0)
			break;
		buf_grew(&in, (size_t)n);
		while ((took = frame_next(in.data, in.len, &f)) > 0) {
			if (f.type == FRAME_STDIN) {
				ASSERT_EQ(frame_add(&a->out, FRAME_STDOUT, 0, f.payload, f.len), 0);
				ASSERT_EQ(io_write_full(a->fd, a->out.data, a->out.len), 0);
				buf_clear(&a->out);
			}
			eof = f.type == FRAME_STDIN_EOF;
			buf_take(&in, (size_t)took);
		}
	}
	say_exited(a, 0);
	buf_done(&in);
	return NULL;
}

struct writer {
	struct exec_stream *s;
	const uint8_t *data;
	size_t len;
};

static void *write_all(void *user)
{
	struct writer *w = user;
	struct err err = ERR_INIT;
	size_t n;

	while (w->len > 0) {
		ASSERT_EQ(exec_stream_write(w->s, w->data, w->len, &n, &err), 0);
		w->data += n;
		w->len -= n;
		if (n == 0) {
			struct pollfd p = { .fd = exec_stream_fd(w->s), .events = POLLOUT };

			(void)poll(&p, 1, -1);
		}
	}
	ASSERT_EQ(exec_stream_close_write(w->s, &err), 0);
	return NULL;
}

TEST(a_writer_and_a_reader_in_two_threads)
{
	static uint8_t data[4u << 20];
	struct writer w = { .data = data, .len = sizeof(data) };
	struct stream_event ev = { 0 };
	struct err err = ERR_INIT;
	pthread_t agent, writer;
	size_t at = 0;
	struct agent a;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + (i >> 12));
	begin(&a, true);
	w.s = a.s;
	say_started(&a);
	ASSERT_EQ(pthread_create(&agent, NULL, echo, &a), 0);
	ASSERT_EQ(pthread_create(&writer, NULL, write_all, &w), 0);
	for (;;) {
		ASSERT_EQ(exec_stream_wait(a.s, -1, NULL, &ev, &err), 1);
		if (ev.type == STREAM_END)
			break;
		if (ev.type != STREAM_DATA)
			continue;
		ASSERT(at + ev.len <= sizeof(data));
		ASSERT_EQ(memcmp(data + at, ev.data, ev.len), 0);
		at += ev.len;
	}
	ASSERT_EQ(at, sizeof(data));
	ASSERT_EQ(ev.number, 0);
	(void)pthread_join(agent, NULL);
	(void)pthread_join(writer, NULL);
	finish(&a);
}

TAP_MAIN()
