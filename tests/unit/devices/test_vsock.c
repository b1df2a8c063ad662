/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <linux/virtio_vsock.h>
#include <sys/socket.h>

#include "base/loop.h"
#include "devices/devices.h"
#include "fake_queues.h"

#define RX	  0
#define TX	  1
#define CID	  3
#define HDR	  sizeof(struct virtio_vsock_hdr)
#define BUF_ALLOC (256 * 1024) /* what the device gives a stream */
#define RX_AT	  (FQ_DATA + 0x80000)
#define RX_BYTES  4096
#define W	  VRING_DESC_F_WRITE

static struct loop *loop;
static struct virtio_device *dev;
static int peer = -1;	 /* the host's end of the last accepted stream */
static uint16_t rx_seen; /* packets of the device that were looked at */
static bool is_broken;

static void stop(void *user)
{
	loop_stop(loop);
}

/* One batch of events. */
static void turn(void)
{
	ASSERT_EQ(loop_post(loop, stop, NULL), 0);
	ASSERT_EQ(loop_run(loop), 0);
}

static int on_accept(void *user, uint32_t port)
{
	int sv[2];

	if (port != 7)
		return -ECONNREFUSED;
	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	peer = sv[0];
	return sv[1];
}

static void on_interrupt(struct virtio_device *d, uint16_t q)
{
	ASSERT_EQ(q, RX);
}

static void on_broken(struct virtio_device *d)
{
	is_broken = true;
}

static void start(void)
{
	static const struct virtio_transport_ops transport = { on_interrupt, on_broken };

	ASSERT_EQ(loop_new(&loop), 0);
	dev = vsock_new(loop, CID);
	ASSERT(dev);
	dev->transport = &transport;
	vsock_on_accept(dev, on_accept, NULL);
	fq_attach(dev);
	rx_seen = 0;
}

static void end(void)
{
	dev->ops->free(dev);
	loop_free(loop);
	if (peer >= 0)
		(void)close(peer);
	peer = -1;
}

static void offer(int n)
{
	for (int i = 0; i < n; i++) {
		fq_desc(RX, i, RX_AT + (uint32_t)i * RX_BYTES, RX_BYTES, W, 0);
		fq_offer(RX, (uint16_t)i);
	}
	ASSERT(dev->ops->handle_queue(dev, RX) >= 0);
}

static struct virtio_vsock_hdr packet(uint16_t op, uint32_t src_port, uint32_t dst_port)
{
	return (struct virtio_vsock_hdr){
		.src_cid = CID,
		.dst_cid = 2,
		.src_port = src_port,
		.dst_port = dst_port,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.buf_alloc = 65536,
	};
}

static int transmit(struct virtio_vsock_hdr h, const void *payload, uint32_t len)
{
	h.len = len;
	memcpy(fq_ram + FQ_DATA, &h, HDR);
	if (len > 0)
		memcpy(fq_ram + FQ_DATA + HDR, payload, len);
	fq_desc(TX, 0, FQ_DATA, HDR + len, 0, 0);
	fq_offer(TX, 0);
	return dev->ops->handle_queue(dev, TX);
}

/* The next packet of the device; its operation, 0 if there is none. */
static int received(struct virtio_vsock_hdr *h, const uint8_t **ret_payload)
{
	const struct vring_used_elem *e = fq_done(RX, rx_seen);

	if (rx_seen == fq_used(RX)->idx)
		return 0;
	rx_seen++;
	memcpy(h, fq_ram + RX_AT + e->id * RX_BYTES, HDR);
	*ret_payload = fq_ram + RX_AT + e->id * RX_BYTES + HDR;
	ASSERT_EQ(e->len, HDR + h->len);
	ASSERT_EQ(h->src_cid, 2);
	ASSERT_EQ(h->dst_cid, CID);
	return h->op;
}

static int received_op(void)
{
	struct virtio_vsock_hdr h;
	const uint8_t *payload;

	return received(&h, &payload);
}

/* A stream from the guest's port 5 to the host's port 7. */
static void connected(void)
{
	start();
	offer(16);
	ASSERT_EQ(transmit(packet(VIRTIO_VSOCK_OP_REQUEST, 5, 7), NULL, 0), VIRTIO_INTERRUPT);
	ASSERT_EQ(received_op(), VIRTIO_VSOCK_OP_RESPONSE);
}

