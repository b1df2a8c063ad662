/* SPDX-License-Identifier: Apache-2.0 */
#include "control.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/io.h"
#include "requests.h"
#include "shutdown.h"
#include "stream.h"

#define LAST_MS 1000 /* for the host to read the last words */

struct control {
	struct agent *agent; /* borrowed */
	struct stream stream;
};

static void on_frame(void *user, const struct frame *f)
{
	struct control *c = user;
	struct shutdown_request req;

	switch (f->type) {
	case FRAME_SHUTDOWN:
		if (shutdown_request_decode(f->payload, f->len, &req) < 0)
			stream_refuse(&c->stream, "protocol", f->type);
		else
			shutdown_begin(c->agent, &req);
		return;
	case FRAME_ERROR: /* an older host */
		return;
	default:
		if (!requests_quick(c->agent, &c->stream, f))
			stream_unsupported(&c->stream, f->type);
	}
}

static void on_drained(void *user)
{
}

static void on_lost(void *user)
{
	struct control *c = user;

	power_off(c->agent); /* nobody is there to run for */
}

static const struct stream_ops control_ops = {
	.frame = on_frame,
	.drained = on_drained,
	.lost = on_lost,
};

int control_start(struct agent *a, int fd, const struct buf *early)
{
	int r = io_set_nonblock(fd, 1);

	a->control = calloc(1, sizeof(*a->control));
	if (!a->control || r < 0) {
		(void)close(fd);
		return r < 0 ? r : -ENOMEM;
	}
	a->control->agent = a;
	r = stream_init(&a->control->stream, a->loop, fd, &control_ops, a->control);
	if (r >= 0)
		r = stream_feed(&a->control->stream, early->data, early->len);
	return r;
}

void control_session(struct agent *a, const struct session_event *e)
{
	/* A host that leaves a megabyte of events unread is not there any more. */
	if (session_event_encode(&a->control->stream.out, e) < 0)
		power_off(a);
	stream_push(&a->control->stream);
}

void control_ready(struct agent *a)
{
	if (frame_add(&a->control->stream.out, FRAME_READY, 0, NULL, 0) < 0)
		power_off(a);
	stream_push(&a->control->stream);
}

void control_flushed(struct agent *a)
{
	struct stream *s = &a->control->stream;
	struct pollfd p = { .fd = s->fd };
	char away[256];

	if (frame_add(&s->out, FRAME_FLUSHED, 0, NULL, 0) < 0)
		return;
	while (s->out.len > 0) {
		ssize_t n = send(s->fd, s->out.data, s->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

		p.events = POLLOUT;
		if (n > 0)
			buf_take(&s->out, (size_t)n);
		else if (errno != EAGAIN || poll(&p, 1, LAST_MS) <= 0)
			return;
	}
	(void)shutdown(s->fd, SHUT_WR);
	p.events = POLLIN;
	while (poll(&p, 1, LAST_MS) > 0 && recv(s->fd, away, sizeof(away), MSG_DONTWAIT) > 0)
		;
}
