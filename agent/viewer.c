/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: viewers
 *
 * A viewer sends a session's output from its own offsets, one frame at a time and only while
 * its stream is empty, so that a slow client costs a frame of memory.  Once the end is known
 * and all output is sent, FRAME_EXITED is its last frame.
 */
#include "viewer.h"

#include <errno.h>
#include <string.h>

#include "hostclock.h"
#include "pty.h"

#define SEND_CHUNK (64u << 10) /* bytes of one frame */

static const struct client_ops viewer_ops;

static struct viewer *viewer_new(struct client *c)
{
	struct viewer *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->client = c;
	c->ops = &viewer_ops;
	c->user = v;
	return v;
}

/* ---- sending ---- */

static int put_gap(struct viewer *v, const struct output *o, uint64_t *at)
{
	struct output_gap gap = { .type = o->type, .bytes = o->ring.start - *at };
	int r = output_gap_encode(&v->client->stream.out, &gap);

	if (r >= 0)
		*at = o->ring.start;
	return r;
}

static int put_output(struct viewer *v, const struct output *o, uint64_t *at)
{
	size_t len;
	const void *p;
	int r;

	if (*at < o->ring.start)
		return put_gap(v, o, at);
	p = ring_at(&o->ring, *at, &len);
	if (len > SEND_CHUNK)
		len = SEND_CHUNK;
	r = frame_add(&v->client->stream.out, o->type, 0, p, len);
	if (r >= 0)
		*at += len;
	return r;
}

static int put_exited(struct viewer *v)
{
	struct exec_exited e;

	session_exit(v->session, &e);
	return exec_exited_encode(&v->client->stream.out, &e);
}

/* The next frame; 0: there is none now. */
static int put_next(struct viewer *v)
{
	struct session *s = v->session;

	for (int i = 0; i < 2; i++) {
		int which = (v->turn + i) % 2;
		const struct output *o = &s->out[which];

		if (v->at[which] >= o->ring.end)
			continue;
		v->turn = 1 - which;
		return put_output(v, o, &v->at[which]) < 0 ? -ENOMEM : 1;
	}
	return 0;
}

static void pump(struct viewer *v)
{
	struct client *c = v->client;
	int r = 1;

	while (v->started && client_usable(c) && stream_idle(&c->stream) && r > 0) {
		r = put_next(v);
		if (r > 0)
			stream_push(&c->stream);
	}
	if (r == 0 &&
	    (v->session->state == SESSION_FLUSHING || v->session->state == SESSION_ENDED)) {
		r = put_exited(v);
		if (r >= 0)
			client_finish(c);
	}
	if (r < 0)
		stream_refuse(&c->stream, "busy", 0);
}

void viewers_pump(struct session *s)
{
	for (struct viewer *v = s->viewers; v; v = v->next)
		pump(v);
}

/* ---- words to all ---- */

void viewers_say(struct session *s, uint16_t type)
{
	for (struct viewer *v = s->viewers; v; v = v->next) {
		struct stream *stream = &v->client->stream;

		if (!client_usable(v->client))
			continue;
		if (frame_add(&stream->out, type, 0, NULL, 0) < 0)
			stream_refuse(stream, "busy", 0);
		else
			stream_push(stream);
	}
}

static void say_started(struct viewer *v)
{
	struct session *s = v->session;
	struct exec_started e = {
		.session = s->id,
		.pid = (uint32_t)s->pid,
		.out_from = v->at[0],
		.err_from = v->at[1],
		.tty = s->req.tty,
		.main = s->req.main,
		.no_log = s->req.no_log,
	};

	v->started = true;
	if (!client_usable(v->client))
		return;
	if (exec_started_encode(&v->client->stream.out, &e) < 0)
		stream_refuse(&v->client->stream, "busy", FRAME_OPEN_EXEC);
	else
		stream_push(&v->client->stream);
}

void viewers_started(struct session *s)
{
	for (struct viewer *v = s->viewers; v; v = v->next)
		say_started(v);
}

void viewers_failed(struct session *s, const struct failure *f)
{
	for (struct viewer *v = s->viewers; v; v = v->next) {
		if (!client_usable(v->client))
			continue;
		if (failure_encode(&v->client->stream.out, FRAME_FAILED, f) < 0)
			stream_refuse(&v->client->stream, "busy", FRAME_OPEN_EXEC);
		else
			client_finish(v->client);
	}
}

static void say_input_closed(struct viewer *v)
{
	if (!client_usable(v->client))
		return;
	if (frame_add(&v->client->stream.out, FRAME_STDIN_CLOSED, 0, NULL, 0) < 0)
		stream_refuse(&v->client->stream, "busy", 0);
	else
		stream_push(&v->client->stream);
}

void viewers_input_taken(struct session *s, uint64_t bytes)
{
	struct stdin_taken taken = { .bytes = bytes };
	struct viewer *v = s->primary;

	if (!v || !v->started || !client_usable(v->client))
		return;
	if (stdin_taken_encode(&v->client->stream.out, &taken) < 0)
		stream_refuse(&v->client->stream, "busy", 0);
	else
		stream_push(&v->client->stream);
}

void viewers_input_closed(struct session *s)
{
	if (s->primary && s->state < SESSION_FLUSHING)
		say_input_closed(s->primary);
}

/* ---- frames ---- */

