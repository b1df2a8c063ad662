/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIO_VHOST_USER_CONN_H
#define VIRTIO_VHOST_USER_CONN_H

#include "virtio/vhost_user_msg.h"

/*
 * The socket to the front end, with the message that is coming in.
 * Read until 1, take the message, reply; and again.
 */
struct vu_conn {
	int fd; /* owned; -1 once done */
	uint8_t in[VU_HEADER_SIZE + VU_MAX_PAYLOAD];
	size_t in_len;
	int in_fds[VU_MAX_FDS]; /* owned */
	uint32_t n_in_fds;
};

struct vu_reply {
	bool set;
	uint32_t len; /* of the payload */
	uint8_t payload[12 + VU_CONFIG_MAX];
};

/**
 * vu_conn_read() - Read on, never past the end of the present message
 * Return: 1 when a message is whole, 0 when there is more to wait for, -ESHUTDOWN at the end
 * of the stream, -EPROTO, or what recvmsg() says.
 */
MUST_CHECK int vu_conn_read(struct vu_conn *conn);

/* Parse the message that is whole. 0 or -EPROTO. */
MUST_CHECK int vu_conn_take(struct vu_conn *conn, struct vu_msg *ret_msg);

/* Never waits. Return: 0, -ESHUTDOWN, -EPROTO (no room: nobody reads), or what sendmsg() says. */
MUST_CHECK int vu_conn_reply(struct vu_conn *conn, enum vu_request request, struct vu_reply *reply);

/* Close the socket and the descriptors that came and were not taken. */
void vu_conn_done(struct vu_conn *conn);

#endif /* VIRTIO_VHOST_USER_CONN_H */
