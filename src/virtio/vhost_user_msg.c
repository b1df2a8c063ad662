/* SPDX-License-Identifier: Apache-2.0 */
#include "virtio/vhost_user_msg.h"

#include <errno.h>
#include <string.h>

#include "virtio/device.h"

#define FLAGS_VERSION_MASK 3u
#define FLAGS_VERSION	   1u
#define FLAGS_REPLY	   (1u << 2)
#define FLAGS_NEED_REPLY   (1u << 3)

#define VRING_INDEX_MASK 0xffu
#define VRING_NO_FD	 (1u << 8)

#define CONFIG_HEADER_SIZE 12 /* offset, size, flags */

enum payload { P_NONE, P_U64, P_STATE, P_ADDR, P_FILE, P_CONFIG, P_MEM };

static const struct {
	const char *name; /* NULL: not served */
	enum payload payload;
} requests[VU_REQUEST_MAX] = {
	[VU_GET_FEATURES] = { "GET_FEATURES", P_NONE },
	[VU_SET_FEATURES] = { "SET_FEATURES", P_U64 },
	[VU_SET_OWNER] = { "SET_OWNER", P_NONE },
	[VU_RESET_OWNER] = { "RESET_OWNER", P_NONE },
	[VU_SET_MEM_TABLE] = { "SET_MEM_TABLE", P_MEM },
	[VU_SET_VRING_NUM] = { "SET_VRING_NUM", P_STATE },
	[VU_SET_VRING_ADDR] = { "SET_VRING_ADDR", P_ADDR },
	[VU_SET_VRING_BASE] = { "SET_VRING_BASE", P_STATE },
	[VU_GET_VRING_BASE] = { "GET_VRING_BASE", P_STATE },
	[VU_SET_VRING_KICK] = { "SET_VRING_KICK", P_FILE },
	[VU_SET_VRING_CALL] = { "SET_VRING_CALL", P_FILE },
	[VU_SET_VRING_ERR] = { "SET_VRING_ERR", P_FILE },
	[VU_GET_PROTOCOL_FEATURES] = { "GET_PROTOCOL_FEATURES", P_NONE },
	[VU_SET_PROTOCOL_FEATURES] = { "SET_PROTOCOL_FEATURES", P_U64 },
	[VU_GET_QUEUE_NUM] = { "GET_QUEUE_NUM", P_NONE },
	[VU_SET_VRING_ENABLE] = { "SET_VRING_ENABLE", P_STATE },
	[VU_GET_CONFIG] = { "GET_CONFIG", P_CONFIG },
	[VU_SET_CONFIG] = { "SET_CONFIG", P_CONFIG },
	[VU_RESET_DEVICE] = { "RESET_DEVICE", P_NONE },
};

