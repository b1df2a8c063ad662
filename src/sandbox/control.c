/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/control.h"

#include <sys/socket.h>

#include "base/log.h"
#include "proto/frame.h"

int control_parse(const void *data, size_t len, struct control_request *ret, size_t *ret_used)
{
	struct control_request request = { 0 };
	struct frame f;
	int64_t n = len > 0 ? frame_next(data, len, &f) : 0;

	if (n < 0 || (n == 0 && len >= CONTROL_MAX_BYTES))
		return -EPROTO;
	if (n == 0)
		return 0;
	request.type = f.type;
	if (f.type == FRAME_STOP) {
		if (stop_request_decode(f.payload, f.len, &request.stop) < 0)
			return -EPROTO;
	} else if ((f.type != FRAME_WATCH && f.type != FRAME_TOUCH) || f.len > 0) {
		return -EPROTO;
	}
	*ret = request;
	*ret_used = (size_t)n;
	return 1;
}

static void drop(struct control_client *cl)
{
	loop_remove(cl->control->loop, &cl->id);
	(void)close(cl->fd);
	cl->fd = -1;
	cl->watches = false;
	buf_done(&cl->in);
}

/* What does not fit the socket of a client that does not read is not said to it. */
static void say(struct control_client *cl, uint16_t type, const void *payload, size_t len)
{
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, FRAME_HEADER + len);
	if (frame_add(&b, type, 0, payload, len) < 0 ||
	    send(cl->fd, b.data, b.len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)b.len)
		log_debug("a client of the control socket does not listen");
}

static void take_request(struct control_client *cl, const struct control_request *request)
{
	struct control *c = cl->control;

	switch (request->type) {
	case FRAME_STOP:
		c->events->stop(c->user, &request->stop);
		break;
	case FRAME_TOUCH:
		c->events->touch(c->user);
		break;
	default:
		cl->watches = true;
		if (c->ready)
			say(cl, FRAME_LAUNCH_READY, NULL, 0);
	}
}

static void client_ready(void *user, uint32_t events)
{
	struct control_client *cl = user;
	void *room = buf_room(&cl->in, CONTROL_MAX_BYTES);
	struct control_request request;
	size_t used = 0;
	ssize_t n;
	int r;

	n = room ? recv(cl->fd, room, CONTROL_MAX_BYTES, MSG_DONTWAIT) : 0;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop(cl);
		return;
	}
	buf_grew(&cl->in, (size_t)n);
	while ((r = control_parse(cl->in.data, cl->in.len, &request, &used)) > 0) {
		buf_take(&cl->in, used);
		take_request(cl, &request);
	}
	if (r < 0) {
		log_warn("a client of the control socket broke the protocol");
		drop(cl);
	}
}

static void accepted(void *user, int fd)
{
	struct control *c = user;

	for (size_t i = 0; i < CONTROL_MAX_CLIENTS; i++) {
		struct control_client *cl = &c->clients[i];

		if (cl->fd >= 0)
			continue;
		buf_init(&cl->in, 2ul * CONTROL_MAX_BYTES);
		cl->fd = fd;
		if (loop_add_fd(c->loop, fd, EPOLLIN, client_ready, cl, &cl->id) < 0)
			drop(cl);
		return;
	}
	(void)close(fd);
	log_warn("too many clients on the control socket");
}

void control_ready(struct control *c)
{
	c->ready = true;
	for (size_t i = 0; i < CONTROL_MAX_CLIENTS; i++)
		if (c->clients[i].fd >= 0 && c->clients[i].watches)
			say(&c->clients[i], FRAME_LAUNCH_READY, NULL, 0);
}

void control_ended(struct control *c, const void *record, size_t len)
{
	for (size_t i = 0; i < CONTROL_MAX_CLIENTS; i++)
		if (c->clients[i].fd >= 0)
			say(&c->clients[i], FRAME_ENDED, record, len);
}

int control_init(struct control *c, struct loop *loop, int listen_fd,
		 const struct control_events *events, void *user)
{
	*c = (struct control){ .loop = loop, .events = events, .user = user };
	for (size_t i = 0; i < CONTROL_MAX_CLIENTS; i++)
		c->clients[i] = (struct control_client){ .control = c, .fd = -1 };
	return listener_init(&c->listener, loop, listen_fd, accepted, c);
}

void control_done(struct control *c)
{
	if (!c->loop)
		return;
	listener_done(&c->listener);
	for (size_t i = 0; i < CONTROL_MAX_CLIENTS; i++)
		if (c->clients[i].fd >= 0)
			drop(&c->clients[i]);
}
