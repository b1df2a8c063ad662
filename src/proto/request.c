/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/request.h"

#include <errno.h>

#include "proto/frame.h"
#include "proto/internal.h"

#define SIGNAL_MAX 64  /* Linux: SIGRTMAX */
#define CODE_MAX   255 /* of an exit code */

static const struct field info_fields[] = {
	{ 1, FIELD_U64, offsetof(struct session_info, session) },
	{ 2, FIELD_U32, offsetof(struct session_info, phase), .max = SESSION_PHASE_MAX - 1 },
	{ 3, FIELD_U32, offsetof(struct session_info, pid), .max = INT32_MAX },
	{ 4, FIELD_BOOL, offsetof(struct session_info, main) },
	{ 5, FIELD_BOOL, offsetof(struct session_info, tty) },
	{ 6, FIELD_BOOL, offsetof(struct session_info, input_taken) },
	{ 7, FIELD_U32, offsetof(struct session_info, n_clients) },
	{ 8, FIELD_U32, offsetof(struct session_info, on_disconnect),
	  .max = ON_DISCONNECT_MAX - 1 },
	{ 9, FIELD_U64, offsetof(struct session_info, started_ns) },
	{ 10, FIELD_U64, offsetof(struct session_info, ended_ns) },
	{ 11, FIELD_U32, offsetof(struct session_info, code), .max = CODE_MAX },
	{ 12, FIELD_U32, offsetof(struct session_info, signal), .max = SIGNAL_MAX },
	{ 13, FIELD_BOOL, offsetof(struct session_info, timed_out) },
	{ 14, FIELD_BOOL, offsetof(struct session_info, oom) },
	{ 15, FIELD_U64, offsetof(struct session_info, out_bytes) },
	{ 16, FIELD_U64, offsetof(struct session_info, err_bytes) },
	{ 17, FIELD_U64, offsetof(struct session_info, out_kept) },
	{ 18, FIELD_U64, offsetof(struct session_info, err_kept) },
	{ 19, FIELD_CHARS, offsetof(struct session_info, command), SESSION_COMMAND_MAX },
};
static const struct message info_message = MESSAGE(struct session_info, info_fields);

static const struct field requests_open_fields[] = {
	{ 1, FIELD_U64, offsetof(struct requests_open, time_ns), .max = INT64_MAX },
};
static const struct message requests_open_message =
	MESSAGE(struct requests_open, requests_open_fields);

int requests_open_encode(struct buf *b, const struct requests_open *x)
{
	return message_frame(b, FRAME_OPEN_REQUESTS, &requests_open_message, x);
}

int requests_open_decode(const void *payload, size_t len, struct requests_open *x)
{
	return message_decode(payload, len, &requests_open_message, x);
}

static const struct field list_fields[] = {
	{ 1, FIELD_ARRAY, offsetof(struct session_list, items), .max = SESSION_LIST_MAX,
	  .count = offsetof(struct session_list, n_items), .item = &info_message },
};
static const struct message list_message = MESSAGE(struct session_list, list_fields);

int session_list_encode(struct buf *b, const struct session_list *x)
{
	return message_frame(b, FRAME_SESSION_LIST, &list_message, x);
}

int session_list_decode(const void *payload, size_t len, struct session_list *x)
{
	return message_decode(payload, len, &list_message, x);
}

void session_list_done(struct session_list *l)
{
	if (l)
		message_done(&list_message, l);
}

