/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "proto/agent.h"
#include "proto/frame.h"
#include "proto/internal.h"

/* Items of one list; far above any use, so that a hostile message costs little memory. */
#define PARTS_MAX  256
#define MOUNTS_MAX 4096
#define ENV_MAX	   65536

static const struct field part_fields[] = {
	{ 1, FIELD_U64, offsetof(struct boot_part, offset), .max = INT64_MAX },
	{ 2, FIELD_U64, offsetof(struct boot_part, len), .max = INT64_MAX },
};
static const struct message part_message = MESSAGE(struct boot_part, part_fields);

static const struct field mount_fields[] = {
	{ 1, FIELD_U32, offsetof(struct boot_mount, number) },
	{ 2, FIELD_STR, offsetof(struct boot_mount, target) },
	{ 3, FIELD_BOOL, offsetof(struct boot_mount, read_only) },
	{ 4, FIELD_BOOL, offsetof(struct boot_mount, nosuid) },
	{ 5, FIELD_BOOL, offsetof(struct boot_mount, noexec) },
	{ 6, FIELD_BOOL, offsetof(struct boot_mount, nodev) },
};
static const struct message mount_message = MESSAGE(struct boot_mount, mount_fields);

static const struct field rlimit_fields[] = {
	{ 1, FIELD_U32, offsetof(struct exec_rlimit, resource), .max = EXEC_RLIMITS - 1 },
	{ 2, FIELD_U64, offsetof(struct exec_rlimit, soft) },
	{ 3, FIELD_U64, offsetof(struct exec_rlimit, hard) },
};
const struct message rlimit_message = MESSAGE(struct exec_rlimit, rlimit_fields);

static const struct field boot_fields[] = {
	{ 1, FIELD_ARRAY, offsetof(struct boot_spec, parts), .max = PARTS_MAX,
	  .count = offsetof(struct boot_spec, n_parts), .item = &part_message },
	{ 2, FIELD_INDEX, offsetof(struct boot_spec, root_part) },
	{ 3, FIELD_INDEX, offsetof(struct boot_spec, root_mount) },
	{ 4, FIELD_U32, offsetof(struct boot_spec, upper), .max = BOOT_UPPER_MAX - 1 },
	{ 5, FIELD_U32, offsetof(struct boot_spec, upper_part) },
	{ 6, FIELD_U64, offsetof(struct boot_spec, upper_size) },
	{ 7, FIELD_INDEX, offsetof(struct boot_spec, modules_part) },
	{ 8, FIELD_ARRAY, offsetof(struct boot_spec, mounts), .max = MOUNTS_MAX,
	  .count = offsetof(struct boot_spec, n_mounts), .item = &mount_message },
	{ 9, FIELD_STR, offsetof(struct boot_spec, hostname) },
	{ 10, FIELD_LIST, offsetof(struct boot_spec, env), .max = ENV_MAX },
	{ 11, FIELD_STR, offsetof(struct boot_spec, workdir) },
	{ 12, FIELD_BOOL, offsetof(struct boot_spec, workdir_create) },
	{ 13, FIELD_STR, offsetof(struct boot_spec, user) },
	{ 14, FIELD_U64, offsetof(struct boot_spec, time_ns), .max = INT64_MAX },
	{ 15, FIELD_BLOB, offsetof(struct boot_spec, seed), .size = 64 },
	{ 16, FIELD_STR, offsetof(struct boot_spec, root_fs) },
	{ 17, FIELD_ARRAY, offsetof(struct boot_spec, rlimits), .max = EXEC_RLIMITS,
	  .count = offsetof(struct boot_spec, n_rlimits), .item = &rlimit_message },
};
static const struct message boot_message = MESSAGE(struct boot_spec, boot_fields);

void boot_spec_init(struct boot_spec *s)
{
	message_init(&boot_message, s);
}

void boot_spec_done(struct boot_spec *s)
{
	if (s)
		message_done(&boot_message, s);
}

static int split_into_frames(struct buf *b, const struct buf *payload)
{
	size_t before = b->len, done = 0;

	do {
		size_t n = payload->len - done;
		uint16_t flags = 0;
		int r;

		if (n > FRAME_MAX_PAYLOAD) {
			n = FRAME_MAX_PAYLOAD;
			flags = FRAME_FLAG_MORE;
		}
		r = frame_add(b, FRAME_BOOT, flags, payload->data + done, n);
		if (r < 0) {
			b->len = before;
			return r;
		}
		done += n;
	} while (done < payload->len);
	return 0;
}

int boot_spec_encode(struct buf *b, const struct boot_spec *x)
{
	struct buf payload;
	int r;

	buf_init(&payload, AGENT_BOOT_MAX);
	r = message_encode(&payload, &boot_message, x);
	if (r >= 0)
		r = split_into_frames(b, &payload);
	buf_done(&payload);
	return r;
}

static bool part_ok(const struct boot_spec *x, uint32_t part)
{
	return part == BOOT_NONE || part < x->n_parts;
}

static bool boot_ok(const struct boot_spec *x)
{
	if (!part_ok(x, x->root_part) || !part_ok(x, x->modules_part))
		return false;
	if (x->upper == UPPER_DISK && x->upper_part >= x->n_parts)
		return false;
	for (size_t i = 0; i < x->n_mounts; i++)
		if (!x->mounts[i].target || x->mounts[i].target[0] != '/')
			return false;
	return true;
}

int boot_spec_decode(const void *payload, size_t len, struct boot_spec *x)
{
	int r = message_decode(payload, len, &boot_message, x);

	if (r >= 0 && !boot_ok(x)) {
		boot_spec_done(x);
		r = -EPROTO;
	}
	return r;
}
