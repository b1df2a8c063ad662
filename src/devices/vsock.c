/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: virtio-vsock, the host's side
 *
 * Packets of the guest come through tx and are judged by parse(); each goes to its stream,
 * opens one, or is answered with RST.  Everything for the guest needs a buffer of rx, so
 * nothing is sent where it arises: resets wait in a ring, streams with something to send in
 * a line, and pump() fills buffers from both until one side is empty.  A stream goes to the
 * end of the line after each packet, so none can starve another.
 *
 * What the device keeps for a hostile guest is bounded: VSOCK_MAX_STREAMS streams, of each at
 * most VSOCK_BUF_ALLOC bytes and one packet of each kind, and VSOCK_RESETS resets.
 *
 * #syscalls eventfd2 read write close
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_ids.h>
#include <linux/vm_sockets.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/iov.h"
#include "base/log.h"
#include "devices/vsock_stream.h"

#define VSOCK_RX	 0
#define VSOCK_TX	 1
#define VSOCK_N_QUEUES	 3 /* the third, events, is never used: no live migration */
#define VSOCK_QUEUE_SIZE 256
#define VSOCK_PUMP_MAX	 128	    /* packets to the guest before other events get their turn */
#define VSOCK_FIRST_PORT 0x40000000 /* of ours: away from the ports that mean something */

/* The one place that turns a guest's bytes into a packet; its payload lies behind the header. */
static int parse(const struct virtq_chain *c, struct vsock_packet *ret_pkt)
{
	struct virtio_vsock_hdr h;
	size_t total;

	if (c->n_in > 0 || iov_total(c->iov, c->n_out, &total) < 0 ||
	    iov_copy_out(c->iov, c->n_out, 0, &h, sizeof(h)) != sizeof(h))
		return -EPROTO;
	*ret_pkt = (struct vsock_packet){
		.src_cid = le64toh(h.src_cid),
		.dst_cid = le64toh(h.dst_cid),
		.src_port = le32toh(h.src_port),
		.dst_port = le32toh(h.dst_port),
		.len = le32toh(h.len),
		.type = le16toh(h.type),
		.op = le16toh(h.op),
		.flags = le32toh(h.flags),
		.buf_alloc = le32toh(h.buf_alloc),
		.fwd_cnt = le32toh(h.fwd_cnt),
	};
	return ret_pkt->len > total - sizeof(h) ? -EPROTO : 0;
}

static void fill_header(const struct vsock *v, const struct vsock_packet *pkt,
			struct virtio_vsock_hdr *ret_hdr)
{
	*ret_hdr = (struct virtio_vsock_hdr){
		.src_cid = htole64(VMADDR_CID_HOST),
		.dst_cid = htole64(v->guest_cid),
		.src_port = htole32(pkt->src_port),
		.dst_port = htole32(pkt->dst_port),
		.len = htole32(pkt->len),
		.type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
		.op = htole16(pkt->op),
		.flags = htole32(pkt->flags),
		.buf_alloc = htole32(pkt->buf_alloc),
		.fwd_cnt = htole32(pkt->fwd_cnt),
	};
}

void vsock_reset_ports(struct vsock *v, uint32_t guest_port, uint32_t host_port)
{
	if (v->n_resets == VSOCK_RESETS) {
		log_guest("vsock: guest takes no packets, a reset is dropped");
		return;
	}
	v->resets[(v->reset_head + v->n_resets++) % VSOCK_RESETS] =
		(struct vsock_ports){ guest_port, host_port };
}

/* The next packet for the guest. False: there is none. */
static bool next_packet(struct vsock *v, struct vsock_packet *pkt)
{
	const struct virtq_chain *c = &v->chain;
	struct vsock_stream *s;

	*pkt = (struct vsock_packet){ 0 };
	if (v->n_resets > 0) {
		struct vsock_ports p = v->resets[v->reset_head];

		v->reset_head = (v->reset_head + 1) % VSOCK_RESETS;
		v->n_resets--;
		pkt->op = VIRTIO_VSOCK_OP_RST;
		pkt->src_port = p.host;
		pkt->dst_port = p.guest;
		return true;
	}
	while ((s = TAILQ_FIRST(&v->ready))) {
		/* A copy each time: it is changed, and the header goes into the chain. */
		size_t n_room = iov_slice(c->iov, c->n_in, sizeof(struct virtio_vsock_hdr),
					  UINT32_MAX, v->payload);

		TAILQ_REMOVE(&v->ready, s, by_turn);
		s->in_ready = false;
		pkt->src_port = s->host_port;
		pkt->dst_port = s->guest_port;
		if (vsock_stream_send(s, v->payload, n_room, pkt))
			return true;
		if (v->n_resets > 0) /* the stream failed */
			return next_packet(v, pkt);
	}
	return false;
}

static bool has_packets(const struct vsock *v)
{
	return v->n_resets > 0 || !TAILQ_EMPTY(&v->ready);
}