static const struct field stats_fields[] = {
	{ 1, FIELD_U64, offsetof(struct guest_stats, uptime_ns) },
	{ 2, FIELD_U64, offsetof(struct guest_stats, memory_total) },
	{ 3, FIELD_U64, offsetof(struct guest_stats, memory_available) },
	{ 4, FIELD_U64, offsetof(struct guest_stats, memory_free) },
	{ 5, FIELD_U64, offsetof(struct guest_stats, swap_total) },
	{ 6, FIELD_U64, offsetof(struct guest_stats, swap_free) },
	{ 7, FIELD_U64, offsetof(struct guest_stats, cpu_user_ns) },
	{ 8, FIELD_U64, offsetof(struct guest_stats, cpu_system_ns) },
	{ 9, FIELD_U64, offsetof(struct guest_stats, cpu_idle_ns) },
	{ 10, FIELD_U64, offsetof(struct guest_stats, cpu_steal_ns) },
	{ 11, FIELD_U32, offsetof(struct guest_stats, n_cpus) },
	{ 12, FIELD_U32, offsetof(struct guest_stats, load_milli[0]) },
	{ 13, FIELD_U32, offsetof(struct guest_stats, load_milli[1]) },
	{ 14, FIELD_U32, offsetof(struct guest_stats, load_milli[2]) },
	{ 15, FIELD_U32, offsetof(struct guest_stats, n_processes) },
	{ 16, FIELD_U64, offsetof(struct guest_stats, disk_total) },
	{ 17, FIELD_U64, offsetof(struct guest_stats, disk_free) },
	{ 18, FIELD_U64, offsetof(struct guest_stats, disk_available) },
	{ 19, FIELD_U64, offsetof(struct guest_stats, inodes_total) },
	{ 20, FIELD_U64, offsetof(struct guest_stats, inodes_free) },
	{ 21, FIELD_U32, offsetof(struct guest_stats, n_sessions) },
	{ 22, FIELD_U32, offsetof(struct guest_stats, n_clients) },
	{ 23, FIELD_U64, offsetof(struct guest_stats, buffer_bytes) },
	{ 24, FIELD_U64, offsetof(struct guest_stats, agent_memory) },
	{ 25, FIELD_U64, offsetof(struct guest_stats, n_agent_fds) },
};
static const struct message stats_message = MESSAGE(struct guest_stats, stats_fields);

int guest_stats_encode(struct buf *b, const struct guest_stats *x)
{
	return message_frame(b, FRAME_STATS_REPLY, &stats_message, x);
}

int guest_stats_decode(const void *payload, size_t len, struct guest_stats *x)
{
	return message_decode(payload, len, &stats_message, x);
}

static const struct field kill_fields[] = {
	{ 1, FIELD_U64, offsetof(struct kill_request, session) },
	{ 2, FIELD_U32, offsetof(struct kill_request, signal), .max = SIGNAL_MAX },
	{ 3, FIELD_U32, offsetof(struct kill_request, scope), .max = KILL_SCOPE_MAX - 1 },
};
static const struct message kill_message = MESSAGE(struct kill_request, kill_fields);

int kill_request_encode(struct buf *b, const struct kill_request *x)
{
	return message_frame(b, FRAME_KILL, &kill_message, x);
}

int kill_request_decode(const void *payload, size_t len, struct kill_request *x)
{
	int r = message_decode(payload, len, &kill_message, x);

	if (r >= 0 && x->signal == 0) {
		message_init(&kill_message, x);
		r = -EPROTO;
	}
	return r;
}

static const struct field drain_fields[] = {
	{ 1, FIELD_BOOL, offsetof(struct drain_request, off) },
};
static const struct message drain_message = MESSAGE(struct drain_request, drain_fields);

int drain_request_encode(struct buf *b, const struct drain_request *x)
{
	return message_frame(b, FRAME_DRAIN, &drain_message, x);
}

int drain_request_decode(const void *payload, size_t len, struct drain_request *x)
{
	return message_decode(payload, len, &drain_message, x);
}

static const struct field clock_fields[] = {
	{ 1, FIELD_U64, offsetof(struct clock_request, time_ns), .max = INT64_MAX },
};
static const struct message clock_message = MESSAGE(struct clock_request, clock_fields);

int clock_request_encode(struct buf *b, const struct clock_request *x)
{
	return message_frame(b, FRAME_CLOCK, &clock_message, x);
}

int clock_request_decode(const void *payload, size_t len, struct clock_request *x)
{
	return message_decode(payload, len, &clock_message, x);
}

static const struct field port_fields[] = {
	{ 1, FIELD_U16, offsetof(struct wait_port_request, port) },
	{ 2, FIELD_BOOL, offsetof(struct wait_port_request, udp) },
	{ 3, FIELD_U64, offsetof(struct wait_port_request, timeout_ms), .max = WAIT_PORT_MS_MAX },
};
static const struct message port_message = MESSAGE(struct wait_port_request, port_fields);

int wait_port_request_encode(struct buf *b, const struct wait_port_request *x)
{
	return message_frame(b, FRAME_WAIT_PORT, &port_message, x);
}

int wait_port_request_decode(const void *payload, size_t len, struct wait_port_request *x)
{
	int r = message_decode(payload, len, &port_message, x);

	if (r >= 0 && x->port == 0) {
		message_init(&port_message, x);
		r = -EPROTO;
	}
	return r;
}
