/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: one stream of vsock
 *
 * A stream joins a socket of the guest to a descriptor of the host, without a copy where that
 * is possible: payload of the guest goes from its buffers to sendmsg(), and recvmsg() fills
 * the guest's rx buffers.  Only what the host does not take at once is kept, never more than
 * the credit that the guest was given, so a guest that sends more than that is reset.
 *
 * The loop waits for EPOLLIN only while a stream could send what comes: as soon as it is
 * known to be readable, without credit or a buffer to go on, waiting ends, and it is the
 * guest's next packet or kick that resumes.  EPOLLHUP and EPOLLERR cannot be masked, so they
 * take the descriptor out of the loop; what it still has is then read without waiting.
 *
 * A direction ends with SHUTDOWN on the guest's side and shutdown() or end of file on the
 * host's.  vsock_stream_settle() is the one place that passes an end on.
 *
 * #syscalls sendmsg recvmsg shutdown close
 */
#include "devices/vsock_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/iov.h"

#define SHUTDOWN_BOTH (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)

/* Bytes of one packet to the guest: what Linux takes (VIRTIO_VSOCK_MAX_PKT_BUF_SIZE). */
#define PACKET_MAX (64 * 1024)

static struct vsock_bucket *bucket_of(struct vsock *v, uint32_t guest_port, uint32_t host_port)
{
	uint32_t h = (guest_port * 0x9e3779b1u) ^ (host_port * 0x85ebca6bu);

	return &v->buckets[(h ^ h >> 16) & (VSOCK_BUCKETS - 1)];
}

struct vsock_stream *vsock_stream_find(struct vsock *v, uint32_t guest_port, uint32_t host_port)
{
	struct vsock_stream *s;

	LIST_FOREACH(s, bucket_of(v, guest_port, host_port), by_port)
	if (s->guest_port == guest_port && s->host_port == host_port)
		return s;
	return NULL;
}

static void close_fd(struct vsock_stream *s)
{
	loop_remove(s->v->loop, &s->id);
	s->readable = false;
	buf_done(&s->to_host);
	if (s->fd < 0)
		return;
	(void)close(s->fd);
	s->fd = -1;
	if (s->by_host && --s->v->n_by_host == 0 && s->v->quiet)
		s->v->quiet(s->v->quiet_user);
}

void vsock_stream_free(struct vsock_stream *s)
{
	close_fd(s);
	if (s->tap)
		s->tap->end(s->tap);
	LIST_REMOVE(s, by_port);
	if (s->in_ready)
		TAILQ_REMOVE(&s->v->ready, s, by_turn);
	s->v->n_streams--;
	free(s);
}

/* The stream cannot go on: tell the guest, forget it. */
static void fail(struct vsock_stream *s)
{
	vsock_reset_ports(s->v, s->guest_port, s->host_port);
	vsock_stream_free(s);
}

/* The guest is done with the stream: what it sent still goes to the host. */
static void drain(struct vsock_stream *s)
{
	if (s->to_host.len == 0 || s->host_gone) {
		vsock_stream_free(s);
		return;
	}
	LIST_REMOVE(s, by_port);
	LIST_INSERT_HEAD(&s->v->draining, s, by_port);
	s->state = VSOCK_DRAINING;
	s->want_response = s->want_credit_update = s->want_credit_request = false;
	s->want_shutdown = 0;
	vsock_stream_touch(s);
}

/* Bytes that the guest has room for. */
static uint32_t credit(const struct vsock_stream *s)
{
	uint32_t in_flight = s->tx_cnt - s->peer_fwd_cnt;

	return in_flight < s->peer_buf_alloc ? s->peer_buf_alloc - in_flight : 0;
}

static bool may_read(const struct vsock_stream *s)
{
	return s->state == VSOCK_OPEN && !s->host_eof && !s->guest_reads_no_more;
}

