/* SPDX-License-Identifier: Apache-2.0 */
#include "virtio/vhost_user_conn.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Keep the descriptors of one recvmsg(). */
static int keep_fds(struct vu_conn *conn, struct msghdr *mh)
{
	int result = mh->msg_flags & MSG_CTRUNC ? -EPROTO : 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (conn->n_in_fds < VU_MAX_FDS) {
				conn->in_fds[conn->n_in_fds++] = fd;
			} else {
				(void)close(fd);
				result = -EPROTO;
			}
		}
	}
	return result;
}

/* Bytes that the present message still lacks, as far as is known. */
static int missing(const struct vu_conn *conn, size_t *ret_n)
{
	uint32_t size = 0;

	if (conn->in_len < VU_HEADER_SIZE) {
		*ret_n = VU_HEADER_SIZE - conn->in_len;
		return 0;
	}
	if (vu_msg_payload_size(conn->in, &size) < 0)
		return -EPROTO;
	*ret_n = VU_HEADER_SIZE + size - conn->in_len;
	return 0;
}

/* Read up to @len bytes. Return: their number, 0 when there are none now, or -errno. */
static int read_part(struct vu_conn *conn, size_t len)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * VU_MAX_FDS)];
	struct iovec iov = { .iov_base = conn->in + conn->in_len, .iov_len = len };
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(conn->fd, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	int r;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0)
		return errno == ECONNRESET ? -ESHUTDOWN : -errno;
	r = keep_fds(conn, &mh);
	if (r < 0)
		return r;
	if (n == 0)
		return conn->in_len > 0 ? -EPROTO : -ESHUTDOWN;
	conn->in_len += (size_t)n;
	return (int)n;
}

/* #syscalls:sandbox recvmsg */
int vu_conn_read(struct vu_conn *conn)
{
	size_t n;
	int r;

	/* Header, then payload; a peer that sends less than these at once has to wait. */
	for (int i = 0; i < 2; i++) {
		r = missing(conn, &n);

		if (r < 0 || n == 0)
			return r < 0 ? r : 1;
		r = read_part(conn, n);
		if (r <= 0)
			return r;
	}
	r = missing(conn, &n);
	return r < 0 ? r : n == 0;
}

int vu_conn_take(struct vu_conn *conn, struct vu_msg *ret_msg)
{
	int r = vu_msg_parse(conn->in, conn->in_len, conn->in_fds, conn->n_in_fds, ret_msg);

	if (r < 0)
		return r;
	conn->in_len = 0;
	conn->n_in_fds = 0; /* the message's now */
	return 0;
}

/* #syscalls:sandbox sendmsg */
int vu_conn_reply(struct vu_conn *conn, enum vu_request request, struct vu_reply *reply)
{
	uint32_t header[3] = { request, 1 /* version */ | 1 << 2 /* reply */, reply->len };
	struct iovec iov[2] = { { header, sizeof(header) }, { reply->payload, reply->len } };
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n = sendmsg(conn->fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);

	/* The front end waits for each answer, so there is room for one or it is none of ours. */
	if (n < 0 && errno == EAGAIN)
		return -EPROTO;
	if (n < 0)
		return errno == EPIPE || errno == ECONNRESET ? -ESHUTDOWN : -errno;
	return (size_t)n == sizeof(header) + reply->len ? 0 : -EPROTO;
}

void vu_conn_done(struct vu_conn *conn)
{
	for (uint32_t i = 0; i < conn->n_in_fds; i++)
		(void)close(conn->in_fds[i]);
	conn->n_in_fds = 0;
	if (conn->fd >= 0)
		(void)close(conn->fd);
	conn->fd = -1;
}
