/* SPDX-License-Identifier: Apache-2.0 */
#include "stream.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent.h"

#define READ_CHUNK (64u << 10) /* bytes of one read; bounds the work of an event */

static void soon(void *user);

static void set_events(struct stream *s)
{
	uint32_t events = s->dead || s->broken ? 0 : EPOLLIN;

	if (s->out.len > 0)
		events |= EPOLLOUT;
	/*
	 * While frames wait nothing is read.  Then only an edge tells that the peer is gone: its end
	 * is behind the bytes that wait, and that it reads no more has no event of its own.
	 */
	if (s->paused && !s->dead && !s->broken)
		events = EPOLLRDHUP | EPOLLOUT | EPOLLET;
	loop_set_events(s->loop, s->id, events);
}

static void die(struct stream *s)
{
	s->dead = true;
	loop_remove(s->loop, &s->id); /* level-triggered: it would report for ever */
	defer(s->loop, soon, s, &s->soon);
}

/* Write what the socket takes. */
static void flush(struct stream *s)
{
	while (s->out.len > 0 && !s->dead) {
		ssize_t n = send(s->fd, s->out.data, s->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			s->blocked = true;
			return;
		}
		if (n <= 0) {
			die(s);
			return;
		}
		buf_take(&s->out, (size_t)n);
	}
	if (s->broken && !s->dead)
		die(s);
}

/* Whoever pushed while the socket was full waits for this. */
static bool is_drained(const struct stream *s)
{
	return s->blocked && !s->dead && s->out.len == 0;
}

static void tell_drained(struct stream *s)
{
	s->blocked = false;
	s->ops->drained(s->user);
}

static void parse(struct stream *s)
{
	while (!s->paused && !s->dead && !s->broken) {
		struct frame f;
		int64_t n = frame_next(s->in.data, s->in.len, &f);

		if (n == 0)
			return;
		if (n < 0) {
			stream_refuse(s, "protocol", 0);
			return;
		}
		s->ops->frame(s->user, &f);
		buf_take(&s->in, (size_t)n);
	}
}

static void soon(void *user)
{
	struct stream *s = user;

	s->soon = 0;
	if (s->dead) {
		s->ops->lost(s->user);
		return;
	}
	if (is_drained(s))
		tell_drained(s);
	parse(s);
	if (!s->dead)
		set_events(s);
}

static void read_some(struct stream *s)
{
	void *p = buf_room(&s->in, 1);
	size_t room = s->in.max - s->in.len;
	ssize_t n;

	if (room > READ_CHUNK)
		room = READ_CHUNK;
	p = p ? buf_room(&s->in, room) : NULL;
	if (!p) { /* parse() leaves room for the rest of a frame, so memory is short */
		die(s);
		return;
	}
	n = recv(s->fd, p, room, MSG_DONTWAIT);
	if (n > 0)
		buf_grew(&s->in, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		die(s);
}

/* Nothing can be sent to a peer that is gone, not even no bytes. */
static void probe(struct stream *s)
{
	if (send(s->fd, "", 0, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN &&
	    errno != EINTR)
		die(s);
}

static void on_event(void *user, uint32_t events)
{
	struct stream *s = user;

	if (events & EPOLLOUT)
		flush(s);
	if (s->paused && !s->dead)
		probe(s);
	if (is_drained(s))
		tell_drained(s);
	if (!s->dead && (events & EPOLLIN) && !s->paused && !s->broken) {
		read_some(s);
		parse(s);
	} else if (!s->dead && (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP))) {
		die(s);
	}
	if (!s->dead)
		set_events(s);
}

int stream_init(struct stream *s, struct loop *loop, int fd, const struct stream_ops *ops,
		void *user)
{
	*s = (struct stream){ .loop = loop, .fd = fd, .ops = ops, .user = user };
	buf_init(&s->in, FRAME_HEADER + FRAME_MAX_PAYLOAD);
	buf_init(&s->out, STREAM_OUT_MAX);
	return loop_add_fd(loop, fd, EPOLLIN, on_event, s, &s->id);
}

int stream_feed(struct stream *s, const void *data, size_t len)
{
	int r = buf_add(&s->in, data, len);

	if (r >= 0 && len > 0)
		defer(s->loop, soon, s, &s->soon);
	return r;
}

void stream_done(struct stream *s)
{
	loop_remove(s->loop, &s->id);
	loop_remove(s->loop, &s->soon);
	buf_done(&s->in);
	buf_done(&s->out);
	close_auto(&s->fd);
}

void stream_push(struct stream *s)
{
	if (s->dead)
		return;
	flush(s);
	if (is_drained(s))
		defer(s->loop, soon, s, &s->soon);
	if (!s->dead)
		set_events(s);
}

void stream_pause(struct stream *s)
{
	s->paused = true;
}

void stream_resume(struct stream *s)
{
	if (!s->paused)
		return;
	s->paused = false;
	defer(s->loop, soon, s, &s->soon);
}

static void put_error(struct stream *s, const char *code, uint16_t type)
{
	struct proto_error e = { .type = type };

	(void)snprintf(e.code, sizeof(e.code), "%s", code);
	if (proto_error_encode(&s->out, &e) < 0) /* the peer does not read its errors */
		die(s);
}

void stream_refuse(struct stream *s, const char *code, uint16_t type)
{
	if (s->dead || s->broken)
		return;
	put_error(s, code, type);
	s->broken = true;
	stream_push(s);
}

void stream_answer(struct stream *s, const char *code, uint16_t type)
{
	if (s->dead || s->broken)
		return;
	put_error(s, code, type);
	stream_push(s);
}

void stream_unsupported(struct stream *s, uint16_t type)
{
	stream_answer(s, "unsupported", type);
}
