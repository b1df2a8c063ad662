/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/agent_channel.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "proto/frame.h"
#include "proto/request.h"

#define READ_BYTES 16384			   /* of one event */
#define OUT_MAX	   (AGENT_BOOT_MAX + 256 * 1024ul) /* bytes; the boot message and its headers */

enum channel_state {
	CHANNEL_WAITING, /* nobody connected */
	CHANNEL_HELLO,	 /* hello and boot message are on their way; its hello is due */
	CHANNEL_BOOTING, /* progress, ready or failed may come */
	CHANNEL_READY,	 /* sessions may come */
	CHANNEL_DEAD,	 /* the stream has ended */
};

struct agent_channel {
	struct loop *loop; /* borrowed */
	const struct agent_events *events;
	void *user;
	enum channel_state state;
	int boot_fd; /* owned; -1 once sent */
	int fd;	     /* owned; -1 */
	loop_id id;
	struct buf in, out;
	unsigned n_progress;
};

int agent_channel_new(struct loop *loop, int boot_fd, const struct agent_events *events, void *user,
		      struct agent_channel **ret_channel)
{
	struct agent_channel *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	*c = (struct agent_channel){
		.loop = loop, .events = events, .user = user, .boot_fd = boot_fd, .fd = -1
	};
	buf_init(&c->in, AGENT_MAX_PAYLOAD + FRAME_HEADER + READ_BYTES);
	buf_init(&c->out, OUT_MAX);
	*ret_channel = c;
	return 0;
}

static void close_stream(struct agent_channel *c)
{
	loop_remove(c->loop, &c->id);
	if (c->fd >= 0)
		(void)close(c->fd);
	c->fd = -1;
	buf_done(&c->in);
	buf_done(&c->out);
}

void agent_channel_free(struct agent_channel *c)
{
	if (!c)
		return;
	close_stream(c);
	if (c->boot_fd >= 0)
		(void)close(c->boot_fd);
	free(c);
}

static void lose(struct agent_channel *c, const char *why)
{
	if (c->state == CHANNEL_DEAD)
		return;
	c->state = CHANNEL_DEAD;
	close_stream(c);
	c->events->lost(c->user, why);
}

