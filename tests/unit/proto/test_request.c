/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include "proto/frame.h"
#include "proto/request.h"

/* The only frame of @b, checked to be of this type. */
static struct frame only(const struct buf *b, uint16_t type)
{
	struct frame f = { 0 };

	ASSERT_EQ(frame_next(b->data, b->len, &f), b->len);
	ASSERT_EQ(f.type, type);
	return f;
}

TEST(the_highest_version_that_both_know)
{
	static const struct {
		const char *name;
		uint32_t min, max;
		int want;
	} cases[] = {
		{ "ours", AGENT_PROTO_MIN, AGENT_PROTO_MAX, AGENT_PROTO_MAX },
		{ "newer", AGENT_PROTO_MAX, AGENT_PROTO_MAX + 5, AGENT_PROTO_MAX },
		{ "older", 0, AGENT_PROTO_MIN, AGENT_PROTO_MIN },
		{ "too new", AGENT_PROTO_MAX + 1, AGENT_PROTO_MAX + 2, -EPROTONOSUPPORT },
		{ "too old", 0, AGENT_PROTO_MIN - 1, -EPROTONOSUPPORT },
	};

	ASSERT(AGENT_PROTO_MAX - AGENT_PROTO_MIN <= 2);
	for_cases(c, cases)
		ASSERT_EQ(hello_agree(&(struct hello){ .min = c->min, .max = c->max }), c->want);
}

TEST(sessions)
{
	AUTO(buf_done) struct buf b = { .max = 65536 };
	struct session_info items[2] = {
		{
			.session = 7,
			.phase = PHASE_ENDED,
			.main = true,
			.on_disconnect = ON_DISCONNECT_KEEP,
			.started_ns = 1ull << 60,
			.ended_ns = (1ull << 60) + 1,
			.code = 137,
			.signal = 9,
			.oom = true,
			.out_bytes = 1ull << 40,
			.out_kept = 4096,
			.command = "sh -c \xff",
		},
		{ .session = 8, .pid = 99, .tty = true, .input_taken = true, .n_clients = 3 },
	};
	struct session_list l = { .items = items, .n_items = 2 }, got;
	struct frame f;

	ASSERT_EQ(session_list_encode(&b, &l), 0);
	f = only(&b, FRAME_SESSION_LIST);
	ASSERT_EQ(session_list_decode(f.payload, f.len, &got), 0);
	ASSERT_EQ(got.n_items, 2);
	ASSERT(memcmp(&got.items[0], &items[0], sizeof(items[0])) == 0);
	ASSERT(memcmp(&got.items[1], &items[1], sizeof(items[1])) == 0);
	session_list_done(&got);
	ASSERT_EQ(got.n_items, 0);
}

TEST(all_sessions_fit_a_frame)
{
	AUTO(buf_done) struct buf b = { .max = FRAME_HEADER + FRAME_MAX_PAYLOAD };
	struct session_list l = { .n_items = SESSION_LIST_MAX };

	l.items = calloc(l.n_items, sizeof(*l.items));
	ASSERT(l.items);
	for (size_t i = 0; i < l.n_items; i++) {
		memset(&l.items[i], 1, sizeof(l.items[i]));
		l.items[i].phase = PHASE_ENDED;
		l.items[i].on_disconnect = ON_DISCONNECT_KEEP;
		l.items[i].code = l.items[i].signal = 1;
		memset(l.items[i].command, 'x', SESSION_COMMAND_MAX - 1);
		l.items[i].command[SESSION_COMMAND_MAX - 1] = '\0';
	}
	ASSERT_EQ(session_list_encode(&b, &l), 0);
	session_list_done(&l);
}