TEST(bytes_go_both_ways)
{
	struct virtio_vsock_hdr h;
	const uint8_t *payload;
	char buf[16] = "";

	connected();
	ASSERT_EQ(transmit(packet(VIRTIO_VSOCK_OP_RW, 5, 7), "ping", 4), VIRTIO_INTERRUPT);
	ASSERT_EQ(read(peer, buf, sizeof(buf)), 4);
	ASSERT_STR(buf, "ping");
	ASSERT_EQ(write(peer, "pong!", 5), 5);
	turn();
	ASSERT_EQ(received(&h, &payload), VIRTIO_VSOCK_OP_RW);
	ASSERT_EQ(h.len, 5);
	ASSERT_EQ(h.fwd_cnt, 4);
	ASSERT_EQ(h.src_port, 7);
	ASSERT_EQ(h.dst_port, 5);
	ASSERT_EQ(memcmp(payload, "pong!", 5), 0);
	end();
}

TEST(the_host_connects_before_the_driver_is_up)
{
	struct virtio_vsock_hdr h;
	const uint8_t *payload;
	int sv[2];

	start();
	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	ASSERT_EQ(vsock_connect(dev, 100, sv[1]), 0);
	dev->ops->reset(dev); /* as every driver does first */
	ASSERT_EQ(write(sv[0], "early", 5), 5);
	turn();
	offer(4);
	ASSERT_EQ(received(&h, &payload), VIRTIO_VSOCK_OP_REQUEST);
	ASSERT_EQ(h.dst_port, 100);
	ASSERT_EQ(received_op(), 0);
	(void)transmit(packet(VIRTIO_VSOCK_OP_RESPONSE, 100, h.src_port), NULL, 0);
	turn();
	ASSERT_EQ(received(&h, &payload), VIRTIO_VSOCK_OP_RW);
	ASSERT_EQ(memcmp(payload, "early", 5), 0);
	(void)transmit(packet(VIRTIO_VSOCK_OP_RST, 100, h.src_port), NULL, 0);
	ASSERT_EQ(read(sv[0], &h, 1), 0);
	(void)close(sv[0]);
	end();
}

TEST(half_closes_pass_through)
{
	struct virtio_vsock_hdr h = packet(VIRTIO_VSOCK_OP_SHUTDOWN, 5, 7);
	const uint8_t *payload;
	char c;

	connected();
	h.flags = VIRTIO_VSOCK_SHUTDOWN_SEND;
	(void)transmit(h, NULL, 0);
	ASSERT_EQ(read(peer, &c, 1), 0);
	ASSERT_EQ(write(peer, "x", 1), 1);
	ASSERT_EQ(shutdown(peer, SHUT_WR), 0);
	turn();
	turn();
	ASSERT_EQ(received(&h, &payload), VIRTIO_VSOCK_OP_RW);
	ASSERT_EQ(received(&h, &payload), VIRTIO_VSOCK_OP_SHUTDOWN);
	ASSERT_EQ(h.flags, VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND);
	(void)transmit(packet(VIRTIO_VSOCK_OP_RST, 5, 7), NULL, 0);
	ASSERT_EQ(received_op(), 0);
	end();
}

TEST(what_was_sent_before_a_close_still_arrives)
{
	struct virtio_vsock_hdr h = packet(VIRTIO_VSOCK_OP_SHUTDOWN, 5, 7);
	static uint8_t block[32768];
	size_t sent = 0, got = 0;
	ssize_t n;

	connected();
	for (; sent < BUF_ALLOC; sent += sizeof(block))
		(void)transmit(packet(VIRTIO_VSOCK_OP_RW, 5, 7), block, sizeof(block));
	h.flags = VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND;
	(void)transmit(h, NULL, 0);
	(void)transmit(packet(VIRTIO_VSOCK_OP_RST, 5, 7), NULL, 0);
	ASSERT_EQ(fcntl(peer, F_SETFL, O_NONBLOCK), 0);
	for (int i = 0; i < 1000; i++) {
		n = read(peer, block, sizeof(block));
		if (n == 0)
			break;
		got += n > 0 ? (size_t)n : 0;
		turn();
	}
	ASSERT_EQ(n, 0);
	ASSERT_EQ(got, sent);
	end();
}

TEST(the_guest_may_not_pass_its_credit)
{
	static uint8_t block[65536];
	int last = 0, op;

	connected();
	for (int i = 0; i < 64 && last != VIRTIO_VSOCK_OP_RST; i++) {
		(void)transmit(packet(VIRTIO_VSOCK_OP_RW, 5, 7), block, sizeof(block));
		while ((op = received_op()) != 0)
			last = op;
	}
	ASSERT_EQ(last, VIRTIO_VSOCK_OP_RST);
	end();
}

TEST(the_host_may_not_pass_the_guests_credit)
{
	struct virtio_vsock_hdr h;
	const uint8_t *payload;

	connected();
	h = packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 5, 7);
	h.buf_alloc = 10;
	(void)transmit(h, NULL, 0);
	ASSERT_EQ(write(peer, "0123456789abcdef", 16), 16);
	turn();
	ASSERT_EQ(received(&h, &payload), VIRTIO_VSOCK_OP_RW);
	ASSERT_EQ(h.len, 10);
	turn();
	ASSERT_EQ(received_op(), VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	turn();
	ASSERT_EQ(received_op(), 0);
	h = packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 5, 7);
	h.buf_alloc = h.fwd_cnt = 10;
	(void)transmit(h, NULL, 0);
	turn();
	ASSERT_EQ(received(&h, &payload), VIRTIO_VSOCK_OP_RW);
	ASSERT_EQ(memcmp(payload, "abcdef", 6), 0);
	end();
}