static bool has_packet(const struct vsock_stream *s)
{
	return s->want_request || s->want_response || s->want_credit_update ||
	       s->want_credit_request || s->want_shutdown != 0 ||
	       (s->readable && may_read(s) && credit(s) > 0);
}

void vsock_stream_touch(struct vsock_stream *s)
{
	uint32_t events = 0;

	if (s->readable && may_read(s) && credit(s) == 0 && !s->credit_asked)
		s->want_credit_request = s->credit_asked = true;
	if (!s->readable && may_read(s))
		events |= EPOLLIN;
	if (s->to_host.len > 0)
		events |= EPOLLOUT;
	if (s->id != 0)
		loop_set_events(s->v->loop, s->id, events);
	if (!s->in_ready && has_packet(s)) {
		TAILQ_INSERT_TAIL(&s->v->ready, s, by_turn);
		s->in_ready = true;
	}
}

/* The host takes nothing any more: what waits for it is lost. */
static void drop_host(struct vsock_stream *s)
{
	s->host_gone = true;
	s->fwd_cnt += (uint32_t)s->to_host.len;
	buf_done(&s->to_host);
}

static void count_taken(struct vsock_stream *s, size_t len)
{
	s->fwd_cnt += (uint32_t)len;
	if (s->fwd_cnt - s->told_fwd_cnt >= VSOCK_BUF_ALLOC / 2)
		s->want_credit_update = true;
}

/* Pass on the directions that have ended. False: the stream is out of the table. */
static bool vsock_stream_settle(struct vsock_stream *s)
{
	bool to_guest_ended = s->host_eof || s->guest_reads_no_more;
	bool to_host_ended = s->host_gone || (s->guest_sent_all && s->to_host.len == 0);
	uint32_t tell = 0;

	if (s->state == VSOCK_DRAINING && to_host_ended) {
		vsock_stream_free(s);
		return false;
	}
	if (s->state != VSOCK_OPEN)
		return true;
	if (s->guest_reads_no_more && s->guest_sent_all) {
		/* The guest waits for this RST, and not long: Linux gives up after 8 s. */
		vsock_reset_ports(s->v, s->guest_port, s->host_port);
		drain(s);
		return false;
	}
	if (to_guest_ended && to_host_ended) {
		close_fd(s);
		s->state = VSOCK_CLOSING;
		s->want_credit_update = s->want_credit_request = false;
		s->want_shutdown = SHUTDOWN_BOTH;
		return true;
	}
	if (to_host_ended && !s->wrote_eof) {
		(void)shutdown(s->fd, SHUT_WR);
		s->wrote_eof = true;
	}
	if (s->host_eof)
		tell |= VIRTIO_VSOCK_SHUTDOWN_SEND;
	if (s->host_gone && !s->guest_sent_all)
		tell |= VIRTIO_VSOCK_SHUTDOWN_RCV;
	if (tell & ~s->told_shutdown)
		s->want_shutdown = tell;
	return true;
}

/* Bytes that the host took, 0 if it has to be waited for; it may be gone afterwards. */
static size_t write_host(struct vsock_stream *s, struct iovec *iov, size_t n)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = n };
	ssize_t done = sendmsg(s->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (done >= 0)
		return (size_t)done;
	if (errno != EAGAIN && errno != EINTR)
		drop_host(s);
	return 0;
}

static void flush_host(struct vsock_stream *s)
{
	while (s->to_host.len > 0) {
		struct iovec iov = { s->to_host.data, s->to_host.len };
		size_t n = write_host(s, &iov, 1);

		if (n == 0)
			return;
		buf_take(&s->to_host, n);
		count_taken(s, n);
	}
	buf_done(&s->to_host);
}

static void on_event(void *user, uint32_t events)
{
	struct vsock_stream *s = user;
	struct vsock *v = s->v;

	if (events & (EPOLLHUP | EPOLLERR)) {
		loop_remove(v->loop, &s->id);
		drop_host(s);
		s->readable = !s->host_eof;
	} else {
		if (events & EPOLLIN)
			s->readable = true;
		if (events & EPOLLOUT)
			flush_host(s);
	}
	if (vsock_stream_settle(s))
		vsock_stream_touch(s);
	vsock_pump(v);
}

