/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: output
 *
 * What a program writes goes into the ring of its output, and from there to each viewer, which
 * has an offset of its own.  The viewer with the input holds the program back: what it has not
 * taken is not written over.  All others may be passed over, and are told so by a gap; without
 * a viewer that has the input the program never waits.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "session.h"
#include "viewer.h"

#define READ_CHUNK (64u << 10)	     /* bytes of one read; bounds the work of an event */
#define SILENCE_NS (100 * NS_PER_MS) /* docs/internals/agent-protocol.md, "End of a program" */
#define GROWTH	   4

/* Ended sessions give their rings back, the oldest first, until @size more bytes fit. */
static bool make_room(struct agent *a, size_t size)
{
	while (a->buffer_bytes + size > BUFFERS_MAX) {
		struct session *oldest = NULL;

		for (struct session *s = a->sessions; s; s = s->next)
			if (s->state == SESSION_ENDED && !s->viewers &&
			    s->out[0].ring.cap + s->out[1].ring.cap > 0)
				oldest = s; /* the list has the newest first */
		if (!oldest)
			return false;
		if (!output_resize(&oldest->out[0], 0) || !output_resize(&oldest->out[1], 0))
			return false;
	}
	return true;
}

bool output_resize(struct output *o, size_t cap)
{
	struct agent *a = o->session->agent;
	size_t before = o->ring.cap;

	if (cap > before && !make_room(a, cap - before))
		return false;
	if (ring_resize(&o->ring, cap) < 0)
		return false;
	a->buffer_bytes += cap - before;
	return true;
}

bool outputs_init(struct session *s)
{
	s->out[0].type = s->req.tty ? FRAME_TTY : FRAME_STDOUT;
	s->out[1].type = FRAME_STDERR;
	return output_resize(&s->out[0], RING_MIN) &&
	       (s->req.tty || output_resize(&s->out[1], RING_MIN));
}

size_t output_waiting(const struct output *o)
{
	int n = 0;

	return o->fd >= 0 && ioctl(o->fd, FIONREAD, &n) == 0 && n > 0 ? (size_t)n : 0;
}

static void output_close(struct output *o)
{
	loop_remove(o->session->agent->loop, &o->id);
	close_auto(&o->fd);
	o->owed = 0;
}

void outputs_close(struct session *s)
{
	output_close(&s->out[0]);
	output_close(&s->out[1]);
}

/* Bytes that may come without writing over what is held for the viewer with the input. */
static size_t room(const struct output *o)
{
	const struct session *s = o->session;
	uint64_t taken = s->primary ? s->primary->at[o - s->out] : o->ring.end;

	if (taken < o->ring.start)
		taken = o->ring.start;
	return o->ring.cap - (size_t)(o->ring.end - taken);
}

/* Before what is kept is written over, more is kept, if there is memory. */
static bool can_take(struct output *o)
{
	if (ring_kept(&o->ring) == o->ring.cap && o->ring.cap < RING_MAX)
		(void)output_resize(o, GROWTH * o->ring.cap);
	return room(o) > 0;
}

static bool to_ring(const struct session *s)
{
	return s->state < SESSION_FLUSHING;
}

/* ---- silence after the end of the program ---- */

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
	session_try_exited(s);
}

static void arm_silence(struct session *s)
{
	loop_remove(s->agent->loop, &s->silence);
	if (loop_add_timer(s->agent->loop, clock_now_ns() + SILENCE_NS, on_silence, s,
			   &s->silence) < 0)
		s->expired = true;
}

/* ---- reading ---- */

/* Output that comes after the end was told: the console, as far as it takes it. */
static ssize_t read_away(struct output *o)
{
	char chunk[4096];
	ssize_t n = read(o->fd, chunk, sizeof(chunk));
	int console = o->session->agent->console_fd;

	if (n > 0 && console >= 0)
		(void)!write(console, chunk, (size_t)n);
	return n;
}

static ssize_t read_ring(struct output *o)
{
	size_t len;
	ssize_t n;
	void *p;

	if (!can_take(o)) {
		errno = EAGAIN;
		return -1;
	}
	len = room(o) < READ_CHUNK ? room(o) : READ_CHUNK;
	p = ring_room(&o->ring, &len);
	n = read(o->fd, p, len);
	if (n > 0)
		ring_grew(&o->ring, (size_t)n);
	return n;
}

static void on_output(void *user, uint32_t events)
{
	struct output *o = user;
	struct session *s = o->session;
	ssize_t n = to_ring(s) ? read_ring(o) : read_away(o);

	if (n > 0) {
		o->owed -= (size_t)n < o->owed ? (size_t)n : o->owed;
		if (to_ring(s))
			viewers_pump(s);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		output_close(o); /* EIO: the last one left the terminal */
		if (s->state == SESSION_ENDED) {
			session_sweep(s->agent);
			return;
		}
	}
	outputs_update(s);
	session_try_exited(s);
}

void outputs_update(struct session *s)
{
	bool held = false;

	if (s->state == SESSION_STARTING)
		return;
	for (int i = 0; i < 2; i++) {
		struct output *o = &s->out[i];
		bool full;

		if (o->fd < 0)
			continue;
		full = to_ring(s) && !can_take(o);
		held |= full;
		/* Removed, not masked: the end of a pipe would be reported again and again. */
		if (full)
			loop_remove(s->agent->loop, &o->id);
		else if (o->id == 0 &&
			 loop_add_fd(s->agent->loop, o->fd, EPOLLIN, on_output, o, &o->id) < 0)
			output_close(o);
	}
	if (s->state != SESSION_DRAINING || s->req.wait_pipes)
		return;
	if (held) /* nobody may call it silent while we do not listen */
		loop_remove(s->agent->loop, &s->silence);
	else
		arm_silence(s);
}