/* Both ends run on one machine: the protocol is in its byte order. */
static uint32_t u32_at(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t u64_at(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

const char *vu_request_name(enum vu_request request)
{
	return request < VU_REQUEST_MAX && requests[request].name ? requests[request].name : "?";
}

int vu_msg_payload_size(const uint8_t *header, uint32_t *ret_size)
{
	uint32_t request = u32_at(header), flags = u32_at(header + 4), size = u32_at(header + 8);

	if ((flags & FLAGS_VERSION_MASK) != FLAGS_VERSION || (flags & FLAGS_REPLY))
		return -EPROTO;
	if (request >= VU_REQUEST_MAX || !requests[request].name || size > VU_MAX_PAYLOAD)
		return -EPROTO;
	*ret_size = size;
	return 0;
}

static int parse_mem(const uint8_t *p, uint32_t size, struct vu_msg *msg)
{
	uint32_t n;

	if (size < 8)
		return -EPROTO;
	n = u32_at(p);
	if (n > GUEST_MEM_MAX_REGIONS || size != 8 + 32 * n || msg->n_fds != n)
		return -EPROTO;
	msg->mem.n = n;
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *r = p + 8 + 32 * (size_t)i;

		msg->mem.regions[i] = (struct vu_region){
			.gpa = u64_at(r),
			.size = u64_at(r + 8),
			.user = u64_at(r + 16),
			.offset = u64_at(r + 24),
		};
	}
	return 0;
}

static int parse_file(const uint8_t *p, uint32_t size, struct vu_msg *msg)
{
	uint64_t v;

	if (size != 8)
		return -EPROTO;
	v = u64_at(p);
	if ((v & ~(uint64_t)(VRING_INDEX_MASK | VRING_NO_FD)) ||
	    msg->n_fds != (v & VRING_NO_FD ? 0 : 1))
		return -EPROTO;
	msg->file.index = (uint32_t)v & VRING_INDEX_MASK;
	msg->file.fd = msg->n_fds ? msg->fds[0] : -1;
	return msg->file.index < VIRTIO_MAX_QUEUES ? 0 : -EPROTO;
}

static int parse_config(const uint8_t *p, uint32_t size, struct vu_msg *msg)
{
	uint32_t end;

	if (size < CONFIG_HEADER_SIZE)
		return -EPROTO;
	msg->config.offset = u32_at(p);
	msg->config.len = u32_at(p + 4);
	if (__builtin_add_overflow(msg->config.offset, msg->config.len, &end) ||
	    end > VU_CONFIG_MAX || size != CONFIG_HEADER_SIZE + msg->config.len)
		return -EPROTO;
	return 0;
}

static int parse_payload(const uint8_t *p, uint32_t size, struct vu_msg *msg)
{
	switch (requests[msg->request].payload) {
	case P_NONE:
		return size == 0 ? 0 : -EPROTO;
	case P_U64:
		if (size != 8)
			return -EPROTO;
		msg->u64 = u64_at(p);
		return 0;
	case P_STATE:
		if (size != 8)
			return -EPROTO;
		msg->state.index = u32_at(p);
		msg->state.num = u32_at(p + 4);
		return msg->state.index < VIRTIO_MAX_QUEUES ? 0 : -EPROTO;
	case P_ADDR: /* index, flags (logging, not offered), desc, used, avail, log */
		if (size != 40)
			return -EPROTO;
		msg->addr.index = u32_at(p);
		msg->addr.desc = u64_at(p + 8);
		msg->addr.used = u64_at(p + 16);
		msg->addr.avail = u64_at(p + 24);
		return msg->addr.index < VIRTIO_MAX_QUEUES ? 0 : -EPROTO;
	case P_FILE:
		return parse_file(p, size, msg);
	case P_CONFIG:
		return parse_config(p, size, msg);
	case P_MEM:
		return parse_mem(p, size, msg);
	}
	return -EPROTO;
}

int vu_msg_parse(const uint8_t *bytes, size_t len, const int *fds, uint32_t n_fds,
		 struct vu_msg *ret_msg)
{
	enum payload payload;
	uint32_t size;
	int r;

	if (len < VU_HEADER_SIZE || n_fds > VU_MAX_FDS)
		return -EPROTO;
	r = vu_msg_payload_size(bytes, &size);
	if (r < 0)
		return r;
	if (len - VU_HEADER_SIZE != size)
		return -EPROTO;
	*ret_msg = (struct vu_msg){
		.request = u32_at(bytes),
		.need_reply = u32_at(bytes + 4) & FLAGS_NEED_REPLY,
		.n_fds = n_fds,
	};
	for (uint32_t i = 0; i < n_fds; i++)
		ret_msg->fds[i] = fds[i];
	payload = requests[ret_msg->request].payload;
	r = payload != P_MEM && payload != P_FILE && n_fds > 0
		    ? -EPROTO
		    : parse_payload(bytes + VU_HEADER_SIZE, size, ret_msg);
	if (r < 0)
		ret_msg->n_fds = 0; /* the caller's again */
	return r;
}

void vu_msg_done(struct vu_msg *msg)
{
	for (uint32_t i = 0; i < msg->n_fds; i++)
		if (msg->fds[i] >= 0)
			(void)close(msg->fds[i]);
	msg->n_fds = 0;
}