int vsock_stream_new(struct vsock *v, uint32_t guest_port, uint32_t host_port, int fd,
		     enum vsock_state state, struct vsock_stream **ret_stream)
{
	AUTO_FREE struct vsock_stream *s = NULL;
	int r;

	if (v->n_streams == VSOCK_MAX_STREAMS)
		return -EMFILE;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	*s = (struct vsock_stream){
		.v = v,
		.state = state,
		.by_host = state == VSOCK_CONNECTING,
		.guest_port = guest_port,
		.host_port = host_port,
		.fd = fd,
	};
	buf_init(&s->to_host, VSOCK_BUF_ALLOC);
	r = loop_add_fd(v->loop, fd, 0, on_event, s, &s->id);
	if (r < 0)
		return r;
	LIST_INSERT_HEAD(bucket_of(v, guest_port, host_port), s, by_port);
	v->n_streams++;
	v->n_by_host += s->by_host;
	*ret_stream = TAKE_PTR(s);
	return 0;
}

void vsock_stream_credit(struct vsock_stream *s, const struct vsock_packet *pkt)
{
	s->peer_buf_alloc = pkt->buf_alloc;
	s->peer_fwd_cnt = pkt->fwd_cnt;
	if (credit(s) > 0)
		s->credit_asked = false;
}

/* Payload of the guest. False: it broke the rules. */
static bool recv_data(struct vsock_stream *s, uint32_t len, struct iovec *payload, size_t n_payload)
{
	size_t n = 0;
	void *room;

	if (s->state == VSOCK_CLOSING)
		return true;
	if (s->state != VSOCK_OPEN || s->guest_sent_all || len > VSOCK_BUF_ALLOC - s->to_host.len)
		return false;
	if (s->tap && len > 0)
		s->tap->data(s->tap, payload, n_payload, len);
	if (s->to_host.len == 0 && !s->host_gone && len > 0)
		n = write_host(s, payload, n_payload);
	if (s->host_gone) {
		count_taken(s, len);
		return true;
	}
	count_taken(s, n);
	if (n == len)
		return true;
	room = buf_room(&s->to_host, len - n);
	if (!room)
		return false; /* out of memory: this stream ends, the others go on */
	buf_grew(&s->to_host, iov_copy_out(payload, n_payload, n, room, len - n));
	return true;
}

static void recv_shutdown(struct vsock_stream *s, uint32_t flags)
{
	if (flags & VIRTIO_VSOCK_SHUTDOWN_SEND)
		s->guest_sent_all = true;
	if ((flags & VIRTIO_VSOCK_SHUTDOWN_RCV) && !s->guest_reads_no_more) {
		s->guest_reads_no_more = true;
		s->readable = false;
		if (s->fd >= 0)
			(void)shutdown(s->fd, SHUT_RD);
	}
}

/* What a packet changes. False: the stream is to be reset. */
static bool recv_op(struct vsock_stream *s, const struct vsock_packet *pkt, struct iovec *payload,
		    size_t n_payload)
{
	switch (pkt->op) {
	case VIRTIO_VSOCK_OP_RESPONSE:
		if (s->state != VSOCK_CONNECTING || !s->request_sent)
			return false;
		s->state = VSOCK_OPEN;
		return true;
	case VIRTIO_VSOCK_OP_RW:
		return recv_data(s, pkt->len, payload, n_payload);
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		if (s->state == VSOCK_CONNECTING)
			return false;
		recv_shutdown(s, pkt->flags);
		return s->state != VSOCK_CLOSING || (pkt->flags & SHUTDOWN_BOTH) != SHUTDOWN_BOTH;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		s->want_credit_update = s->state == VSOCK_OPEN;
		return true;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		return true;
	default: /* a second REQUEST, or what nobody knows */
		return false;
	}
}

