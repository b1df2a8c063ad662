/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/agent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/cbor.h"
#include "proto/frame.h"
#include "proto/internal.h"

#define SIGNAL_MAX 64  /* Linux: SIGRTMAX */
#define CODE_MAX   255 /* of an exit code */

void str_list_done(struct str_list *l)
{
	if (!l)
		return;
	for (size_t i = 0; l->items && l->items[i]; i++) /* the list may be half built */
		free(l->items[i]);
	free(l->items);
	*l = (struct str_list){ 0 };
}

int str_list_add(struct str_list *l, const char *item)
{
	char *copy = strdup(item);
	char **more;

	if (!copy)
		return -ENOMEM;
	/* The array has room for a power of two of pointers, the final NULL among them. */
	if (l->n == 0 || ((l->n + 1) & l->n) == 0) {
		more = reallocarray(l->items, 2 * (l->n + 1), sizeof(*more));
		if (!more) {
			free(copy);
			return -ENOMEM;
		}
		l->items = more;
	}
	l->items[l->n++] = copy;
	l->items[l->n] = NULL;
	return 0;
}

static const struct field hello_fields[] = {
	{ 1, FIELD_U32, offsetof(struct hello, min) },
	{ 2, FIELD_U32, offsetof(struct hello, max) },
	{ 3, FIELD_U64, offsetof(struct hello, features) },
};
static const struct message hello_message = MESSAGE(struct hello, hello_fields);

int hello_encode(struct buf *b, const struct hello *x)
{
	return message_frame(b, FRAME_HELLO, &hello_message, x);
}

int hello_decode(const void *payload, size_t len, struct hello *x)
{
	int r = message_decode(payload, len, &hello_message, x);

	if (r >= 0 && x->min > x->max) {
		*x = (struct hello){ 0 };
		r = -EPROTO;
	}
	return r;
}

int hello_agree(const struct hello *peer)
{
	uint32_t version = peer->max < AGENT_PROTO_MAX ? peer->max : AGENT_PROTO_MAX;

	return version < peer->min || version < AGENT_PROTO_MIN ? -EPROTONOSUPPORT : (int)version;
}

static const struct field failure_fields[] = {
	{ 1, FIELD_CHARS, offsetof(struct failure, stage), sizeof(((struct failure *)0)->stage) },
	{ 2, FIELD_CHARS, offsetof(struct failure, kind), sizeof(((struct failure *)0)->kind) },
	{ 3, FIELD_I32, offsetof(struct failure, sys) },
	{ 4, FIELD_CHARS, offsetof(struct failure, subject),
	  sizeof(((struct failure *)0)->subject) },
	{ 5, FIELD_CHARS, offsetof(struct failure, message),
	  sizeof(((struct failure *)0)->message) },
};
static const struct message failure_message = MESSAGE(struct failure, failure_fields);

int failure_encode(struct buf *b, uint16_t type, const struct failure *x)
{
	return message_frame(b, type, &failure_message, x);
}

int failure_decode(const void *payload, size_t len, struct failure *x)
{
	return message_decode(payload, len, &failure_message, x);
}

static const struct field session_fields[] = {
	{ 1, FIELD_U64, offsetof(struct session_event, session) },
	{ 2, FIELD_BOOL, offsetof(struct session_event, ended) },
	{ 3, FIELD_BOOL, offsetof(struct session_event, main) },
	{ 4, FIELD_U32, offsetof(struct session_event, code), .max = CODE_MAX },
	{ 5, FIELD_U32, offsetof(struct session_event, signal), .max = SIGNAL_MAX },
	{ 6, FIELD_U32, offsetof(struct session_event, n_live) },
};
static const struct message session_message = MESSAGE(struct session_event, session_fields);

int session_event_encode(struct buf *b, const struct session_event *x)
{
	return message_frame(b, FRAME_SESSION, &session_message, x);
}

int session_event_decode(const void *payload, size_t len, struct session_event *x)
{
	return message_decode(payload, len, &session_message, x);
}

static const struct field shutdown_fields[] = {
	{ 1, FIELD_U32, offsetof(struct shutdown_request, grace_ms) },
	{ 2, FIELD_U32, offsetof(struct shutdown_request, signal), .max = 64 },
};
static const struct message shutdown_message = MESSAGE(struct shutdown_request, shutdown_fields);

int shutdown_request_encode(struct buf *b, const struct shutdown_request *x)
{
	return message_frame(b, FRAME_SHUTDOWN, &shutdown_message, x);
}

int shutdown_request_decode(const void *payload, size_t len, struct shutdown_request *x)
{
	return message_decode(payload, len, &shutdown_message, x);
}

static const struct field error_fields[] = {
	{ 1, FIELD_CHARS, offsetof(struct proto_error, code),
	  sizeof(((struct proto_error *)0)->code) },
	{ 2, FIELD_U32, offsetof(struct proto_error, type) },
};
static const struct message error_message = MESSAGE(struct proto_error, error_fields);

int proto_error_encode(struct buf *b, const struct proto_error *x)
{
	return message_frame(b, FRAME_ERROR, &error_message, x);
}

int proto_error_decode(const void *payload, size_t len, struct proto_error *x)
{
	return message_decode(payload, len, &error_message, x);
}

int progress_encode(struct buf *b, const char *stage)
{
	size_t start;
	int r = frame_begin(b, FRAME_PROGRESS, &start);

	if (r < 0)
		return r;
	r = cbor_put_text(b, stage);
	if (r < 0) {
		b->len = start;
		return r;
	}
	return frame_end(b, start);
}

int progress_decode(const void *payload, size_t len, char stage[PROGRESS_STAGE_MAX])
{
	struct cbor c = cbor_over(payload, len);
	const char *text;
	size_t text_len;
	int r = cbor_get_text(&c, &text, &text_len);

	stage[0] = '\0';
	if (r < 0)
		return r;
	if (c.p != c.end || text_len >= PROGRESS_STAGE_MAX)
		return -EPROTO;
	memcpy(stage, text, text_len);
	stage[text_len] = '\0';
	return 0;
}