TEST(without_buffers_the_host_waits)
{
	connected();
	for (int i = 0; i < 15; i++) { /* use up the other buffers */
		ASSERT_EQ(write(peer, "x", 1), 1);
		turn();
	}
	ASSERT_EQ(write(peer, "y", 1), 1);
	turn();
	turn();
	ASSERT_EQ(fq_used(RX)->idx, 16);
	offer(1);
	ASSERT_EQ(fq_used(RX)->idx, 17);
	end();
}

TEST(packets_that_are_answered)
{
	static const struct {
		const char *name;
		uint16_t op;
		uint32_t src_port, dst_port;
		uint16_t type;
		uint64_t src_cid;
		int answer;
	} cases[] = {
		{ "data of an unknown stream", VIRTIO_VSOCK_OP_RW, 9, 9, 1, CID,
		  VIRTIO_VSOCK_OP_RST },
		{ "reset of an unknown stream", VIRTIO_VSOCK_OP_RST, 9, 9, 1, CID, 0 },
		{ "refused port", VIRTIO_VSOCK_OP_REQUEST, 5, 8, 1, CID, VIRTIO_VSOCK_OP_RST },
		{ "the same request again", VIRTIO_VSOCK_OP_REQUEST, 5, 7, 1, CID,
		  VIRTIO_VSOCK_OP_RST },
		{ "response to nothing", VIRTIO_VSOCK_OP_RESPONSE, 5, 7, 1, CID,
		  VIRTIO_VSOCK_OP_RST },
		{ "unknown operation", 99, 5, 7, 1, CID, VIRTIO_VSOCK_OP_RST },
		{ "unknown type", VIRTIO_VSOCK_OP_REQUEST, 6, 7, 2, CID, VIRTIO_VSOCK_OP_RST },
		{ "from another guest", VIRTIO_VSOCK_OP_RW, 5, 7, 1, CID + 1, 0 },
		{ "credit request", VIRTIO_VSOCK_OP_CREDIT_REQUEST, 5, 7, 1, CID,
		  VIRTIO_VSOCK_OP_CREDIT_UPDATE },
	};

	for_cases(c, cases) {
		struct virtio_vsock_hdr h = packet(c->op, c->src_port, c->dst_port);

		connected();
		h.type = c->type;
		h.src_cid = c->src_cid;
		ASSERT_EQ(transmit(h, NULL, 0), VIRTIO_INTERRUPT);
		ASSERT_EQ(received_op(), c->answer);
		ASSERT_EQ(received_op(), 0);
		end();
	}
}

TEST(chains_that_break_the_device)
{
	static const struct {
		const char *name;
		int q;
		uint32_t len;
		uint16_t flags;
	} cases[] = {
		{ "short header", TX, HDR - 1, 0 },
		{ "payload that is not there", TX, HDR + 1, 0 },
		{ "writable packet", TX, 1024, W },
		{ "readable buffer", RX, 1024, 0 },
		{ "buffer without room for payload", RX, HDR, W },
	};

	for_cases(c, cases) {
		struct virtio_vsock_hdr h = packet(VIRTIO_VSOCK_OP_RW, 9, 9);

		start();
		(void)transmit(h, NULL, 0); /* an RST waits for a buffer */
		h.len = 2;
		memcpy(fq_ram + FQ_DATA, &h, HDR);
		fq_desc(c->q, 0, FQ_DATA, c->len, c->flags, 0);
		fq_offer(c->q, 0);
		ASSERT_EQ(dev->ops->handle_queue(dev, c->q), -EPROTO);
		ASSERT_EQ(dev->ops->handle_queue(dev, TX), -EPROTO);
		end();
	}
}

TEST(a_reset_closes_all)
{
	char c;

	connected();
	dev->ops->reset(dev);
	ASSERT_EQ(read(peer, &c, 1), 0);
	end();
}

TEST(streams_are_limited)
{
	int n = 0, r = 0;

	start();
	for (; n <= VSOCK_MAX_STREAMS && r == 0; n++) {
		int sv[2];

		ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
		(void)close(sv[0]);
		r = vsock_connect(dev, 100, sv[1]);
	}
	ASSERT_EQ(r, -EMFILE);
	ASSERT_EQ(n, VSOCK_MAX_STREAMS + 1);
	end();
}

TAP_MAIN()