void vsock_stream_recv(struct vsock_stream *s, const struct vsock_packet *pkt,
		       struct iovec *payload, size_t n_payload)
{
	if (pkt->op == VIRTIO_VSOCK_OP_RST) {
		if (s->guest_sent_all)
			drain(s);
		else
			vsock_stream_free(s);
		return;
	}
	vsock_stream_credit(s, pkt);
	if (!recv_op(s, pkt, payload, n_payload)) {
		fail(s);
		return;
	}
	if (vsock_stream_settle(s))
		vsock_stream_touch(s);
}

/* Bytes read into @room, 0 for none now or ever (host_eof), -errno if the stream is dead. */
static ssize_t read_host(struct vsock_stream *s, struct iovec *room, size_t n_room)
{
	uint32_t max = credit(s) < PACKET_MAX ? credit(s) : PACKET_MAX;
	struct msghdr msg = { .msg_iov = room };
	size_t len;
	ssize_t n;

	msg.msg_iovlen = iov_slice(room, n_room, 0, max, room);
	if (iov_total(room, msg.msg_iovlen, &len) < 0)
		return -EPROTO; /* cannot be: it was cut to max */
	n = recvmsg(s->fd, &msg, MSG_DONTWAIT);
	if (n < 0 && errno == EINTR)
		return 0; /* still readable */
	if (n < 0 && errno == ECONNRESET) {
		/* A Unix socket tells this once, before the bytes that the peer had sent. */
		n = recvmsg(s->fd, &msg, MSG_DONTWAIT);
		if (n <= 0)
			return -ECONNRESET;
	}
	if (n < 0 && (errno != EAGAIN || s->id == 0))
		return -errno;
	if (n == 0)
		s->host_eof = true;
	if (s->id != 0 && n < (ssize_t)len) /* drained: the loop tells when there is more */
		s->readable = false;
	return n < 0 ? 0 : n;
}

/* The next control packet, if one waits. */
static bool take_control(struct vsock_stream *s, struct vsock_packet *pkt)
{
	if (s->want_request) {
		s->want_request = false;
		s->request_sent = true;
		pkt->op = VIRTIO_VSOCK_OP_REQUEST;
	} else if (s->want_response) {
		s->want_response = false;
		pkt->op = VIRTIO_VSOCK_OP_RESPONSE;
	} else if (s->want_shutdown) {
		pkt->op = VIRTIO_VSOCK_OP_SHUTDOWN;
		pkt->flags = s->told_shutdown = s->want_shutdown;
		s->want_shutdown = 0;
	} else if (s->want_credit_request) {
		s->want_credit_request = false;
		pkt->op = VIRTIO_VSOCK_OP_CREDIT_REQUEST;
	} else if (s->want_credit_update) {
		pkt->op = VIRTIO_VSOCK_OP_CREDIT_UPDATE;
	} else {
		return false;
	}
	return true;
}

int vsock_stream_send(struct vsock_stream *s, struct iovec *room, size_t n_room,
		      struct vsock_packet *pkt)
{
	bool made = take_control(s, pkt);

	if (!made && s->readable && may_read(s) && credit(s) > 0) {
		ssize_t n = read_host(s, room, n_room);

		if (n < 0) {
			fail(s);
			return 0;
		}
		if (n > 0) {
			pkt->op = VIRTIO_VSOCK_OP_RW;
			pkt->len = (uint32_t)n;
			s->tx_cnt += (uint32_t)n;
			made = true;
		} else if (!vsock_stream_settle(s)) {
			return 0;
		} else {
			made = take_control(s, pkt);
		}
	}
	if (made) { /* every packet tells the credit */
		pkt->buf_alloc = VSOCK_BUF_ALLOC;
		pkt->fwd_cnt = s->told_fwd_cnt = s->fwd_cnt;
		s->want_credit_update = false;
	}
	vsock_stream_touch(s);
	return made;
}
