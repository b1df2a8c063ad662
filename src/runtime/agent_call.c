/* SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "proto/frame.h"
#include "proto/request.h"
#include "runtime/conversation.h"
#include "runtime/internal.h"

#define CALL_MS	   30000       /* default time-out */
#define READ_CHUNK (64u << 10) /* bytes */

int conversation_lost(const struct conversation *c, struct err *err)
{
	err_set(err, ERR_BUSY, "sandbox '%s' ended meanwhile", c->sb->name);
	return err_detail(err, ERR_NR_NOT_RUNNING, c->sb->name);
}

/* Until the socket is ready. */
int conversation_wait(const struct conversation *c, short events, struct err *err)
{
	struct pollfd p = { .fd = c->fd, .events = events };
	uint64_t now = clock_now_ns();
	int64_t ms = -1;
	int r;

	if (c->deadline_ns)
		ms = now < c->deadline_ns ? (int64_t)((c->deadline_ns - now) / NS_PER_MS) + 1 : 0;
	r = cancel_poll(c->cancel, &p, 1, ms, err);
	if (r == 0)
		return err_set(err, ERR_TIMEOUT, "the agent of sandbox '%s' does not answer",
			       c->sb->name);
	return r < 0 ? r : 0;
}

int conversation_send(const struct conversation *c, struct buf *b, struct err *err)
{
	while (b->len > 0) {
		ssize_t n = send(c->fd, b->data, b->len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0) {
			buf_take(b, (size_t)n);
		} else if (errno == EAGAIN) {
			int r = conversation_wait(c, POLLOUT, err);

			if (r < 0)
				return r;
		} else if (errno != EINTR) {
			return conversation_lost(c, err);
		}
	}
	return 0;
}

/* The next frame; it lies in @in until the caller takes *ret_len bytes off. */
int conversation_next(const struct conversation *c, struct buf *in, struct frame *ret,
		      size_t *ret_len, struct err *err)
{
	for (;;) {
		int64_t took = frame_next(in->data, in->len, ret);
		size_t room = in->max - in->len < READ_CHUNK ? in->max - in->len : READ_CHUNK;
		ssize_t n;
		void *p;
		int r;

		if (took > 0) {
			*ret_len = (size_t)took;
			return 0;
		}
		p = took < 0 ? NULL : buf_room(in, room);
		if (!p)
			return took < 0 ? err_set(err, ERR_PROTOCOL,
						  "the agent of the guest broke "
						  "the protocol")
					: err_no_memory(err);
		r = conversation_wait(c, POLLIN, err);
		if (r < 0)
			return r;
		n = recv(c->fd, p, room, MSG_DONTWAIT);
		if (n > 0)
			buf_grew(in, (size_t)n);
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			return conversation_lost(c, err);
	}
}

/* The guest's words are shown, but choose among our errors. */
static int refused(const struct frame *f, struct err *err)
{
	static const struct {
		const char *kind;
		enum err_code code;
	} kinds[] = {
		{ "gone", ERR_NOT_FOUND },
		{ "not-found", ERR_NOT_FOUND },
		{ "timeout", ERR_TIMEOUT },
		{ "busy", ERR_BUSY },
	};
	struct failure x;

	if (failure_decode(f->payload, f->len, &x) < 0)
		return err_set(err, ERR_PROTOCOL, "the agent of the guest broke the protocol");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(x.kind, kinds[i].kind) != 0)
			continue;
		err_set(err, kinds[i].code, "the guest: %s", x.message);
		err_detail(err, ERR_NR_NONE, x.subject);
		return err_reason(err, kinds[i].kind);
	}
	err_set(err, ERR_IO, "the guest: %s", x.message);
	return err_detail(err, ERR_NR_NONE, x.subject);
}

static int take_answer(const struct frame *f, uint16_t answer, struct buf *ret_payload,
		       struct err *err)
{
	struct proto_error x;

	if (f->type == answer)
		return buf_add(ret_payload, f->payload, f->len) < 0 ? err_no_memory(err) : 1;
	if (f->type == FRAME_FAILED)
		return refused(f, err);
	if (f->type == FRAME_ERROR && proto_error_decode(f->payload, f->len, &x) >= 0) {
		if (strcmp(x.code, "busy") == 0)
			return err_set(err, ERR_BUSY, "the sandbox has too many clients already");
		return err_set(err, ERR_PROTOCOL, "the agent refused the request: %s", x.code);
	}
	/* A newer agent may say more. */
	return frame_is_known(f->type)
		       ? err_set(err, ERR_PROTOCOL, "the agent of the guest broke the protocol")
		       : 0;
}

static int read_answer(const struct conversation *c, uint16_t answer, struct buf *ret_payload,
		       struct err *err)
{
	AUTO(buf_done) struct buf in = { .max = FRAME_HEADER + FRAME_MAX_PAYLOAD };
	bool greeted = false;
	int r = 0;

	while (r == 0) {
		struct hello hello;
		struct frame f;
		size_t len;

		r = conversation_next(c, &in, &f, &len, err);
		if (r < 0)
			return r;
		if (greeted || f.type != FRAME_HELLO) {
			r = take_answer(&f, answer, ret_payload, err);
		} else if (hello_decode(f.payload, f.len, &hello) < 0 || hello_agree(&hello) < 0) {
			return err_set(err, ERR_PROTOCOL,
				       "the agent of the guest speaks another protocol version");
		} else {
			greeted = true;
		}
		buf_take(&in, len);
	}
	return r < 0 ? r : 0;
}

int agent_call(const struct sandbox *sb, struct buf *request, int encoded, uint16_t answer,
	       const struct call *call, struct buf *ret_payload, struct err *err)
{
	struct hello hello = { .min = AGENT_PROTO_MIN, .max = AGENT_PROTO_MAX };
	struct requests_open open = { .time_ns = clock_wall_ns() };
	AUTO(buf_done) struct buf out = { .max = 65536 };
	AUTO_CLOSE int fd = -1;
	struct conversation c = { .sb = sb, .cancel = call_cancel(call) };
	int r = encoded;

	if (!call || !call->has_deadline)
		c.deadline_ns = clock_now_ns() + CALL_MS * NS_PER_MS;
	if (r >= 0)
		r = hello_encode(&out, &hello);
	if (r >= 0)
		r = requests_open_encode(&out, &open);
	if (r >= 0)
		r = buf_add(&out, request->data, request->len);
	buf_done(request);
	if (r < 0)
		return err_no_memory(err);
	r = sandbox_connect(sb, &fd, err);
	c.fd = fd;
	if (r == 0)
		r = conversation_send(&c, &out, err);
	return r < 0 ? r : read_answer(&c, answer, ret_payload, err);
}
