/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: TCP streams
 *
 * Bytes to the guest wait in `in` until the socket takes them, and the client is not read
 * beyond IN_PAUSE; bytes to the client are read from the socket only while the stream is
 * empty.  Each direction ends by itself; when both have, or the connection breaks, the
 * client is lost.
 */
#include "tcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "hostclock.h"

#define IN_PAUSE   (64u << 10)		       /* bytes that the socket did not take yet */
#define IN_MAX	   (IN_PAUSE + FRAME_MAX_DATA) /* one more frame may be on its way */
#define READ_CHUNK (64u << 10)		       /* bytes of one read */

struct tcp {
	struct client *client; /* borrowed; it ends us */
	uint16_t port;
	bool v6;	/* ::1 is tried, after 127.0.0.1 */
	bool connected; /* else connect() is under way */
	int fd;		/* owned */
	loop_id id;
	struct buf in;
	bool in_eof;  /* no more bytes from the client */
	bool in_done; /* and the socket knows */
	bool out_eof; /* no more bytes from the socket; the client knows */
};

static void on_event(void *user, uint32_t events);

static void tcp_free(struct tcp *t)
{
	loop_remove(t->client->agent->loop, &t->id);
	close_auto(&t->fd);
	buf_done(&t->in);
	free(t);
}

static int start_connect(struct tcp *t)
{
	struct sockaddr_in v4 = {
		.sin_family = AF_INET,
		.sin_port = htons(t->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct sockaddr_in6 v6 = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(t->port),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT,
	};
	const struct sockaddr *addr = t->v6 ? (void *)&v6 : (void *)&v4;
	socklen_t len = t->v6 ? sizeof(v6) : sizeof(v4);

	t->fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (t->fd < 0)
		return -errno;
	if (connect(t->fd, addr, len) < 0 && errno != EINPROGRESS)
		return -errno;
	return loop_add_fd(t->client->agent->loop, t->fd, EPOLLOUT, on_event, t, &t->id);
}

static void failed(struct tcp *t, int sys)
{
	loop_remove(t->client->agent->loop, &t->id);
	if (client_usable(t->client))
		client_fail(t->client, sys == ECONNREFUSED ? "not-found" : "other", sys, "tcp",
			    t->connected ? "use the connection" : "connect to the port");
}

/* 127.0.0.1 did not answer: ::1 may. */
static void connect_failed(struct tcp *t, int sys)
{
	int r;

	if (t->v6) {
		failed(t, sys);
		return;
	}
	loop_remove(t->client->agent->loop, &t->id);
	close_auto(&t->fd);
	t->v6 = true;
	r = start_connect(t);
	if (r < 0)
		failed(t, sys); /* the first cause says more than "no IPv6 here" */
}

static void watch(struct tcp *t)
{
	bool usable = client_usable(t->client);
	uint32_t events = 0;

	if (!t->connected)
		return;
	if (usable && t->in.len > 0)
		events |= EPOLLOUT;
	if (usable && !t->out_eof && stream_idle(&t->client->stream))
		events |= EPOLLIN;
	/* With nothing to wait for, a HUP would be reported again and again. */
	if (events == 0) {
		loop_remove(t->client->agent->loop, &t->id);
		return;
	}
	if (t->id)
		loop_set_events(t->client->agent->loop, t->id, events);
	else if (loop_add_fd(t->client->agent->loop, t->fd, events, on_event, t, &t->id) < 0)
		failed(t, ENOMEM);
}

static void check_end(struct tcp *t)
{
	if (t->in_done && t->out_eof && client_usable(t->client))
		client_finish(t->client);
}

static void write_some(struct tcp *t)
{
	while (t->in.len > 0) {
		ssize_t n = send(t->fd, t->in.data, t->in.len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			failed(t, errno);
			return;
		}
		buf_take(&t->in, (size_t)n);
	}
	if (t->in.len < IN_PAUSE)
		stream_resume(&t->client->stream);
	if (t->in.len == 0 && t->in_eof && !t->in_done) {
		(void)shutdown(t->fd, SHUT_WR);
		t->in_done = true;
		check_end(t);
	}
}

static void read_some(struct tcp *t)
{
	struct buf *out = &t->client->stream.out;
	size_t at;
	ssize_t n;
	void *p;

	if (!client_usable(t->client) || !stream_idle(&t->client->stream))
		return;
	if (frame_begin(out, FRAME_TCP_DATA, &at) < 0) {
		failed(t, ENOMEM);
		return;
	}
	p = buf_room(out, READ_CHUNK);
	errno = ENOMEM;
	n = p ? recv(t->fd, p, READ_CHUNK, MSG_DONTWAIT) : -1;
	if (n > 0) {
		buf_grew(out, (size_t)n);
		if (frame_end(out, at) < 0)
			failed(t, ENOMEM);
		stream_push(&t->client->stream);
		return;
	}
	out->len = at;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0 || frame_add(out, FRAME_TCP_EOF, 0, NULL, 0) < 0) {
		failed(t, errno);
		return;
	}
	t->out_eof = true;
	stream_push(&t->client->stream);
	check_end(t);
}

