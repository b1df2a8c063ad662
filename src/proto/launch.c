/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/launch.h"

#include "proto/frame.h"
#include "proto/internal.h"

#define EXTENTS_MAX 65536 /* of one disk: parts of all layers and the upper */
#define MOUNTS_MAX  4096

#define CHARS(type, member) FIELD_CHARS, offsetof(type, member), sizeof(((type *)0)->member)

static const struct field extent_fields[] = {
	{ 1, FIELD_U64, offsetof(struct launch_extent, disk_offset), .max = INT64_MAX },
	{ 2, FIELD_U64, offsetof(struct launch_extent, file_offset), .max = INT64_MAX },
	{ 3, FIELD_U64, offsetof(struct launch_extent, len), .max = INT64_MAX },
	{ 4, FIELD_U32, offsetof(struct launch_extent, fd), .max = INT32_MAX },
	{ 5, FIELD_BOOL, offsetof(struct launch_extent, writable) },
	{ 6, FIELD_BOOL, offsetof(struct launch_extent, volatile_data) },
	{ 7, FIELD_U32, offsetof(struct launch_extent, format), .max = LAUNCH_FORMAT_MAX - 1 },
	{ 8, FIELD_U32, offsetof(struct launch_extent, layer_fd), .max = INT32_MAX },
};
static const struct message extent_message = MESSAGE(struct launch_extent, extent_fields);

static const struct field mount_fields[] = {
	{ 1, FIELD_U32, offsetof(struct launch_mount, fd), .max = INT32_MAX },
	{ 2, FIELD_BOOL, offsetof(struct launch_mount, read_only) },
	{ 3, FIELD_U32, offsetof(struct launch_mount, uid) },
	{ 4, FIELD_U32, offsetof(struct launch_mount, gid) },
	{ 5, FIELD_BOOL, offsetof(struct launch_mount, hide_set) },
	{ 6, FIELD_U64, offsetof(struct launch_mount, hide_dev) },
	{ 7, FIELD_U64, offsetof(struct launch_mount, hide_ino) },
};
static const struct message mount_message = MESSAGE(struct launch_mount, mount_fields);

static const struct field spec_fields[] = {
	{ 1, CHARS(struct launch_spec, id) },
	{ 2, CHARS(struct launch_spec, name) },
	{ 3, CHARS(struct launch_spec, engine) },
	{ 4, FIELD_STR, offsetof(struct launch_spec, qemu_path) },
	{ 5, FIELD_STR, offsetof(struct launch_spec, cmdline) },
	{ 6, FIELD_U32, offsetof(struct launch_spec, cpus) },
	{ 7, FIELD_U64, offsetof(struct launch_spec, memory_mib) },
	{ 9, FIELD_BOOL, offsetof(struct launch_spec, flush) },
	{ 10, FIELD_BOOL, offsetof(struct launch_spec, remove_run_dir) },
	{ 11, FIELD_U64, offsetof(struct launch_spec, start_timeout_ms) },
	{ 12, FIELD_U64, offsetof(struct launch_spec, disk_size), .max = INT64_MAX },
	{ 13, FIELD_ARRAY, offsetof(struct launch_spec, extents), .max = EXTENTS_MAX,
	  .count = offsetof(struct launch_spec, n_extents), .item = &extent_message },
	{ 14, FIELD_ARRAY, offsetof(struct launch_spec, mounts), .max = MOUNTS_MAX,
	  .count = offsetof(struct launch_spec, n_mounts), .item = &mount_message },
	{ 15, FIELD_U64, offsetof(struct launch_spec, max_duration_ms), .max = INT64_MAX },
	{ 16, FIELD_U64, offsetof(struct launch_spec, idle_timeout_ms), .max = INT64_MAX },
	{ 17, FIELD_U64, offsetof(struct launch_spec, linger_ms), .max = INT64_MAX },
	{ 18, FIELD_U32, offsetof(struct launch_spec, stop_timeout_ms) },
	{ 19, FIELD_U32, offsetof(struct launch_spec, stop_signal), .max = 64 },
	{ 30, FIELD_U32, offsetof(struct launch_spec, capture), .max = CAPTURE_MAX - 1 },
};
static const struct message spec_message = MESSAGE(struct launch_spec, spec_fields);

void launch_spec_done(struct launch_spec *s)
{
	if (s)
		message_done(&spec_message, s);
}

int launch_spec_encode(struct buf *b, const struct launch_spec *s)
{
	return message_encode(b, &spec_message, s);
}

int launch_spec_decode(const void *data, size_t len, struct launch_spec *s)
{
	return message_decode(data, len, &spec_message, s);
}

static const struct field progress_fields[] = {
	{ 1, CHARS(struct launch_progress, stage) },
	{ 2, FIELD_U64, offsetof(struct launch_progress, at_ns) },
};
static const struct message progress_message = MESSAGE(struct launch_progress, progress_fields);

int launch_progress_encode(struct buf *b, const struct launch_progress *x)
{
	return message_frame(b, FRAME_LAUNCH_PROGRESS, &progress_message, x);
}

int launch_progress_decode(const void *payload, size_t len, struct launch_progress *x)
{
	return message_decode(payload, len, &progress_message, x);
}

static const struct field stop_fields[] = {
	{ 1, FIELD_U32, offsetof(struct stop_request, how), .max = STOP_HOW_MAX - 1 },
	{ 2, FIELD_U32, offsetof(struct stop_request, grace_ms) },
};
static const struct message stop_message = MESSAGE(struct stop_request, stop_fields);

int stop_request_encode(struct buf *b, const struct stop_request *x)
{
	return message_frame(b, FRAME_STOP, &stop_message, x);
}

int stop_request_decode(const void *payload, size_t len, struct stop_request *x)
{
	return message_decode(payload, len, &stop_message, x);
}
