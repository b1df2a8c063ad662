/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/keeper.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/io.h"
#include "proto/agent.h"

#define READ_BYTES 65536 /* of one event */
#define OPEN_MAX   4096	 /* bytes of hello and attach */

struct keeper_stream {
	struct keeper *keeper; /* borrowed */
	LIST_ENTRY(keeper_stream) link;
	int fd; /* owned */
	loop_id id;
};

static void stream_free(struct keeper_stream *s)
{
	loop_remove(s->keeper->loop, &s->id);
	LIST_REMOVE(s, link);
	(void)close(s->fd);
	free(s);
}

static void stream_ready(void *user, uint32_t events)
{
	struct keeper_stream *s = user;
	char dropped[READ_BYTES];
	ssize_t n = recv(s->fd, dropped, sizeof(dropped), MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		stream_free(s);
}

/* What the stream begins with. */
static int send_open(int fd, const struct tap_left *left)
{
	struct hello hello = { .min = AGENT_PROTO_MIN, .max = AGENT_PROTO_MAX };
	struct attach_request request = {
		.session = left->session,
		.out_from = left->at[0],
		.err_from = left->at[1],
		.watch = true,
	};
	AUTO(buf_done) struct buf b = { 0 };
	int r;

	buf_init(&b, OPEN_MAX);
	r = hello_encode(&b, &hello);
	if (r == 0)
		r = attach_request_encode(&b, &request);
	if (r < 0)
		return r;
	/* A few bytes into an empty socket go out whole. */
	return send(fd, b.data, b.len, MSG_NOSIGNAL) == (ssize_t)b.len ? 0 : -EIO;
}

int keeper_watch(struct keeper *k, const struct tap_left *left)
{
	AUTO_FREE struct keeper_stream *s = calloc(1, sizeof(*s));
	AUTO_CLOSE int ours = -1;
	AUTO_CLOSE int theirs = -1;
	int pair[2], r;

	if (!s)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	ours = pair[0];
	theirs = pair[1];
	r = send_open(ours, left);
	if (r == 0)
		r = io_set_nonblock(theirs, 1);
	if (r == 0)
		r = loop_add_fd(k->loop, ours, EPOLLIN, stream_ready, s, &s->id);
	if (r < 0)
		return r;
	r = vsock_connect_tapped(k->vsock, AGENT_PORT, TAKE_FD(theirs), tap_again(k->taps));
	if (r < 0) {
		loop_remove(k->loop, &s->id);
		return r;
	}
	s->keeper = k;
	s->fd = TAKE_FD(ours);
	LIST_INSERT_HEAD(&k->streams, s, link);
	(void)TAKE_PTR(s);
	return 0;
}

void keeper_init(struct keeper *k, struct loop *loop, struct virtio_device *vsock,
		 struct taps *taps)
{
	*k = (struct keeper){ .loop = loop, .vsock = vsock, .taps = taps };
	LIST_INIT(&k->streams);
}

void keeper_done(struct keeper *k)
{
	while (!LIST_EMPTY(&k->streams))
		stream_free(LIST_FIRST(&k->streams));
}
