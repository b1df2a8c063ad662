/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/frame.h"

#include <errno.h>

static void put_le(uint8_t *p, unsigned n_bytes, uint32_t v)
{
	for (unsigned i = 0; i < n_bytes; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static uint32_t get_le(const uint8_t *p, unsigned n_bytes)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < n_bytes; i++)
		v |= (uint32_t)p[i] << 8 * i;
	return v;
}

static void put_header(uint8_t *p, uint16_t type, uint16_t flags, uint32_t len)
{
	put_le(p, 2, type);
	put_le(p + 2, 2, flags);
	put_le(p + 4, 4, len);
}

bool frame_is_known(uint16_t type)
{
	static const struct {
		uint16_t first, last;
	} known[] = {
		{ FRAME_HELLO, FRAME_ERROR },	     { FRAME_BOOT, FRAME_PONG },
		{ FRAME_OPEN_EXEC, FRAME_TCP_EOF },  { FRAME_LAUNCH_PROGRESS, FRAME_TOUCH },
		{ FRAME_OPEN_REQUESTS, FRAME_THAW }, { FRAME_OPEN_FILE, FRAME_FILE_WARNING },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (type >= known[i].first && type <= known[i].last)
			return true;
	return false;
}

int frame_add(struct buf *b, uint16_t type, uint16_t flags, const void *payload, size_t len)
{
	uint8_t header[FRAME_HEADER];
	size_t before = b->len;
	int r;

	if (len > FRAME_MAX_PAYLOAD)
		return -EMSGSIZE;
	put_header(header, type, flags, (uint32_t)len);
	r = buf_add(b, header, sizeof(header));
	if (r < 0)
		return r;
	r = buf_add(b, payload, len);
	if (r < 0)
		b->len = before;
	return r;
}

int frame_begin(struct buf *b, uint16_t type, size_t *ret_at)
{
	size_t at = b->len;
	int r = frame_add(b, type, 0, NULL, 0);

	if (r < 0)
		return r;
	*ret_at = at;
	return 0;
}

int frame_end(struct buf *b, size_t at)
{
	size_t len = b->len - at - FRAME_HEADER;

	if (len > FRAME_MAX_PAYLOAD) {
		b->len = at;
		return -EMSGSIZE;
	}
	put_le(b->data + at + 4, 4, (uint32_t)len);
	return 0;
}

int64_t frame_next(const void *data, size_t len, struct frame *ret)
{
	const uint8_t *p = data;
	uint32_t payload_len;

	if (len < FRAME_HEADER)
		return 0;
	payload_len = get_le(p + 4, 4);
	if (payload_len > FRAME_MAX_PAYLOAD)
		return -EPROTO;
	if (len - FRAME_HEADER < payload_len)
		return 0;
	*ret = (struct frame){
		.type = (uint16_t)get_le(p, 2),
		.flags = (uint16_t)get_le(p + 2, 2),
		.payload = p + FRAME_HEADER,
		.len = payload_len,
	};
	return (int64_t)FRAME_HEADER + payload_len;
}
