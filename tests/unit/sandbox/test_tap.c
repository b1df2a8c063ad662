/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "logs/reader.h"
#include "proto/agent.h"
#include "proto/frame.h"
#include "remove_tree.h"
#include "sandbox/log_queue.h"
#include "sandbox/tap.h"

struct bench {
	char top[32];
	int dir;
	struct log_queue *log;
	struct taps *taps;
};

static void bench_init(struct bench *b, enum launch_capture capture)
{
	(void)snprintf(b->top, sizeof(b->top), "/tmp/tap_XXXXXX");
	ASSERT(mkdtemp(b->top));
	b->dir = open(b->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_EQ(log_queue_new(b->dir, &b->log), 0);
	ASSERT_EQ(taps_new(b->log, capture, &b->taps), 0);
}

static void bench_done(struct bench *b)
{
	taps_free(b->taps);
	log_queue_free(b->log);
	(void)close(b->dir);
	remove_tree(AT_FDCWD, b->top);
}

/* All that is in the log, as "SESSION:STREAM:OFFSET:BYTES " for each record. */
static const char *logged(struct bench *b)
{
	static char text[4096];
	struct log_reader *reader = NULL;
	struct log_record r;
	uint64_t lost;
	size_t n = 0;

	log_queue_flush(b->log);
	ASSERT_EQ(log_reader_new(b->dir, "out", &reader), 0);
	text[0] = '\0';
	while (log_reader_next(reader, &r, &lost) == 1)
		if (r.stream != LOG_BOOT)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%d:%d:%d:%.*s ",
					      (int)r.session, (int)r.stream, (int)r.offset,
					      (int)r.len, (const char *)r.data);
	log_reader_free(reader);
	return text;
}

static void say_hello(struct buf *b)
{
	struct hello hello = { .min = AGENT_PROTO_MIN, .max = AGENT_PROTO_MAX };

	buf_init(b, 1 << 20);
	ASSERT_EQ(hello_encode(b, &hello), 0);
}

TEST(output_is_logged_whatever_the_pieces_are)
{
	struct exec_started started = { .session = 7, .pid = 1 };
	AUTO(buf_done) struct buf b = { 0 };

	say_hello(&b);
	ASSERT_EQ(exec_started_encode(&b, &started), 0);
	ASSERT_EQ(frame_add(&b, FRAME_STDOUT, 0, "abc", 3), 0);
	ASSERT_EQ(frame_add(&b, FRAME_STDERR, 0, "E", 1), 0);
	ASSERT_EQ(frame_add(&b, FRAME_STDOUT, 0, "", 0), 0);
	ASSERT_EQ(frame_add(&b, FRAME_STDOUT, 0, "def", 3), 0);
	for (int whole = 0; whole < 2; whole++) {
		struct bench bench;
		struct vsock_tap *tap;

		bench_init(&bench, CAPTURE_ALL);
		tap = tap_new(bench.taps);
		for (size_t i = 0; !whole && i < b.len; i++)
			tap_feed(tap, b.data + i, 1);
		if (whole)
			tap_feed(tap, b.data, b.len);
		ASSERT_STR(logged(&bench),
			   whole ? "7:1:0:abc 7:2:0:E 7:1:3:def "
				 : "7:1:0:a 7:1:1:b 7:1:2:c 7:2:0:E 7:1:3:d 7:1:4:e 7:1:5:f ");
		tap->end(tap);
		bench_done(&bench);
	}
}