static void connected(struct tcp *t)
{
	int sys = 0;
	socklen_t len = sizeof(sys);

	if (getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &sys, &len) < 0)
		sys = errno;
	if (sys) {
		connect_failed(t, sys);
		return;
	}
	t->connected = true;
	if (frame_add(&t->client->stream.out, FRAME_CONNECTED, 0, NULL, 0) < 0) {
		failed(t, ENOMEM);
		return;
	}
	stream_push(&t->client->stream);
	write_some(t);
	watch(t);
}

static void on_event(void *user, uint32_t events)
{
	struct tcp *t = user;

	if (!t->connected) {
		connected(t);
		return;
	}
	if (events & (EPOLLOUT | EPOLLERR))
		write_some(t);
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		read_some(t);
	watch(t);
}

static void on_frame(struct client *c, const struct frame *f)
{
	struct tcp *t = c->user;

	if (f->type != FRAME_TCP_DATA && f->type != FRAME_TCP_EOF) {
		if (frame_is_known(f->type))
			stream_refuse(&c->stream, "protocol", f->type);
		else
			stream_unsupported(&c->stream, f->type);
		return;
	}
	if (t->in_eof || f->len > FRAME_MAX_DATA || (f->type == FRAME_TCP_EOF && f->len > 0)) {
		stream_refuse(&c->stream, "protocol", f->type);
		return;
	}
	if (f->type == FRAME_TCP_EOF) {
		t->in_eof = true;
	} else if (buf_add(&t->in, f->payload, f->len) < 0) {
		stream_refuse(&c->stream, "busy", f->type);
		return;
	}
	if (t->in.len >= IN_PAUSE)
		stream_pause(&c->stream);
	if (!t->connected)
		return;
	write_some(t);
	watch(t);
}

static void on_drained(struct client *c)
{
	watch(c->user);
}

static void on_lost(struct client *c)
{
	tcp_free(c->user);
}

static const struct client_ops tcp_ops = {
	.frame = on_frame,
	.drained = on_drained,
	.lost = on_lost,
};

void tcp_open(struct client *c, const struct frame *f)
{
	struct tcp_request req;
	struct tcp *t;
	int r;

	if (tcp_request_decode(f->payload, f->len, &req) < 0 || req.port == 0) {
		stream_refuse(&c->stream, "protocol", f->type);
		return;
	}
	hostclock_told(c->agent, req.time_ns);
	if (c->agent->stopping) {
		stream_refuse(&c->stream, "stopping", f->type);
		return;
	}
	t = calloc(1, sizeof(*t));
	if (!t) {
		stream_refuse(&c->stream, "busy", f->type);
		return;
	}
	*t = (struct tcp){ .client = c, .port = req.port, .fd = -1 };
	buf_init(&t->in, IN_MAX);
	c->ops = &tcp_ops;
	c->user = t;
	r = start_connect(t);
	if (r < 0)
		connect_failed(t, -r);
}