static void take_input(struct viewer *v, const struct frame *f)
{
	struct session *s = v->session;
	struct stream *stream = &v->client->stream;

	if (f->len > FRAME_MAX_DATA || s->input_eof) {
		stream_refuse(stream, "protocol", f->type);
		return;
	}
	/* CLOSED: the client knows, or did not open it. */
	if (input_add(s, f->payload, f->len) == INPUT_NO_MEMORY)
		stream_refuse(stream, "busy", f->type);
	if (input_is_full(s))
		stream_pause(stream);
}

static void take_resize(struct viewer *v, const struct frame *f)
{
	struct session *s = v->session;
	struct tty_size size;

	if (tty_size_decode(f->payload, f->len, &size) < 0)
		stream_refuse(&v->client->stream, "protocol", f->type);
	else if (s->req.tty && s->out[0].fd >= 0)
		pty_resize(s->out[0].fd, &size);
}

static void take_signal(struct viewer *v, const struct frame *f)
{
	uint32_t signal = 0;

	if (signal_decode(f->payload, f->len, &signal) < 0 || signal == 0)
		stream_refuse(&v->client->stream, "protocol", f->type);
	else
		IGNORE_RESULT(
			session_kill(v->session, (int)signal, KILL_GROUP)); /* EXITED says it */
}

static void on_frame(struct client *c, const struct frame *f)
{
	struct viewer *v = c->user;

	if (f->type < FRAME_STDIN || f->type > FRAME_SIGNAL || f->type == FRAME_STDIN_CLOSED) {
		if (frame_is_known(f->type))
			stream_refuse(&c->stream, "protocol", f->type);
		else
			stream_unsupported(&c->stream, f->type);
		return;
	}
	if (v->session->primary != v) {
		stream_answer(&c->stream, "watching", f->type);
		return;
	}
	if (f->type == FRAME_STDIN)
		take_input(v, f);
	else if (f->type == FRAME_STDIN_EOF)
		input_end(v->session);
	else if (f->type == FRAME_RESIZE)
		take_resize(v, f);
	else
		take_signal(v, f);
}

static void on_drained(struct client *c)
{
	struct viewer *v = c->user;

	pump(v);
	if (v->session->primary == v) {
		outputs_update(v->session);
		session_try_exited(v->session);
	}
}

static void on_lost(struct client *c)
{
	struct viewer *v = c->user;
	struct session *s = v->session;
	struct viewer **p = s ? &s->viewers : NULL;

	if (!s) {
		free(v);
		return;
	}
	while (*p != v)
		p = &(*p)->next;
	*p = v->next;
	if (s->primary == v) {
		s->primary = NULL;
		session_primary_lost(s);
	}
	session_trim(s);
	free(v);
}

static const struct client_ops viewer_ops = {
	.frame = on_frame,
	.drained = on_drained,
	.lost = on_lost,
};

/* ---- opening ---- */

static const char *why_not(const struct agent *a, int r)
{
	if (r < 0)
		return r == -EOPNOTSUPP ? "unsupported" : r == -ENOMEM ? "busy" : "protocol";
	return a->stopping ? "stopping" : a->draining ? "draining" : NULL;
}

void viewer_exec(struct client *c, const struct frame *f)
{
	struct exec_request req;
	int r = exec_request_decode(f->payload, f->len, &req);
	const char *no = why_not(c->agent, r);
	struct viewer *v = no ? NULL : viewer_new(c);

	if (r >= 0)
		hostclock_told(c->agent, req.time_ns);
	if (!v || !session_start(c->agent, &req, v)) {
		stream_refuse(&c->stream, no ? no : "busy", f->type);
		exec_request_done(&req);
	}
}

static uint64_t offset(uint64_t asked, const struct ring *r)
{
	return asked < r->end ? asked : r->end;
}

/* The input goes to another viewer; its former owner learns it as if the program had closed it. */
static void take_over(struct viewer *v)
{
	struct session *s = v->session;

	if (s->primary) {
		stream_resume(&s->primary->client->stream);
		say_input_closed(s->primary);
	}
	s->primary = v;
}

void viewer_attach(struct client *c, const struct frame *f)
{
	struct attach_request req;
	struct session *s;
	struct viewer *v;
	char subject[24];

	if (attach_request_decode(f->payload, f->len, &req) < 0) {
		stream_refuse(&c->stream, "protocol", f->type);
		return;
	}
	hostclock_told(c->agent, req.time_ns);
	s = session_find(c->agent, req.session);
	(void)snprintf(subject, sizeof(subject), "%llu", (unsigned long long)req.session);
	if (!s) {
		client_fail(c, "not-found", 0, subject, "there is no such session");
		return;
	}
	if (!req.watch && !req.steal && s->primary && s->state < SESSION_FLUSHING) {
		client_fail(c, "input-taken", 0, subject,
			    "another client has the input of the session");
		return;
	}
	v = viewer_new(c);
	if (!v) {
		stream_refuse(&c->stream, "busy", f->type);
		return;
	}
	v->session = s;
	v->next = s->viewers;
	s->viewers = v;
	v->at[0] = offset(req.out_from, &s->out[0].ring);
	v->at[1] = offset(req.err_from, &s->out[1].ring);
	if (!req.watch && s->state < SESSION_FLUSHING)
		take_over(v);
	say_started(v);
	if (s->primary == v && s->input_fd < 0)
		say_input_closed(v);
	pump(v);
	outputs_update(s);
}