static int put_packet(struct vsock *v, struct virtq *q, const struct vsock_packet *pkt)
{
	struct virtio_vsock_hdr h;

	fill_header(v, pkt, &h);
	if (iov_copy_in(v->chain.iov, v->chain.n_in, 0, &h, sizeof(h)) != sizeof(h))
		return -EPROTO;
	return virtq_push(q, v->chain.head, (uint32_t)sizeof(h) + pkt->len);
}

/* Fill buffers of rx. VIRTIO_INTERRUPT if one was, else 0; -EPROTO. */
static int fill_rx(struct vsock *v)
{
	struct virtq *q = &v->dev.queues[VSOCK_RX];
	uint64_t one = 1;
	int result = 0;

	if (!virtq_ready(q) || v->broken)
		return 0;
	for (int i = 0; has_packets(v); i++) {
		struct vsock_packet pkt;
		size_t room;
		int r;

		if (i == VSOCK_PUMP_MAX) {
			/* It can only fail when the counter is full: then it is readable. */
			IGNORE_RESULT(write(v->again_fd, &one, sizeof(one)) < 0);
			return result;
		}
		r = virtq_pop(q, &v->chain);
		if (r <= 0)
			return r < 0 ? r : result;
		/* A buffer without room for a byte of payload would make no progress. */
		if (v->chain.n_out > 0 || iov_total(v->chain.iov, v->chain.n_in, &room) < 0 ||
		    room <= sizeof(struct virtio_vsock_hdr))
			return -EPROTO;
		if (!next_packet(v, &pkt)) {
			virtq_unpop(q); /* nothing was written: the buffer is for the next packet */
			return result;
		}
		r = put_packet(v, q, &pkt);
		if (r < 0)
			return r;
		result = VIRTIO_INTERRUPT;
	}
	return result;
}

void vsock_pump(struct vsock *v)
{
	struct virtio_device *dev = &v->dev;
	int r = fill_rx(v);

	if (r < 0)
		v->broken = true;
	if (!dev->transport)
		return;
	if (r < 0)
		dev->transport->broken(dev);
	else if (r & VIRTIO_INTERRUPT)
		dev->transport->interrupt(dev, VSOCK_RX);
}

static void on_again(void *user, uint32_t events)
{
	struct vsock *v = user;
	uint64_t count;

	IGNORE_RESULT(read(v->again_fd, &count, sizeof(count)) < 0);
	vsock_pump(v);
}

/* The guest connects to a port of the host. 0, or -errno to refuse. */
static int accept_stream(struct vsock *v, const struct vsock_packet *pkt)
{
	AUTO_CLOSE int fd = -1;
	struct vsock_stream *s;
	int r;

	if (!v->accept)
		return -ECONNREFUSED;
	if (v->n_streams == VSOCK_MAX_STREAMS)
		return -EMFILE;
	fd = v->accept(v->accept_user, pkt->dst_port);
	if (fd < 0)
		return fd;
	r = vsock_stream_new(v, pkt->src_port, pkt->dst_port, fd, VSOCK_OPEN, &s);
	if (r < 0)
		return r;
	(void)TAKE_FD(fd);
	vsock_stream_credit(s, pkt);
	s->want_response = true;
	vsock_stream_touch(s);
	return 0;
}

static void handle_packet(struct vsock *v, const struct vsock_packet *pkt)
{
	struct iovec *iov = v->chain.iov;
	size_t n;
	struct vsock_stream *s;

	if (pkt->src_cid != v->guest_cid || pkt->dst_cid != VMADDR_CID_HOST) {
		log_guest("vsock: packet from or to a foreign address is dropped");
		return;
	}
	s = pkt->type == VIRTIO_VSOCK_TYPE_STREAM
		    ? vsock_stream_find(v, pkt->src_port, pkt->dst_port)
		    : NULL;
	if (s) {
		n = iov_slice(iov, v->chain.n_out, sizeof(struct virtio_vsock_hdr), pkt->len, iov);
		vsock_stream_recv(s, pkt, iov, n);
	} else if (pkt->op == VIRTIO_VSOCK_OP_RST) {
		return; /* an RST is never answered */
	} else if (pkt->type != VIRTIO_VSOCK_TYPE_STREAM || pkt->op != VIRTIO_VSOCK_OP_REQUEST ||
		   accept_stream(v, pkt) < 0) {
		vsock_reset_ports(v, pkt->src_port, pkt->dst_port);
	}
}

/* The accept callback may connect, and so use the chain. */
static ssize_t serve_tx(struct virtio_device *dev, struct virtq_chain *c)
{
	struct vsock_packet pkt;
	int r = parse(c, &pkt);

	if (r < 0)
		return r;
	handle_packet((struct vsock *)dev, &pkt);
	return 0;
}

