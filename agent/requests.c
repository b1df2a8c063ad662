/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: requests
 *
 * One at a time: while a worker is at it the stream is paused, so answers come in the order of
 * the requests.  Who wants two at once opens two connections.  Nothing here ends the machine:
 * that is the host's control stream alone.
 */
#include "requests.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "freezer.h"
#include "hostclock.h"
#include "ports.h"
#include "session.h"
#include "stats.h"
#include "worker.h"

#define PING_MAX 64 /* bytes */

struct requests {
	struct client *client; /* borrowed; it ends us */
	struct worker *worker; /* owned, while one is at it */
	uint16_t type;	       /* of what it does */
};

/* Bytes or an error are in the buffer: send them. */
static void send_out(struct stream *s, int r, uint16_t type)
{
	if (r < 0)
		stream_refuse(s, "busy", type);
	else
		stream_push(s);
}

static void done(struct stream *s, uint16_t type)
{
	send_out(s, frame_add(&s->out, FRAME_DONE, 0, NULL, 0), type);
}

static void failed(struct stream *s, uint16_t type, const char *kind, int sys, const char *subject,
		   const char *what)
{
	struct failure f;

	(void)fail(&f, "request", sys, subject, "%s", what);
	(void)snprintf(f.kind, sizeof(f.kind), "%s", kind);
	send_out(s, failure_encode(&s->out, FRAME_FAILED, &f), type);
}

bool requests_quick(struct agent *a, struct stream *s, const struct frame *f)
{
	struct clock_request clock;
	struct drain_request drain;

	if (f->type == FRAME_PING) {
		if (f->len > PING_MAX)
			stream_refuse(s, "protocol", f->type);
		else
			send_out(s, frame_add(&s->out, FRAME_PONG, 0, f->payload, f->len), f->type);
	} else if (f->type == FRAME_CLOCK) {
		if (clock_request_decode(f->payload, f->len, &clock) < 0) {
			stream_refuse(s, "protocol", f->type);
			return true;
		}
		hostclock_told(a, clock.time_ns);
		done(s, f->type);
	} else if (f->type == FRAME_DRAIN) {
		if (drain_request_decode(f->payload, f->len, &drain) < 0) {
			stream_refuse(s, "protocol", f->type);
			return true;
		}
		a->draining = !drain.off;
		done(s, f->type);
	} else {
		return false;
	}
	return true;
}

static void list(struct requests *q)
{
	struct stream *s = &q->client->stream;
	struct session_list l;
	int r = session_list_make(q->client->agent, &l);

	if (r >= 0)
		r = session_list_encode(&s->out, &l);
	session_list_done(&l);
	send_out(s, r, FRAME_SESSIONS);
}

static void kill_session(struct requests *q, const struct frame *f)
{
	struct stream *stream = &q->client->stream;
	struct kill_request req;
	struct session *s;
	char subject[24];
	int r;

	if (kill_request_decode(f->payload, f->len, &req) < 0) {
		stream_refuse(stream, "protocol", f->type);
		return;
	}
	(void)snprintf(subject, sizeof(subject), "%llu", (unsigned long long)req.session);
	s = session_find(q->client->agent, req.session);
	if (!s) {
		failed(stream, f->type, "not-found", 0, subject, "there is no such session");
		return;
	}
	r = session_kill(s, (int)req.signal, req.scope);
	if (r == -ESRCH)
		failed(stream, f->type, "gone", ESRCH, subject, "the session has ended");
	else if (r < 0)
		failed(stream, f->type, "other", -r, subject, "send the signal");
	else
		done(stream, f->type);
}

/* ---- what takes its time ---- */

static void on_stats(struct requests *q, const void *result, size_t len)
{
	struct agent *a = q->client->agent;
	struct stream *s = &q->client->stream;
	struct guest_stats stats;

	if (len != sizeof(stats)) {
		failed(s, q->type, "other", 0, "/proc", "read the guest's figures");
		return;
	}
	memcpy(&stats, result, sizeof(stats));
	stats.n_sessions = a->n_live;
	stats.n_clients = a->n_clients;
	stats.buffer_bytes = a->buffer_bytes;
	send_out(s, guest_stats_encode(&s->out, &stats), q->type);
}

static void on_port(struct requests *q, const void *result, size_t len)
{
	int r = -ECHILD;

	if (len == sizeof(r))
		memcpy(&r, result, sizeof(r));
	if (r == 0)
		done(&q->client->stream, q->type);
	else
		failed(&q->client->stream, q->type, r == -ETIMEDOUT ? "timeout" : "other", -r,
		       "port", "wait for the port");
}

static void on_result(void *user, const void *result, size_t len)
{
	struct requests *q = user;

	q->worker = NULL;
	if (q->type == FRAME_STATS)
		on_stats(q, result, len);
	else
		on_port(q, result, len);
	stream_resume(&q->client->stream);
}

static void start(struct requests *q, uint16_t type, void (*work)(const void *arg, int fd),
		  const void *arg)
{
	int r = worker_start(q->client->agent, work, arg, on_result, q, &q->worker);

	q->type = type;
	if (r < 0)
		failed(&q->client->stream, type, "busy", -r, "fork", "start a process");
	else
		stream_pause(&q->client->stream);
}

static void wait_port(struct requests *q, const struct frame *f)
{
	struct wait_port_request req;

	if (wait_port_request_decode(f->payload, f->len, &req) < 0)
		stream_refuse(&q->client->stream, "protocol", f->type);
	else
		start(q, f->type, ports_wait, &req);
}

static void on_frozen(void *user, int r)
{
	struct client *c = user;
	struct requests *q = c->user;

	if (r < 0)
		failed(&c->stream, q->type, r == -EBUSY ? "busy" : "other", -r, "/",
		       q->type == FRAME_FREEZE ? "freeze the root disk" : "thaw the root disk");
	else
		done(&c->stream, q->type);
	stream_resume(&c->stream);
}

static void freeze(struct requests *q, uint16_t type)
{
	struct client *c = q->client;

	q->type = type;
	stream_pause(&c->stream);
	if (type == FRAME_FREEZE)
		freezer_freeze(c->agent, on_frozen, c);
	else
		freezer_thaw(c->agent, on_frozen, c);
}

static void on_frame(struct client *c, const struct frame *f)
{
	struct requests *q = c->user;

	if (requests_quick(c->agent, &c->stream, f))
		return;
	switch (f->type) {
	case FRAME_SESSIONS:
		list(q);
		return;
	case FRAME_STATS:
		start(q, f->type, stats_read, NULL);
		return;
	case FRAME_KILL:
		kill_session(q, f);
		return;
	case FRAME_WAIT_PORT:
		wait_port(q, f);
		return;
	case FRAME_FREEZE:
	case FRAME_THAW:
		freeze(q, f->type);
		return;
	case FRAME_SHUTDOWN: /* only of the control stream, but no error of the protocol */
		stream_unsupported(&c->stream, f->type);
		return;
	default:
		if (frame_is_known(f->type))
			stream_refuse(&c->stream, "protocol", f->type);
		else
			stream_unsupported(&c->stream, f->type);
	}
}

static void on_drained(struct client *c)
{
}

static void on_lost(struct client *c)
{
	struct requests *q = c->user;

	worker_cancel(q->worker);
	freezer_forget(c->agent, c);
	free(q);
}

static const struct client_ops requests_ops = {
	.frame = on_frame,
	.drained = on_drained,
	.lost = on_lost,
};

int requests_begin(struct client *c)
{
	struct requests *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	q->client = c;
	c->ops = &requests_ops;
	c->user = q;
	return 0;
}
