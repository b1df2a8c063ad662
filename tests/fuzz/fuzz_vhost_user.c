/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input is a script for a front end: a byte of what to attach (bits 0-1: nothing, the
 * memory file, an eventfd, a pipe; bits 2-3: how often), a byte of length, and so many bytes
 * to send.  Guest memory holds a valid ring at its start, so that kicks lead somewhere.
 */
#include <fcntl.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "virtio/vhost_user.h"

#define MEM_SIZE   0x4000 /* bytes */
#define MAX_SCRIPT 8192	  /* bytes: less than a socket buffers */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_device {
	struct virtio_device dev;
	struct virtq_chain chain;
};

static int handle_queue(struct virtio_device *dev, uint16_t q)
{
	struct virtq_chain *c = &((struct fuzz_device *)dev)->chain;

	for (int i = 0; i < 2; i++) {
		int r = virtq_pop(&dev->queues[q], c);

		if (r <= 0)
			return r < 0 ? r : VIRTIO_INTERRUPT;
		for (int j = 0; j < c->n_out + c->n_in; j++)
			if (c->iov[j].iov_len > 0)
				((volatile uint8_t *)c->iov[j].iov_base)[c->iov[j].iov_len - 1];
		r = virtq_push(&dev->queues[q], c->head, 0);
		if (r < 0)
			return r;
	}
	return VIRTIO_INTERRUPT | VIRTIO_AGAIN;
}

static void config_read(struct virtio_device *dev, uint32_t offset, void *buf, uint32_t len)
{
	memset(buf, 1, len);
}

static void reset(struct virtio_device *dev)
{
}

static const struct virtio_ops ops = {
	.name = "fuzz",
	.n_queues = 2,
	.config_size = 8,
	.config_read = config_read,
	.handle_queue = handle_queue,
	.reset = reset,
	.free = reset,
};

static void on_closed(void *user, int error)
{
	loop_stop(user);
}

/* Two chains of descriptors at 0, avail at 0x400, used at 0x600. */
static int memory(void)
{
	uint8_t ram[0x800] = { 0 };
	static const struct vring_desc d[2] = { { 0x800, 16, VRING_DESC_F_NEXT, 1 },
						{ 0x900, 16, VRING_DESC_F_WRITE, 0 } };
	static const uint16_t avail[7] = { 0, 5, 0, 1, 0, 1, 0 };
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	memcpy(ram, d, sizeof(d));
	memcpy(ram + 0x400, avail, sizeof(avail));
	if (fd < 0 || pwrite(fd, ram, sizeof(ram), 0) != sizeof(ram) ||
	    ftruncate(fd, MEM_SIZE) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) < 0)
		abort();
	return fd;
}

static void send_step(int sock, const uint8_t *bytes, size_t len, int fd, int n_fds)
{
	char control[CMSG_SPACE(4 * sizeof(int))] = { 0 };
	uint8_t copy[256];
	struct iovec iov = { copy, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	memcpy(copy, bytes, len);
	if (fd >= 0) {
		struct cmsghdr *c;

		mh.msg_control = control;
		mh.msg_controllen = CMSG_SPACE((size_t)n_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN((size_t)n_fds * sizeof(int));
		for (int i = 0; i < n_fds; i++)
			memcpy(CMSG_DATA(c) + (size_t)i * sizeof(fd), &fd, sizeof(fd));
	}
	if (sendmsg(sock, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return; /* the script is too long for the buffer: what was sent counts */
}

static void play(int sock, const uint8_t *data, size_t size)
{
	int fds[4] = { -1, memory(), eventfd(1, EFD_CLOEXEC), -1 }, pipe_fds[2];

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		abort();
	fds[3] = pipe_fds[1];
	while (size > 2) {
		size_t len = data[1] < size - 2 ? data[1] : size - 2;

		if (len > 0)
			send_step(sock, data + 2, len, fds[data[0] & 3], 1 + (data[0] >> 2 & 3));
		data += 2 + len;
		size -= 2 + len;
	}
	for (int i = 1; i < 4; i++)
		(void)close(fds[i]);
	(void)close(pipe_fds[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz_device fuzz; /* the chain is too big for the stack */
	struct vhost_user *vu;
	struct loop *loop;
	int sv[2], first, last;

	first = dup(0);
	(void)close(first);
	memset(&fuzz.dev, 0, sizeof(fuzz.dev));
	fuzz.dev.ops = &ops;
	if (loop_new(&loop) < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0 ||
	    vhost_user_new(loop, &fuzz.dev, sv[0], on_closed, loop, &vu) < 0)
		abort();
	play(sv[1], data, size < MAX_SCRIPT ? size : MAX_SCRIPT);
	(void)shutdown(sv[1], SHUT_WR);
	if (loop_run(loop) < 0)
		abort();
	vhost_user_free(vu);
	loop_free(loop);
	(void)close(sv[1]);
	last = dup(0);
	(void)close(last);
	if (first != last)
		abort(); /* a descriptor was left open */
	return 0;
}