static int vsock_handle_queue(struct virtio_device *dev, uint16_t qi)
{
	struct vsock *v = (struct vsock *)dev;
	int r = 0;

	if (v->broken)
		return -EPROTO;
	v->driver_seen = true;
	if (qi == VSOCK_RX) {
		r = fill_rx(v);
	} else if (qi == VSOCK_TX) {
		r = virtio_serve(dev, qi, &v->chain, serve_tx);
		if (r >= 0)
			vsock_pump(v);
	}
	if (r < 0)
		v->broken = true;
	return r;
}

static void close_all(struct vsock *v)
{
	struct vsock_stream *s;

	for (int i = 0; i < VSOCK_BUCKETS; i++)
		while ((s = LIST_FIRST(&v->buckets[i])))
			vsock_stream_free(s);
	while ((s = LIST_FIRST(&v->draining)))
		vsock_stream_free(s);
}

static void vsock_reset(struct virtio_device *dev)
{
	struct vsock *v = (struct vsock *)dev;

	v->broken = false;
	/* A driver resets the device before it sets it up: what waits for it goes on waiting. */
	if (!v->driver_seen)
		return;
	/* The machine is gone, not the driver: why is the engine's to tell, before clients hear. */
	if (!dev->transport)
		return;
	v->driver_seen = false;
	v->n_resets = 0;
	if (v->down)
		v->down(v->down_user);
	close_all(v);
}

static void vsock_config_read(struct virtio_device *dev, uint32_t offset, void *buf, uint32_t len)
{
	const struct vsock *v = (const struct vsock *)dev;
	struct virtio_vsock_config config = { .guest_cid = htole64(v->guest_cid) };

	memcpy(buf, (const char *)&config + offset, len);
}

static void vsock_free(struct virtio_device *dev)
{
	struct vsock *v = (struct vsock *)dev;

	close_all(v);
	loop_remove(v->loop, &v->again_id);
	if (v->again_fd >= 0)
		(void)close(v->again_fd);
	free(v);
}

static const struct virtio_ops vsock_ops = {
	.name = "vsock",
	.id = VIRTIO_ID_VSOCK,
	.n_queues = VSOCK_N_QUEUES,
	.queue_size = VSOCK_QUEUE_SIZE,
	.config_size = sizeof(struct virtio_vsock_config),
	.config_read = vsock_config_read,
	.handle_queue = vsock_handle_queue,
	.reset = vsock_reset,
	.free = vsock_free,
};

struct virtio_device *vsock_new(struct loop *loop, uint64_t guest_cid)
{
	struct vsock *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->dev.ops = &vsock_ops;
	v->loop = loop;
	v->guest_cid = guest_cid;
	v->next_port = VSOCK_FIRST_PORT;
	for (int i = 0; i < VSOCK_BUCKETS; i++)
		LIST_INIT(&v->buckets[i]);
	LIST_INIT(&v->draining);
	TAILQ_INIT(&v->ready);
	v->again_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (v->again_fd < 0 ||
	    loop_add_fd(loop, v->again_fd, EPOLLIN, on_again, v, &v->again_id) < 0) {
		vsock_free(&v->dev);
		return NULL;
	}
	return &v->dev;
}

int vsock_connect(struct virtio_device *dev, uint32_t port, int fd)
{
	return vsock_connect_tapped(dev, port, fd, NULL);
}

static void tap_end_auto(struct vsock_tap **tap)
{
	if (*tap)
		(*tap)->end(*tap);
}

int vsock_connect_tapped(struct virtio_device *dev, uint32_t port, int fd, struct vsock_tap *tap)
{
	AUTO(tap_end) struct vsock_tap *owned_tap = tap;
	AUTO_CLOSE int owned = fd;
	struct vsock *v = (struct vsock *)dev;
	struct vsock_stream *s;
	uint32_t host_port;
	int r;

	if (v->n_streams == VSOCK_MAX_STREAMS)
		return -EMFILE;
	do { /* ends: there are more ports than streams */
		host_port = v->next_port++;
		if (v->next_port < VSOCK_FIRST_PORT)
			v->next_port = VSOCK_FIRST_PORT;
	} while (vsock_stream_find(v, port, host_port));
	r = vsock_stream_new(v, port, host_port, owned, VSOCK_CONNECTING, &s);
	if (r < 0)
		return r;
	(void)TAKE_FD(owned);
	s->tap = TAKE_PTR(owned_tap);
	s->want_request = true;
	vsock_stream_touch(s);
	vsock_pump(v);
	return 0;
}

void vsock_on_accept(struct virtio_device *dev, vsock_accept_fn accept, void *user)
{
	struct vsock *v = (struct vsock *)dev;

	v->accept = accept;
	v->accept_user = user;
}

void vsock_on_quiet(struct virtio_device *dev, void (*quiet)(void *user), void *user)
{
	struct vsock *v = (struct vsock *)dev;

	v->quiet = quiet;
	v->quiet_user = user;
}

void vsock_on_shutdown(struct virtio_device *dev, void (*down)(void *user), void *user)
{
	struct vsock *v = (struct vsock *)dev;

	v->down = down;
	v->down_user = user;
}