TEST(what_two_clients_get_is_logged_once)
{
	struct exec_started started = { .session = 1 };
	struct output_gap gap = { .type = FRAME_STDOUT, .bytes = 4 };
	AUTO(buf_done) struct buf first = { 0 };
	AUTO(buf_done) struct buf again = { 0 };
	struct vsock_tap *a, *c;
	struct bench bench;

	bench_init(&bench, CAPTURE_ALL);
	say_hello(&first);
	ASSERT_EQ(exec_started_encode(&first, &started), 0);
	ASSERT_EQ(frame_add(&first, FRAME_STDOUT, 0, "0123", 4), 0);
	say_hello(&again);
	started.out_from = 2;
	ASSERT_EQ(exec_started_encode(&again, &started), 0);
	ASSERT_EQ(frame_add(&again, FRAME_STDOUT, 0, "2345", 4), 0);
	ASSERT_EQ(output_gap_encode(&again, &gap), 0);
	ASSERT_EQ(frame_add(&again, FRAME_STDOUT, 0, "X", 1), 0);
	a = tap_new(bench.taps);
	c = tap_new(bench.taps);
	tap_feed(a, first.data, first.len);
	tap_feed(c, again.data, again.len);
	ASSERT_STR(logged(&bench), "1:1:0:0123 1:1:4:45 1:1:10:X ");
	a->end(a);
	c->end(c);
	bench_done(&bench);
}

TEST(what_is_not_wanted_is_not_logged)
{
	for (int i = 0; i < 4; i++) {
		struct exec_started started = { .session = 3, .main = i == 1, .no_log = i == 2 };
		AUTO(buf_done) struct buf b = { 0 };
		struct vsock_tap *tap;
		struct bench bench;

		bench_init(&bench, i == 2 ? CAPTURE_ALL : i == 3 ? CAPTURE_NONE : CAPTURE_MAIN);
		say_hello(&b);
		ASSERT_EQ(exec_started_encode(&b, &started), 0);
		ASSERT_EQ(frame_add(&b, FRAME_TTY, 0, "x", 1), 0);
		tap = tap_new(bench.taps);
		ASSERT_EQ(tap == NULL, i == 3);
		if (tap) {
			tap_feed(tap, b.data, b.len);
			tap->end(tap);
		}
		ASSERT_STR(logged(&bench), i == 1 ? "3:3:0:x " : "");
		bench_done(&bench);
	}
}

static void note_left(void *user, const struct tap_left *left)
{
	*(struct tap_left *)user = *left;
}

TEST(a_client_that_leaves_a_session_is_told)
{
	for (int i = 0; i < 3; i++) { /* it left; the program had ended; it is our own stream */
		struct exec_started started = { .session = 5, .out_from = 10 };
		struct exec_exited exited = { 0 };
		struct tap_left left = { 0 };
		AUTO(buf_done) struct buf b = { 0 };
		struct vsock_tap *tap;
		struct bench bench;

		bench_init(&bench, CAPTURE_ALL);
		taps_on_left(bench.taps, note_left, &left);
		say_hello(&b);
		ASSERT_EQ(exec_started_encode(&b, &started), 0);
		ASSERT_EQ(frame_add(&b, FRAME_STDOUT, 0, "abc", 3), 0);
		if (i == 1)
			ASSERT_EQ(exec_exited_encode(&b, &exited), 0);
		tap = i == 2 ? tap_again(bench.taps) : tap_new(bench.taps);
		tap_feed(tap, b.data, b.len);
		tap->end(tap);
		ASSERT_EQ(left.session, i == 0 ? 5 : 0);
		ASSERT_EQ(left.at[0], i == 0 ? 13 : 0);
		bench_done(&bench);
	}
}

TEST(a_full_queue_drops_and_tells)
{
	static uint8_t data[LOG_DATA_MAX];
	struct log_record big = { .stream = LOG_STDOUT, .data = data, .len = sizeof(data) };
	struct log_reader *reader = NULL;
	uint64_t kept = 0, told = 0, lost;
	struct log_record r;
	struct bench b;

	bench_init(&b, CAPTURE_ALL);
	for (int i = 0; i < 100; i++)
		log_queue_put(b.log, LOG_OUT, &big);
	log_queue_flush(b.log);
	ASSERT_EQ(log_reader_new(b.dir, "out", &reader), 0);
	while (log_reader_next(reader, &r, &lost) == 1) {
		kept += r.len;
		told += r.stream == LOG_LOST ? r.offset : 0;
	}
	ASSERT_EQ(kept + told, 100 * sizeof(data));
	log_reader_free(reader);
	bench_done(&b);
}

TAP_MAIN()
