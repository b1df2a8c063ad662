/* SPDX-License-Identifier: Apache-2.0 */
#include "boot.h"

#include <errno.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "proto/frame.h"

#define READ_CHUNK (256u << 10) /* bytes */
#define LAST_MS	   1000		/* for the host to read why the boot failed */

int boot_connect(struct failure *f)
{
	struct sockaddr_vm addr = {
		.svm_family = AF_VSOCK,
		.svm_port = AGENT_CONTROL_PORT,
		.svm_cid = VMADDR_CID_HOST,
	};
	AUTO_CLOSE int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return fail(f, "agent", errno, "vsock", "connect to the host");
	return TAKE_FD(fd);
}

static int send_buf(int fd, struct buf *b, int r)
{
	if (r >= 0)
		r = io_write_full(fd, b->data, b->len);
	buf_done(b);
	return r;
}

static int say_hello(int fd)
{
	struct buf b = { .max = 4096 };
	int r = hello_encode(&b, &(struct hello){ .min = AGENT_PROTO_MIN, .max = AGENT_PROTO_MAX });

	return send_buf(fd, &b, r);
}

/* The next frame of @in, reading as needed; 0 or -errno. The caller takes it off. */
static int64_t next_frame(int fd, struct buf *in, struct frame *ret)
{
	for (;;) {
		int64_t n = frame_next(in->data, in->len, ret);
		size_t room = in->max - in->len;
		ssize_t got;
		void *p;

		if (n != 0)
			return n;
		p = buf_room(in, room < READ_CHUNK ? room : READ_CHUNK);
		if (!p)
			return -ENOMEM;
		got = read(fd, p, room < READ_CHUNK ? room : READ_CHUNK);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -ECONNRESET;
		buf_grew(in, (size_t)got);
	}
}

static int take_hello(const struct frame *f)
{
	struct hello h;
	int r = f->type == FRAME_HELLO ? hello_decode(f->payload, f->len, &h) : -EPROTO;

	return r < 0 ? r : hello_agree(&h);
}

static int read_message(int fd, struct buf *in, struct buf *message)
{
	bool more = true;

	while (more) {
		struct frame f;
		int64_t n = next_frame(fd, in, &f);
		int r;

		if (n < 0)
			return (int)n;
		r = f.type == FRAME_BOOT ? buf_add(message, f.payload, f.len) : -EPROTO;
		if (r < 0)
			return r;
		more = f.flags & FRAME_FLAG_MORE;
		buf_take(in, (size_t)n);
	}
	return 0;
}

int boot_read(int fd, struct boot_spec *ret, struct buf *early, struct failure *f)
{
	AUTO(buf_done) struct buf message = { .max = AGENT_BOOT_MAX };
	struct frame frame;
	int64_t n;
	int r = say_hello(fd);

	if (r < 0)
		return fail(f, "agent", -r, "hello", "greet the host");
	n = next_frame(fd, early, &frame);
	r = n < 0 ? (int)n : take_hello(&frame);
	if (r < 0)
		return fail(f, "agent", -r, "hello", "read the host's greeting");
	buf_take(early, (size_t)n);
	r = read_message(fd, early, &message);
	if (r >= 0)
		r = boot_spec_decode(message.data, message.len, ret);
	explicit_bzero(message.data, message.len);
	return r < 0 ? fail(f, "agent", -r, "boot", "read the boot message") : 0;
}

int boot_progress(int fd, const char *stage)
{
	struct buf b = { .max = 4096 };
	int r = progress_encode(&b, stage);

	return send_buf(fd, &b, r);
}

void boot_failed(int fd, const struct failure *f)
{
	struct buf b = { .max = 8192 };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char away[256];
	int r = failure_encode(&b, FRAME_BOOT_FAILED, f);

	if (send_buf(fd, &b, r) < 0)
		return;
	(void)shutdown(fd, SHUT_WR);
	while (poll(&p, 1, LAST_MS) > 0 && recv(fd, away, sizeof(away), MSG_DONTWAIT) > 0)
		;
}
