/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIO_VHOST_USER_MSG_H
#define VIRTIO_VHOST_USER_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/defer.h"
#include "base/err.h"
#include "virtio/memory.h"

/*
 * vhost-user messages, as the specification in QEMU's manual ("Vhost-user Protocol") has
 * them, of the kinds that this back end serves: bytes and descriptors in, a typed message
 * with checked sizes out.
 */
enum vu_request {
	VU_GET_FEATURES = 1,
	VU_SET_FEATURES = 2,
	VU_SET_OWNER = 3,
	VU_RESET_OWNER = 4,
	VU_SET_MEM_TABLE = 5,
	VU_SET_VRING_NUM = 8,
	VU_SET_VRING_ADDR = 9,
	VU_SET_VRING_BASE = 10,
	VU_GET_VRING_BASE = 11,
	VU_SET_VRING_KICK = 12,
	VU_SET_VRING_CALL = 13,
	VU_SET_VRING_ERR = 14,
	VU_GET_PROTOCOL_FEATURES = 15,
	VU_SET_PROTOCOL_FEATURES = 16,
	VU_GET_QUEUE_NUM = 17,
	VU_SET_VRING_ENABLE = 18,
	VU_GET_CONFIG = 24,
	VU_SET_CONFIG = 25,
	VU_RESET_DEVICE = 34,
	VU_REQUEST_MAX
};

#define VU_PROTOCOL_F_MQ	   0
#define VU_PROTOCOL_F_REPLY_ACK	   3
#define VU_PROTOCOL_F_CONFIG	   9
#define VU_PROTOCOL_F_RESET_DEVICE 13
#define VU_F_PROTOCOL_FEATURES	   30 /* a bit among the virtio features */

#define VU_HEADER_SIZE 12  /* bytes: request, flags, size of the payload */
#define VU_CONFIG_MAX  256 /* bytes of config space; as in QEMU */
#define VU_MAX_FDS     GUEST_MEM_MAX_REGIONS
/* The largest payload: the memory table. */
#define VU_MAX_PAYLOAD (8 + 32 * GUEST_MEM_MAX_REGIONS)

struct vu_region {
	gpa_t gpa;
	uint64_t size;	 /* bytes */
	uint64_t user;	 /* address in the front end's own space */
	uint64_t offset; /* of the region in its file */
};

struct vu_msg {
	enum vu_request request;
	bool need_reply;
	uint32_t n_fds;
	int fds[VU_MAX_FDS]; /* owned; whoever takes one leaves -1 */
	union {
		uint64_t u64;
		struct {
			uint32_t index; /* below VIRTIO_MAX_QUEUES */
			uint32_t num;
		} state;
		struct {
			uint32_t index;		    /* below VIRTIO_MAX_QUEUES */
			uint64_t desc, used, avail; /* the front end's addresses */
		} addr;
		struct {
			uint32_t index; /* below VIRTIO_MAX_QUEUES */
			int fd;		/* borrowed from fds; -1: none */
		} file;
		struct {
			uint32_t offset, len; /* within VU_CONFIG_MAX */
		} config;
		struct {
			uint32_t n; /* as many as fds */
			struct vu_region regions[GUEST_MEM_MAX_REGIONS];
		} mem;
	};
};

/**
 * vu_msg_payload_size() - Size of the payload that follows a header
 * @header:	VU_HEADER_SIZE bytes
 * Return: 0, -EPROTO (version, a reply, an unknown request, too long).
 */
MUST_CHECK int vu_msg_payload_size(const uint8_t *header, uint32_t *ret_size);

/**
 * vu_msg_parse() - A whole message
 * @bytes:	Header and payload
 * @fds:	What came with it; owned by *ret_msg on success, else still by the caller
 * Return: 0, -EPROTO.
 */
MUST_CHECK int vu_msg_parse(const uint8_t *bytes, size_t len, const int *fds, uint32_t n_fds,
			    struct vu_msg *ret_msg);

/* Close the descriptors that nobody took. */
void vu_msg_done(struct vu_msg *msg);
static inline void vu_msg_done_auto(struct vu_msg *msg)
{
	vu_msg_done(msg);
}

/* Name of a request, for logs. */
const char *vu_request_name(enum vu_request request);

#endif /* VIRTIO_VHOST_USER_MSG_H */
