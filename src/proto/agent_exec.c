/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of exec, attach and TCP streams. */
#include <errno.h>
#include <stdlib.h>

#include "proto/agent.h"
#include "proto/frame.h"
#include "proto/internal.h"

#define LIST_MAX       65536	    /* strings of argv or environment */
#define SIGNAL_MAX     64	    /* Linux: SIGRTMAX */
#define CODE_MAX       255	    /* of an exit code */
#define TIMEOUT_MS_MAX 315360000000 /* ten years: as nanoseconds it fits 64 bits */

static const struct field exec_fields[] = {
	{ 1, FIELD_LIST, offsetof(struct exec_request, argv), .max = LIST_MAX },
	{ 2, FIELD_LIST, offsetof(struct exec_request, env), .max = LIST_MAX },
	{ 3, FIELD_STR, offsetof(struct exec_request, cwd) },
	{ 4, FIELD_STR, offsetof(struct exec_request, user) },
	{ 5, FIELD_BOOL, offsetof(struct exec_request, main) },
	{ 6, FIELD_BOOL, offsetof(struct exec_request, stdin_open) },
	{ 7, FIELD_BOOL, offsetof(struct exec_request, tty) },
	{ 8, FIELD_U16, offsetof(struct exec_request, size.rows) },
	{ 9, FIELD_U16, offsetof(struct exec_request, size.cols) },
	{ 10, FIELD_STR, offsetof(struct exec_request, term) },
	{ 11, FIELD_U64, offsetof(struct exec_request, timeout_ms), .max = TIMEOUT_MS_MAX },
	{ 12, FIELD_U64, offsetof(struct exec_request, kill_after_ms), .max = TIMEOUT_MS_MAX },
	{ 13, FIELD_U32, offsetof(struct exec_request, on_disconnect),
	  .max = ON_DISCONNECT_MAX - 1 },
	{ 14, FIELD_BOOL, offsetof(struct exec_request, wait_pipes) },
	{ 15, FIELD_ARRAY, offsetof(struct exec_request, rlimits), .max = EXEC_RLIMITS,
	  .count = offsetof(struct exec_request, n_rlimits), .item = &rlimit_message },
	{ 16, FIELD_U64, offsetof(struct exec_request, memory_max), .max = INT64_MAX },
	{ 17, FIELD_U32, offsetof(struct exec_request, pids_max) },
	{ 18, FIELD_U32, offsetof(struct exec_request, cpu_milli), .max = EXEC_CPU_MILLI_MAX },
	{ 19, FIELD_U64, offsetof(struct exec_request, time_ns), .max = INT64_MAX },
	{ 20, FIELD_BOOL, offsetof(struct exec_request, no_log) },
};
static const struct message exec_message = MESSAGE(struct exec_request, exec_fields);

void exec_request_done(struct exec_request *r)
{
	if (r)
		message_done(&exec_message, r);
}

int exec_request_encode(struct buf *b, const struct exec_request *x)
{
	return message_frame(b, FRAME_OPEN_EXEC, &exec_message, x);
}

int exec_request_decode(const void *payload, size_t len, struct exec_request *x)
{
	int r = message_decode(payload, len, &exec_message, x);

	if (r >= 0 && x->argv.n == 0) {
		exec_request_done(x);
		r = -EPROTO;
	}
	return r;
}

static const struct field started_fields[] = {
	{ 1, FIELD_U64, offsetof(struct exec_started, session) },
	{ 2, FIELD_U32, offsetof(struct exec_started, pid), .max = INT32_MAX },
	{ 3, FIELD_U64, offsetof(struct exec_started, out_from) },
	{ 4, FIELD_U64, offsetof(struct exec_started, err_from) },
	{ 5, FIELD_BOOL, offsetof(struct exec_started, tty) },
	{ 6, FIELD_BOOL, offsetof(struct exec_started, main) },
	{ 7, FIELD_BOOL, offsetof(struct exec_started, no_log) },
};
static const struct message started_message = MESSAGE(struct exec_started, started_fields);

int exec_started_encode(struct buf *b, const struct exec_started *x)
{
	return message_frame(b, FRAME_STARTED, &started_message, x);
}

int exec_started_decode(const void *payload, size_t len, struct exec_started *x)
{
	return message_decode(payload, len, &started_message, x);
}

