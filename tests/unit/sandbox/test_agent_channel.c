/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <sys/socket.h>

#include "base/clock.h"
#include "base/io.h"
#include "proto/frame.h"
#include "proto/request.h"
#include "sandbox/agent_channel.h"

/* Counts what the channel says. */
struct seen {
	struct loop *loop;
	int connected, ready, failed, sessions, flushed, lost;
	char stages[256], why[128];
};

static void on_connected(void *user)
{
	((struct seen *)user)->connected++;
}
static void on_progress(void *user, const char *stage)
{
	struct seen *s = user;
	size_t n = strlen(s->stages);

	snprintf(s->stages + n, sizeof(s->stages) - n, "%s ", stage);
}
static void on_ready(void *user)
{
	((struct seen *)user)->ready++;
}
static void on_failed(void *user, const struct failure *why)
{
	((struct seen *)user)->failed++;
}
static void on_session(void *user, const struct session_event *ev)
{
	((struct seen *)user)->sessions++;
}
static void on_flushed(void *user)
{
	((struct seen *)user)->flushed++;
}
static void on_lost(void *user, const char *why)
{
	struct seen *s = user;

	s->lost++;
	snprintf(s->why, sizeof(s->why), "%s", why ? why : "closed");
	loop_stop(s->loop);
}

static const struct agent_events events = { on_connected, on_progress, on_ready, on_failed,
					    on_session,	  on_flushed,  on_lost };

static const char boot[] = "the boot message";

/* Send @b to a channel, close, and run until it is lost. */
static void play(struct buf *b, struct seen *s)
{
	struct agent_channel *c = NULL;
	char got[256];
	int fd, boot_fd = io_memfd("boot", boot, sizeof(boot));

	*s = (struct seen){ 0 };
	ASSERT_EQ(loop_new(&s->loop), 0);
	ASSERT_EQ(agent_channel_new(s->loop, boot_fd, &events, s, &c), 0);
	ASSERT_EQ(agent_channel_shutdown(c, 1, 0), -ENOTCONN);
	fd = agent_channel_accept(c);
	ASSERT(fd >= 0);
	ASSERT_EQ(agent_channel_accept(c), -EBUSY);
	ASSERT_EQ(io_write_full(fd, b->data, b->len), 0);
	ASSERT_EQ(shutdown(fd, SHUT_WR), 0);
	ASSERT_EQ(loop_run(s->loop), 0);
	ASSERT_EQ(s->connected, 1);
	ASSERT_EQ(s->lost, 1);
	ASSERT(recv(fd, got, sizeof(got), MSG_DONTWAIT) > (ssize_t)sizeof(boot));
	ASSERT_EQ(agent_channel_shutdown(c, 1, 0), -ENOTCONN);
	agent_channel_free(c);
	loop_free(s->loop);
	(void)close(fd);
}

static void add_hello(struct buf *b)
{
	struct hello hello = { .min = 1, .max = 1 };

	buf_init(b, 4u << 20);
	ASSERT_EQ(hello_encode(b, &hello), 0);
}

TEST(a_good_boot)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct session_event ev = { .session = 1, .main = true, .ended = true };
	struct seen s;

	add_hello(&b);
	ASSERT_EQ(progress_encode(&b, "mounts"), 0);
	ASSERT_EQ(progress_encode(&b, "root-fs"), 0);
	ASSERT_EQ(frame_add(&b, FRAME_READY, 0, NULL, 0), 0);
	ASSERT_EQ(session_event_encode(&b, &ev), 0);
	ASSERT_EQ(frame_add(&b, 999, 0, "unknown", 7), 0);
	ASSERT_EQ(frame_add(&b, FRAME_FLUSHED, 0, NULL, 0), 0);
	play(&b, &s);
	ASSERT_STR(s.stages, "mounts root-fs ");
	ASSERT_EQ(s.ready, 1);
	ASSERT_EQ(s.sessions, 1);
	ASSERT_EQ(s.flushed, 1);
	ASSERT_STR(s.why, "closed");
}

enum hostile {
	NO_HELLO,
	FOREIGN_VERSION,
	STAGE_WITH_ESCAPE,
	STAGES_WITHOUT_END,
	SESSION_BEFORE_READY,
	BAD_SESSION,
	LONG_FRAME,
	LONG_FRAME_IN_PIECES,
	IMPOSSIBLE_LENGTH,
	READY_TWICE,
	HOSTILE_MAX,
};

