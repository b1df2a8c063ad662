/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input is a script: the guest sends packets and offers buffers, the host writes to, reads
 * from and closes the other ends of the streams.
 */
#include <linux/virtio_vsock.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../unit/fake_queues.h"
#include "base/loop.h"
#include "devices/devices.h"

#define RX	  0
#define TX	  1
#define MAX_PEERS 16
#define MAX_STEPS 200
#define CID	  3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	struct loop *loop;
	struct virtio_device *dev;
	int peers[MAX_PEERS];
	int n_peers;
	const uint8_t *data;
	size_t size;
	int steps;
};

static uint8_t byte(struct fuzz *f)
{
	if (f->size == 0)
		return 0;
	f->size--;
	return *f->data++;
}

static int new_peer(struct fuzz *f)
{
	int sv[2];

	if (f->n_peers == MAX_PEERS ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv) < 0)
		return -1;
	f->peers[f->n_peers++] = sv[0];
	return sv[1];
}

static int on_accept(void *user, uint32_t port)
{
	return port == 1 ? -1 : new_peer(user);
}

static void send_packet(struct fuzz *f)
{
	uint8_t op = byte(f), ports = byte(f), flags = byte(f), len = byte(f), what = byte(f);
	struct virtio_vsock_hdr h = {
		.src_cid = what & 1 ? CID + 1 : CID,
		.dst_cid = what & 2 ? 9 : 2,
		.src_port = ports & 7,
		.dst_port = ports & 64 ? 0x40000000u + (ports >> 3 & 7) : ports >> 3 & 7u,
		.len = len * (what & 4 ? 1024u : 1u),
		.type = what & 8 ? flags : VIRTIO_VSOCK_TYPE_STREAM,
		.op = op % 10,
		.flags = flags & 3u,
		.buf_alloc = what & 16 ? len : 65536,
		.fwd_cnt = what & 32 ? flags * 1000u : 0,
	};

	memcpy(fq_ram + FQ_DATA, &h, sizeof(h));
	fq_desc(TX, 0, FQ_DATA, sizeof(h) + (what & 64 ? 0 : h.len), 0, 0);
	fq_offer(TX, 0);
	IGNORE_RESULT(f->dev->ops->handle_queue(f->dev, TX) < 0);
}

static void offer_buffers(struct fuzz *f)
{
	uint8_t n = byte(f) & 15, len = byte(f);

	for (int i = 0; i < n; i++) {
		fq_desc(RX, i, FQ_DATA + 0x80000 + (uint32_t)i * 4096, len * 16u,
			VRING_DESC_F_WRITE, 0);
		fq_offer(RX, (uint16_t)i);
	}
	IGNORE_RESULT(f->dev->ops->handle_queue(f->dev, RX) < 0);
}

static void use_peer(struct fuzz *f, uint8_t what)
{
	static uint8_t bytes[16384];
	int *fd = &f->peers[byte(f) % MAX_PEERS];

	if (*fd < 0)
		return;
	if (what == 0) {
		IGNORE_RESULT(send(*fd, bytes, 1 + byte(f) * 64u, MSG_NOSIGNAL) < 0);
	} else if (what == 1) {
		IGNORE_RESULT(recv(*fd, bytes, sizeof(bytes), 0) < 0);
	} else if (what == 2) {
		(void)shutdown(*fd, byte(f) % 3);
	} else {
		(void)close(*fd);
		*fd = -1;
	}
}

static void step(void *user)
{
	struct fuzz *f = user;
	uint8_t what = byte(f) % 9;
	int fd;

	if (f->size == 0 || ++f->steps > MAX_STEPS) {
		loop_stop(f->loop);
		return;
	}
	if (what < 3) {
		send_packet(f);
	} else if (what == 3) {
		offer_buffers(f);
	} else if (what == 4) {
		fd = new_peer(f);
		if (fd >= 0)
			IGNORE_RESULT(vsock_connect(f->dev, byte(f) & 7, fd) < 0);
	} else {
		use_peer(f, what - 5);
	}
	/* By the loop, so that events come between the steps. */
	if (loop_post(f->loop, step, f) < 0)
		loop_stop(f->loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz f = { .data = data, .size = size };

	for (int i = 0; i < MAX_PEERS; i++)
		f.peers[i] = -1;
	if (loop_new(&f.loop) < 0)
		return 0;
	f.dev = vsock_new(f.loop, CID);
	if (f.dev) {
		vsock_on_accept(f.dev, on_accept, &f);
		fq_attach(f.dev);
		step(&f);
		IGNORE_RESULT(loop_run(f.loop) < 0);
		f.dev->ops->reset(f.dev);
		f.dev->ops->free(f.dev);
	}
	for (int i = 0; i < f.n_peers; i++)
		if (f.peers[i] >= 0)
			(void)close(f.peers[i]);
	loop_free(f.loop);
	return 0;
}