static const struct field exited_fields[] = {
	{ 1, FIELD_U32, offsetof(struct exec_exited, code), .max = CODE_MAX },
	{ 2, FIELD_U32, offsetof(struct exec_exited, signal), .max = SIGNAL_MAX },
	{ 3, FIELD_BOOL, offsetof(struct exec_exited, core) },
	{ 4, FIELD_BOOL, offsetof(struct exec_exited, timed_out) },
	{ 5, FIELD_BOOL, offsetof(struct exec_exited, oom) },
	{ 6, FIELD_BOOL, offsetof(struct exec_exited, pipes_open) },
	{ 7, FIELD_U64, offsetof(struct exec_exited, duration_ns) },
	{ 8, FIELD_U64, offsetof(struct exec_exited, user_us) },
	{ 9, FIELD_U64, offsetof(struct exec_exited, system_us) },
	{ 10, FIELD_U64, offsetof(struct exec_exited, max_rss) },
};
static const struct message exited_message = MESSAGE(struct exec_exited, exited_fields);

int exec_exited_encode(struct buf *b, const struct exec_exited *x)
{
	return message_frame(b, FRAME_EXITED, &exited_message, x);
}

int exec_exited_decode(const void *payload, size_t len, struct exec_exited *x)
{
	return message_decode(payload, len, &exited_message, x);
}

static const struct field tty_size_fields[] = {
	{ 1, FIELD_U16, offsetof(struct tty_size, rows) },
	{ 2, FIELD_U16, offsetof(struct tty_size, cols) },
};
static const struct message tty_size_message = MESSAGE(struct tty_size, tty_size_fields);

int tty_size_encode(struct buf *b, const struct tty_size *x)
{
	return message_frame(b, FRAME_RESIZE, &tty_size_message, x);
}

int tty_size_decode(const void *payload, size_t len, struct tty_size *x)
{
	return message_decode(payload, len, &tty_size_message, x);
}

struct signal_number {
	uint32_t signal;
};
static const struct field signal_fields[] = {
	{ 1, FIELD_U32, offsetof(struct signal_number, signal), .max = SIGNAL_MAX },
};
static const struct message signal_message = MESSAGE(struct signal_number, signal_fields);

int signal_encode(struct buf *b, uint32_t signal)
{
	struct signal_number x = { .signal = signal };

	return message_frame(b, FRAME_SIGNAL, &signal_message, &x);
}

int signal_decode(const void *payload, size_t len, uint32_t *signal)
{
	struct signal_number x;
	int r = message_decode(payload, len, &signal_message, &x);

	*signal = x.signal;
	return r;
}

static const struct field attach_fields[] = {
	{ 1, FIELD_U64, offsetof(struct attach_request, session) },
	{ 2, FIELD_U64, offsetof(struct attach_request, out_from) },
	{ 3, FIELD_U64, offsetof(struct attach_request, err_from) },
	{ 4, FIELD_BOOL, offsetof(struct attach_request, watch) },
	{ 5, FIELD_BOOL, offsetof(struct attach_request, steal) },
	{ 6, FIELD_U64, offsetof(struct attach_request, time_ns), .max = INT64_MAX },
};
static const struct message attach_message = MESSAGE(struct attach_request, attach_fields);

int attach_request_encode(struct buf *b, const struct attach_request *x)
{
	return message_frame(b, FRAME_OPEN_ATTACH, &attach_message, x);
}

int attach_request_decode(const void *payload, size_t len, struct attach_request *x)
{
	return message_decode(payload, len, &attach_message, x);
}

static const struct field gap_fields[] = {
	{ 1, FIELD_U32, offsetof(struct output_gap, type) },
	{ 2, FIELD_U64, offsetof(struct output_gap, bytes) },
};
static const struct message gap_message = MESSAGE(struct output_gap, gap_fields);

int output_gap_encode(struct buf *b, const struct output_gap *x)
{
	return message_frame(b, FRAME_GAP, &gap_message, x);
}

int output_gap_decode(const void *payload, size_t len, struct output_gap *x)
{
	return message_decode(payload, len, &gap_message, x);
}

static const struct field tcp_fields[] = {
	{ 1, FIELD_U16, offsetof(struct tcp_request, port) },
	{ 2, FIELD_U64, offsetof(struct tcp_request, time_ns), .max = INT64_MAX },
};
static const struct message tcp_message = MESSAGE(struct tcp_request, tcp_fields);

int tcp_request_encode(struct buf *b, const struct tcp_request *x)
{
	return message_frame(b, FRAME_OPEN_TCP, &tcp_message, x);
}

int tcp_request_decode(const void *payload, size_t len, struct tcp_request *x)
{
	return message_decode(payload, len, &tcp_message, x);
}

static const struct field taken_fields[] = {
	{ 1, FIELD_U64, offsetof(struct stdin_taken, bytes), .max = INT64_MAX },
};
static const struct message taken_message = MESSAGE(struct stdin_taken, taken_fields);

int stdin_taken_encode(struct buf *b, const struct stdin_taken *x)
{
	return message_frame(b, FRAME_STDIN_TAKEN, &taken_message, x);
}

int stdin_taken_decode(const void *payload, size_t len, struct stdin_taken *x)
{
	return message_decode(payload, len, &taken_message, x);
}