static void add_hostile(struct buf *b, enum hostile what)
{
	static uint8_t big[AGENT_MAX_PAYLOAD + 1];
	struct hello foreign = { .min = 2, .max = 9 };
	struct session_event ev = { .session = 1 };
	uint8_t header[FRAME_HEADER] = { FRAME_READY, 0, 0, 0, 0xff, 0xff, 0xff, 0xff };
	int r = 0;

	if (what == NO_HELLO || what == FOREIGN_VERSION)
		buf_init(b, 4u << 20);
	else
		add_hello(b);
	switch (what) {
	case NO_HELLO:
		r = frame_add(b, FRAME_READY, 0, NULL, 0);
		break;
	case FOREIGN_VERSION:
		r = hello_encode(b, &foreign);
		break;
	case STAGE_WITH_ESCAPE:
		r = progress_encode(b, "\x1b[2J");
		break;
	case STAGES_WITHOUT_END:
		for (int i = 0; i <= AGENT_MAX_PROGRESS && r == 0; i++)
			r = progress_encode(b, "a");
		break;
	case SESSION_BEFORE_READY:
		r = session_event_encode(b, &ev);
		break;
	case BAD_SESSION:
		r = frame_add(b, FRAME_READY, 0, NULL, 0);
		if (r == 0)
			r = frame_add(b, FRAME_SESSION, 0, "x", 1);
		break;
	case LONG_FRAME:
		r = frame_add(b, FRAME_PROGRESS, 0, big, sizeof(big));
		break;
	case LONG_FRAME_IN_PIECES:
		header[6] = 0x20; /* 2 MiB: a frame may be, one of the agent's may not */
		header[4] = header[5] = header[7] = 0;
		r = buf_add(b, header, sizeof(header));
		for (int i = 0; i < 3 && r == 0; i++)
			r = buf_add(b, big, sizeof(big));
		break;
	case IMPOSSIBLE_LENGTH:
		r = buf_add(b, header, sizeof(header));
		break;
	case READY_TWICE:
		for (int i = 0; i < 2 && r == 0; i++)
			r = frame_add(b, FRAME_READY, 0, NULL, 0);
		break;
	case HOSTILE_MAX:
		break;
	}
	ASSERT_EQ(r, 0);
}

TEST(a_hostile_agent_is_dropped)
{
	static const struct {
		const char *name;
		enum hostile what;
		const char *why;
		int ready;
	} cases[] = {
		{ "no hello", NO_HELLO, "it did not say hello", 0 },
		{ "version", FOREIGN_VERSION, "its protocol version is not ours", 0 },
		{ "escape", STAGE_WITH_ESCAPE, "bad progress", 0 },
		{ "stages", STAGES_WITHOUT_END, "bad progress", 0 },
		{ "early", SESSION_BEFORE_READY, "a frame that does not belong to the boot", 0 },
		{ "session", BAD_SESSION, "bad session event", 1 },
		{ "long", LONG_FRAME, "a frame that is too long", 0 },
		{ "pieces", LONG_FRAME_IN_PIECES, "a frame that is too long", 0 },
		{ "length", IMPOSSIBLE_LENGTH, "a frame of impossible length", 0 },
		{ "twice", READY_TWICE, "closed", 1 }, /* answered as unsupported */
	};

	for_cases(c, cases) {
		AUTO(buf_done) struct buf b = { 0 };
		struct seen s;

		add_hostile(&b, c->what);
		play(&b, &s);
		ASSERT_STR(s.why, c->why);
		ASSERT_EQ(s.ready, c->ready);
		ASSERT_EQ(s.sessions, 0);
	}
}

static void stop_when_ready(void *user)
{
	struct seen *s = user;

	s->ready++;
	loop_stop(s->loop);
}

TEST(the_time_is_told_to_an_agent_that_is_ready)
{
	struct agent_events with_stop = events;
	AUTO(buf_done) struct buf b = { 0 };
	struct agent_channel *c = NULL;
	struct clock_request clock = { 0 };
	struct seen s = { 0 };
	uint64_t now = clock_wall_ns();
	uint8_t got[1024];
	struct frame f;
	size_t at = 0;
	ssize_t n;
	int fd;

	with_stop.ready = stop_when_ready;
	ASSERT_EQ(loop_new(&s.loop), 0);
	ASSERT_EQ(agent_channel_new(s.loop, io_memfd("boot", "", 0), &with_stop, &s, &c), 0);
	ASSERT_EQ(agent_channel_clock(c), -ENOTCONN);
	fd = agent_channel_accept(c);
	ASSERT(fd >= 0);
	add_hello(&b);
	ASSERT_EQ(frame_add(&b, FRAME_READY, 0, NULL, 0), 0);
	ASSERT_EQ(io_write_full(fd, b.data, b.len), 0);
	ASSERT_EQ(loop_run(s.loop), 0);
	ASSERT_EQ(agent_channel_clock(c), 0);
	ASSERT_EQ(frame_add(&b, FRAME_DONE, 0, NULL, 0), 0);
	ASSERT_EQ(io_write_full(fd, b.data + b.len - FRAME_HEADER, FRAME_HEADER), 0);
	ASSERT_EQ(shutdown(fd, SHUT_WR), 0);
	ASSERT_EQ(loop_run(s.loop), 0);
	ASSERT_STR(s.why, "closed"); /* the answer was no error */
	n = recv(fd, got, sizeof(got), MSG_DONTWAIT);
	while (frame_next(got + at, (size_t)n - at, &f) > 0 && f.type != FRAME_CLOCK)
		at += FRAME_HEADER + f.len;
	ASSERT_EQ(f.type, FRAME_CLOCK);
	ASSERT_EQ(clock_request_decode(f.payload, f.len, &clock), 0);
	ASSERT(clock.time_ns >= now);
	agent_channel_free(c);
	loop_free(s.loop);
	(void)close(fd);
}

TAP_MAIN()