TEST(requests)
{
	AUTO(buf_done) struct buf b = { .max = 4096 };
	struct attach_request attach = { .session = 5,
					 .out_from = OFFSET_END,
					 .err_from = 3,
					 .watch = true,
					 .steal = true,
					 .time_ns = INT64_MAX },
			      a;
	struct kill_request kill = { .session = 1ull << 63, .signal = 64, .scope = KILL_CGROUP }, k;
	struct wait_port_request port = { .port = 65535, .udp = true, .timeout_ms = 1 }, p;
	struct output_gap gap = { .type = FRAME_TTY, .bytes = 1ull << 50 }, g;
	struct frame f;

	ASSERT_EQ(attach_request_encode(&b, &attach), 0);
	f = only(&b, FRAME_OPEN_ATTACH);
	ASSERT_EQ(attach_request_decode(f.payload, f.len, &a), 0);
	ASSERT(memcmp(&a, &attach, sizeof(a)) == 0);
	buf_clear(&b);
	ASSERT_EQ(kill_request_encode(&b, &kill), 0);
	f = only(&b, FRAME_KILL);
	ASSERT_EQ(kill_request_decode(f.payload, f.len, &k), 0);
	ASSERT(k.session == kill.session && k.signal == 64 && k.scope == KILL_CGROUP);
	buf_clear(&b);
	ASSERT_EQ(wait_port_request_encode(&b, &port), 0);
	f = only(&b, FRAME_WAIT_PORT);
	ASSERT_EQ(wait_port_request_decode(f.payload, f.len, &p), 0);
	ASSERT(p.port == 65535 && p.udp && p.timeout_ms == 1);
	buf_clear(&b);
	ASSERT_EQ(output_gap_encode(&b, &gap), 0);
	f = only(&b, FRAME_GAP);
	ASSERT_EQ(output_gap_decode(f.payload, f.len, &g), 0);
	ASSERT(g.type == FRAME_TTY && g.bytes == gap.bytes);
}

TEST(values_out_of_range)
{
	AUTO(buf_done) struct buf b = { .max = 4096 };
	struct kill_request kill = { .session = 1, .signal = 0 };
	struct wait_port_request port = { .port = 0 };
	struct exec_rlimit limit = { .resource = EXEC_RLIMITS };
	char program[] = "x", *items[] = { program, NULL };
	struct exec_request exec = { .argv = { .items = items, .n = 1 } }, got;
	struct frame f;

	ASSERT_EQ(kill_request_encode(&b, &kill), 0);
	f = only(&b, FRAME_KILL);
	ASSERT_EQ(kill_request_decode(f.payload, f.len, &kill), -EPROTO);
	buf_clear(&b);
	kill = (struct kill_request){ .signal = 65 };
	ASSERT_EQ(kill_request_encode(&b, &kill), 0);
	f = only(&b, FRAME_KILL);
	ASSERT_EQ(kill_request_decode(f.payload, f.len, &kill), -EPROTO);
	buf_clear(&b);
	ASSERT_EQ(wait_port_request_encode(&b, &port), 0);
	f = only(&b, FRAME_WAIT_PORT);
	ASSERT_EQ(wait_port_request_decode(f.payload, f.len, &port), -EPROTO);
	buf_clear(&b);
	exec.on_disconnect = ON_DISCONNECT_MAX;
	ASSERT_EQ(exec_request_encode(&b, &exec), 0);
	f = only(&b, FRAME_OPEN_EXEC);
	ASSERT_EQ(exec_request_decode(f.payload, f.len, &got), -EPROTO);
	buf_clear(&b);
	exec.on_disconnect = ON_DISCONNECT_KEEP;
	exec.rlimits = &limit;
	exec.n_rlimits = 1;
	ASSERT_EQ(exec_request_encode(&b, &exec), 0);
	f = only(&b, FRAME_OPEN_EXEC);
	ASSERT_EQ(exec_request_decode(f.payload, f.len, &got), -EPROTO);
	buf_clear(&b);
	limit = (struct exec_rlimit){ .resource = 7, .soft = 10, .hard = RLIMIT_NONE };
	ASSERT_EQ(exec_request_encode(&b, &exec), 0);
	f = only(&b, FRAME_OPEN_EXEC);
	ASSERT_EQ(exec_request_decode(f.payload, f.len, &got), 0);
	ASSERT(got.n_rlimits == 1 && got.rlimits[0].hard == RLIMIT_NONE &&
	       got.rlimits[0].soft == 10);
	ASSERT_EQ(got.on_disconnect, ON_DISCONNECT_KEEP);
	exec_request_done(&got);
}

TAP_MAIN()
