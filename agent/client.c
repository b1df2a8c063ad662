/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "files.h"
#include "hostclock.h"
#include "requests.h"
#include "tcp.h"
#include "viewer.h"

static void client_free(struct client *c)
{
	struct client **p = &c->agent->clients;

	while (*p != c)
		p = &(*p)->next;
	*p = c->next;
	c->agent->n_clients--;
	if (c->ops)
		c->ops->lost(c);
	loop_remove(c->agent->loop, &c->soon);
	stream_done(&c->stream);
	free(c);
}

static void free_soon(void *user)
{
	struct client *c = user;

	c->soon = 0;
	client_free(c);
}

bool client_usable(const struct client *c)
{
	return !c->ending && !c->stream.dead && !c->stream.broken;
}

void client_finish(struct client *c)
{
	c->ending = true;
	stream_push(&c->stream);
	if (!c->stream.dead && stream_idle(&c->stream))
		defer(c->agent->loop, free_soon, c, &c->soon);
}

void client_fail(struct client *c, const char *kind, int sys, const char *subject, const char *what)
{
	struct failure f;

	(void)fail(&f, "main", sys, subject, "%s", what);
	(void)snprintf(f.kind, sizeof(f.kind), "%s", kind);
	if (failure_encode(&c->stream.out, FRAME_FAILED, &f) < 0)
		stream_refuse(&c->stream, "busy", 0);
	else
		client_finish(c);
}

static void take_hello(struct client *c, const struct frame *f)
{
	struct hello h;

	if (c->hello || hello_decode(f->payload, f->len, &h) < 0 || hello_agree(&h) < 0)
		stream_refuse(&c->stream, "protocol", f->type);
	c->hello = true;
}

static void open_requests(struct client *c, const struct frame *f)
{
	struct requests_open o;

	if (requests_open_decode(f->payload, f->len, &o) < 0) {
		stream_refuse(&c->stream, "protocol", f->type);
		return;
	}
	hostclock_told(c->agent, o.time_ns);
	if (requests_begin(c) < 0)
		stream_refuse(&c->stream, "busy", f->type);
}

static void on_frame(void *user, const struct frame *f)
{
	struct client *c = user;

	if (c->ending || f->type == FRAME_ERROR)
		return; /* it does not know something of ours, and decides what then */
	if (f->type == FRAME_HELLO || !c->hello) {
		if (f->type == FRAME_HELLO)
			take_hello(c, f);
		else
			stream_refuse(&c->stream, "protocol", f->type);
		return;
	}
	if (c->ops) {
		c->ops->frame(c, f);
		return;
	}
	switch (f->type) {
	case FRAME_OPEN_EXEC:
		viewer_exec(c, f);
		return;
	case FRAME_OPEN_ATTACH:
		viewer_attach(c, f);
		return;
	case FRAME_OPEN_TCP:
		tcp_open(c, f);
		return;
	case FRAME_OPEN_FILE:
		files_open(c, f);
		return;
	case FRAME_OPEN_REQUESTS:
		open_requests(c, f);
		return;
	default:
		if (frame_is_known(f->type)) /* nothing is open that it could belong to */
			stream_refuse(&c->stream, "protocol", f->type);
		else
			stream_unsupported(&c->stream, f->type);
	}
}

static void on_drained(void *user)
{
	struct client *c = user;

	if (c->ending)
		defer(c->agent->loop, free_soon, c, &c->soon);
	else if (c->ops)
		c->ops->drained(c);
}

static void on_lost(void *user)
{
	client_free(user);
}

static const struct stream_ops stream_ops = {
	.frame = on_frame,
	.drained = on_drained,
	.lost = on_lost,
};

void client_accept(struct agent *a, int fd)
{
	struct hello h = { .min = AGENT_PROTO_MIN, .max = AGENT_PROTO_MAX };
	struct client *c = calloc(1, sizeof(*c));

	if (!c) {
		(void)close(fd);
		return;
	}
	c->agent = a;
	c->next = a->clients;
	a->clients = c;
	a->n_clients++;
	if (stream_init(&c->stream, a->loop, fd, &stream_ops, c) < 0 ||
	    hello_encode(&c->stream.out, &h) < 0) {
		client_free(c);
		return;
	}
	stream_push(&c->stream);
	if (a->n_clients > CLIENTS_MAX)
		stream_refuse(&c->stream, "busy", 0);
}