/* Send what there is; wait for room for the rest. */
static void flush_out(struct agent_channel *c)
{
	while (c->out.len > 0) {
		ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			lose(c, NULL);
			return;
		}
		if (n < 0)
			break;
		buf_take(&c->out, (size_t)n);
	}
	loop_set_events(c->loop, c->id, c->out.len > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* Whether the agent's word for a stage may go to logs and clients. */
static bool stage_is_plain(const char *stage)
{
	size_t n = strspn(stage, "abcdefghijklmnopqrstuvwxyz-");

	return n > 0 && stage[n] == '\0';
}

/* NULL, or what is wrong with the frame. */
static const char *take_hello(struct agent_channel *c, const struct frame *f)
{
	struct hello hello;

	if (f->type != FRAME_HELLO || hello_decode(f->payload, f->len, &hello) < 0)
		return "it did not say hello";
	if (hello_agree(&hello) < 0)
		return "its protocol version is not ours";
	c->state = CHANNEL_BOOTING;
	return NULL;
}

static const char *take_booting(struct agent_channel *c, const struct frame *f)
{
	char stage[PROGRESS_STAGE_MAX];
	struct failure failure;

	switch (f->type) {
	case FRAME_PROGRESS:
		if (progress_decode(f->payload, f->len, stage) < 0 || !stage_is_plain(stage) ||
		    ++c->n_progress > AGENT_MAX_PROGRESS)
			return "bad progress";
		c->events->progress(c->user, stage);
		return NULL;
	case FRAME_READY:
		c->state = CHANNEL_READY;
		c->events->ready(c->user);
		return NULL;
	case FRAME_BOOT_FAILED:
		if (failure_decode(f->payload, f->len, &failure) < 0)
			return "bad failure";
		c->events->boot_failed(c->user, &failure);
		return NULL;
	default:
		return "a frame that does not belong to the boot";
	}
}

static const char *take_ready(struct agent_channel *c, const struct frame *f)
{
	struct proto_error unsupported = { .code = "unsupported", .type = f->type };
	struct session_event event;

	switch (f->type) {
	case FRAME_SESSION:
		if (session_event_decode(f->payload, f->len, &event) < 0)
			return "bad session event";
		c->events->session(c->user, &event);
		return NULL;
	case FRAME_FLUSHED:
		c->events->flushed(c->user);
		return NULL;
	case FRAME_PONG:
	case FRAME_DONE:
		return NULL;
	case FRAME_ERROR:
		return "it found an error in what we sent";
	default:
		if (proto_error_encode(&c->out, &unsupported) < 0)
			return "too many unknown frames";
		flush_out(c);
		return NULL;
	}
}

static const char *take_frame(struct agent_channel *c, const struct frame *f)
{
	if (f->len > AGENT_MAX_PAYLOAD)
		return "a frame that is too long";
	switch (c->state) {
	case CHANNEL_HELLO:
		return take_hello(c, f);
	case CHANNEL_BOOTING:
		return take_booting(c, f);
	case CHANNEL_READY:
		return take_ready(c, f);
	case CHANNEL_WAITING:
	case CHANNEL_DEAD:
		break;
	}
	return NULL;
}

static void take_frames(struct agent_channel *c)
{
	struct frame f;
	size_t done = 0;

	while (c->state != CHANNEL_DEAD) {
		int64_t n = frame_next(c->in.data + done, c->in.len - done, &f);
		const char *wrong;

		if (n == 0)
			break;
		wrong = n < 0 ? "a frame of impossible length" : take_frame(c, &f);
		if (wrong) {
			log_guest("the agent broke the protocol: %s", wrong);
			lose(c, wrong);
			return;
		}
		done += (size_t)n;
	}
	if (c->state == CHANNEL_DEAD)
		return;
	buf_take(&c->in, done);
	if (c->in.len > AGENT_MAX_PAYLOAD + FRAME_HEADER)
		lose(c, "a frame that is too long");
}

static void channel_ready(void *user, uint32_t events)
{
	struct agent_channel *c = user;
	ssize_t n;
	void *room;

	if (events & EPOLLOUT) {
		flush_out(c);
		if (c->state == CHANNEL_DEAD)
			return;
	}
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	room = buf_room(&c->in, READ_BYTES);
	if (!room) {
		lose(c, "out of memory");
		return;
	}
	n = recv(c->fd, room, READ_BYTES, MSG_DONTWAIT);
	if (n > 0) {
		buf_grew(&c->in, (size_t)n);
		take_frames(c);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		lose(c, NULL);
	}
}

/* Hello, and the boot message as it is. */
static int fill_out(struct agent_channel *c)
{
	struct hello hello = { .min = AGENT_PROTO_MIN, .max = AGENT_PROTO_MAX };
	struct stat st;
	ssize_t n;
	void *room;
	int r = hello_encode(&c->out, &hello);

	if (r < 0)
		return r;
	if (fstat(c->boot_fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size > OUT_MAX - c->out.len)
		return -EMSGSIZE;
	room = buf_room(&c->out, (size_t)st.st_size + 1);
	if (!room)
		return -ENOMEM;
	n = io_pread_full(c->boot_fd, room, (size_t)st.st_size, 0);
	if (n < 0)
		return (int)n;
	buf_grew(&c->out, (size_t)n);
	(void)close(TAKE_FD(c->boot_fd));
	return 0;
}

int agent_channel_accept(struct agent_channel *c)
{
	int pair[2], r;

	if (c->state != CHANNEL_WAITING)
		return -EBUSY;
	r = fill_out(c);
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	r = loop_add_fd(c->loop, pair[0], EPOLLIN | EPOLLOUT, channel_ready, c, &c->id);
	if (r < 0) {
		(void)close(pair[0]);
		(void)close(pair[1]);
		return r;
	}
	c->fd = pair[0];
	c->state = CHANNEL_HELLO;
	c->events->connected(c->user);
	return pair[1];
}

int agent_channel_shutdown(struct agent_channel *c, uint32_t grace_ms, uint32_t signal)
{
	struct shutdown_request request = { .grace_ms = grace_ms, .signal = signal };
	int r;

	if (c->state != CHANNEL_READY)
		return -ENOTCONN;
	r = shutdown_request_encode(&c->out, &request);
	if (r < 0)
		return r;
	loop_set_events(c->loop, c->id, EPOLLIN | EPOLLOUT);
	return 0;
}

int agent_channel_clock(struct agent_channel *c)
{
	struct clock_request request = { .time_ns = clock_wall_ns() };
	int r;

	if (c->state != CHANNEL_READY)
		return -ENOTCONN;
	r = clock_request_encode(&c->out, &request);
	if (r < 0)
		return r;
	loop_set_events(c->loop, c->id, EPOLLIN | EPOLLOUT);
	return 0;
}

int agent_channel_drain(struct agent_channel *c)
{
	struct drain_request request = { 0 };
	int r;

	if (c->state != CHANNEL_READY)
		return -ENOTCONN;
	r = drain_request_encode(&c->out, &request);
	if (r < 0)
		return r;
	loop_set_events(c->loop, c->id, EPOLLIN | EPOLLOUT);
	return 0;
}
