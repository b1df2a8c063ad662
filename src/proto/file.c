/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/file.h"

#include <errno.h>
#include <string.h>

#include "proto/frame.h"
#include "proto/internal.h"

static const struct field request_fields[] = {
	{ 1, FIELD_U32, offsetof(struct file_request, op), .max = FILE_OP_MAX - 1 },
	{ 2, FIELD_STR, offsetof(struct file_request, path) },
	{ 3, FIELD_STR, offsetof(struct file_request, user) },
	{ 4, FIELD_STR, offsetof(struct file_request, as) },
	{ 5, FIELD_STR, offsetof(struct file_request, chown) },
	{ 6, FIELD_BOOL, offsetof(struct file_request, follow) },
	{ 7, FIELD_BOOL, offsetof(struct file_request, archive) },
	{ 8, FIELD_U64, offsetof(struct file_request, time_ns), .max = INT64_MAX },
};
static const struct message request_message = MESSAGE(struct file_request, request_fields);

void file_request_done(struct file_request *r)
{
	if (r)
		message_done(&request_message, r);
}

int file_request_encode(struct buf *b, const struct file_request *x)
{
	return message_frame(b, FRAME_OPEN_FILE, &request_message, x);
}

int file_request_decode(const void *payload, size_t len, struct file_request *x)
{
	int r = message_decode(payload, len, &request_message, x);

	if (r >= 0 && (!x->path || *x->path != '/' || strlen(x->path) > FILE_PATH_MAX)) {
		message_done(&request_message, x);
		r = -EPROTO;
	}
	return r;
}

static const struct field entry_fields[] = {
	{ 1, FIELD_U32, offsetof(struct file_entry, kind), .max = FILE_KIND_MAX - 1 },
	{ 2, FIELD_U64, offsetof(struct file_entry, size) },
	{ 3, FIELD_U32, offsetof(struct file_entry, mode), .max = 07777 },
	{ 4, FIELD_U32, offsetof(struct file_entry, uid) },
	{ 5, FIELD_U32, offsetof(struct file_entry, gid) },
	{ 6, FIELD_U64, offsetof(struct file_entry, nlink) },
};
static const struct message entry_message = MESSAGE(struct file_entry, entry_fields);

int file_entry_encode(struct buf *b, const struct file_entry *x)
{
	return message_frame(b, FRAME_FILE_ENTRY, &entry_message, x);
}

int file_entry_decode(const void *payload, size_t len, struct file_entry *x)
{
	return message_decode(payload, len, &entry_message, x);
}

static const struct field warning_fields[] = {
	{ 1, FIELD_CHARS, offsetof(struct file_warning, path),
	  sizeof(((struct file_warning *)0)->path) },
	{ 2, FIELD_CHARS, offsetof(struct file_warning, message),
	  sizeof(((struct file_warning *)0)->message) },
};
static const struct message warning_message = MESSAGE(struct file_warning, warning_fields);

int file_warning_encode(struct buf *b, const struct file_warning *x)
{
	return message_frame(b, FRAME_FILE_WARNING, &warning_message, x);
}

int file_warning_decode(const void *payload, size_t len, struct file_warning *x)
{
	return message_decode(payload, len, &warning_message, x);
}
