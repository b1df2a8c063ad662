/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include "base/num.h"
#include "proto/agent.h"
#include "proto/frame.h"

/* The only frame of @b, checked to be of this type. */
static struct frame only(const struct buf *b, uint16_t type)
{
	struct frame f = { 0 };

	ASSERT_EQ(frame_next(b->data, b->len, &f), b->len);
	ASSERT_EQ(f.type, type);
	return f;
}

TEST(hello)
{
	AUTO(buf_done) struct buf b = { .max = 256 };
	struct hello x = { .min = 1, .max = 3, .features = 1ull << 63 }, y;
	struct frame f;
	char hex[64];

	ASSERT_EQ(hello_encode(&b, &x), 0);
	f = only(&b, FRAME_HELLO);
	hex_encode(f.payload, f.len, hex);
	ASSERT_STR(hex, "a3010102030"
			"31b8000000000000000"); /* cbor2: {1: 1, 2: 3, 3: 2**63} */
	ASSERT_EQ(hello_decode(f.payload, f.len, &y), 0);
	ASSERT(y.min == 1 && y.max == 3 && y.features == x.features);
}

TEST(hostile_hello)
{
	static const struct {
		const char *name, *hex;
		int want;
	} cases[] = {
		{ "empty map", "a0", 0 },
		{ "unknown key", "a1186401", 0 },
		{ "unknown key with a list in it", "a118648101", 0 },
		{ "unknown key that must be understood", "a119800001", -EOPNOTSUPP },
		{ "nothing", "", -EPROTO },
		{ "no map", "80", -EPROTO },
		{ "bytes behind the map", "a000", -EPROTO },
		{ "key 0", "a10001", -EPROTO },
		{ "a key twice", "a202010202", -EPROTO },
		{ "keys that fall", "a202010101", -EPROTO },
		{ "text key", "a1613101", -EPROTO },
		{ "key above 16 bits", "a11a0001000001", -EPROTO },
		{ "value of another kind", "a101f5", -EPROTO },
		{ "value above 32 bits", "a1011b0000000100000000", -EPROTO },
		{ "min above max", "a201020201", -EPROTO },
		{ "map with a pair missing", "a20101", -EPROTO },
	};

	for_cases(c, cases) {
		uint8_t data[64];
		size_t len = strlen(c->hex) / 2;
		struct hello x = { .features = 9 };

		ASSERT_EQ(hex_decode(c->hex, 2 * len, data, len), 0);
		ASSERT_EQ(hello_decode(data, len, &x), c->want);
		ASSERT_EQ(x.features, 0);
	}
}

static void fill_boot(struct boot_spec *s)
{
	boot_spec_init(s);
	s->n_parts = 2;
	s->parts = calloc(2, sizeof(*s->parts));
	ASSERT(s->parts);
	s->parts[0] = (struct boot_part){ .len = 4096 };
	s->parts[1] = (struct boot_part){ .offset = 1u << 21, .len = 8ull << 30 };
	s->root_part = 0;
	s->upper = UPPER_DISK;
	s->upper_part = 1;
	s->n_mounts = 1;
	s->mounts = calloc(1, sizeof(*s->mounts));
	ASSERT(s->mounts);
	s->mounts[0] = (struct boot_mount){ .number = 3, .target = strdup("/work"), .nodev = true };
	s->hostname = strdup("box");
	ASSERT_EQ(str_list_add(&s->env, "A=\xff\n"), 0);
	s->n_rlimits = 1;
	s->rlimits = calloc(1, sizeof(*s->rlimits));
	ASSERT(s->rlimits);
	s->rlimits[0] = (struct exec_rlimit){ .resource = 15, .hard = RLIMIT_NONE };
	s->time_ns = 1234567890123456789;
	s->seed[63] = 1;
}

TEST(boot_message)
{
	AUTO(buf_done) struct buf b = { .max = 4096 };
	struct boot_spec s, t;
	struct frame f;

	fill_boot(&s);
	ASSERT_EQ(boot_spec_encode(&b, &s), 0);
	f = only(&b, FRAME_BOOT);
	ASSERT_EQ(f.flags, 0);
	ASSERT_EQ(boot_spec_decode(f.payload, f.len, &t), 0);
	ASSERT_EQ(t.n_parts, 2);
	ASSERT_EQ(t.parts[1].len, 8ull << 30);
	ASSERT_EQ(t.root_part, 0);
	ASSERT_EQ(t.root_mount, BOOT_NONE);
	ASSERT_EQ(t.modules_part, BOOT_NONE);
	ASSERT_EQ(t.upper, UPPER_DISK);
	ASSERT_EQ(t.n_mounts, 1);
	ASSERT_STR(t.mounts[0].target, "/work");
	ASSERT(t.mounts[0].nodev && !t.mounts[0].read_only && t.mounts[0].number == 3);
	ASSERT_EQ(t.n_rlimits, 1);
	ASSERT(t.rlimits[0].resource == 15 && t.rlimits[0].hard == RLIMIT_NONE);
	ASSERT_STR(t.hostname, "box");
	ASSERT_STR(t.env.items[0], "A=\xff\n");
	ASSERT(!t.env.items[1] && !t.user && !t.workdir);
	ASSERT_EQ(t.time_ns, s.time_ns);
	ASSERT_EQ(t.seed[63], 1);
	boot_spec_done(&s);
	boot_spec_done(&t);
}

TEST(boot_message_with_a_bad_part)
{
	AUTO(buf_done) struct buf b = { .max = 4096 };
	struct boot_spec s, t;
	struct frame f;

	fill_boot(&s);
	s.upper_part = 2;
	ASSERT_EQ(boot_spec_encode(&b, &s), 0);
	f = only(&b, FRAME_BOOT);
	ASSERT_EQ(boot_spec_decode(f.payload, f.len, &t), -EPROTO);
	ASSERT(!t.parts && !t.mounts && !t.hostname && t.root_part == BOOT_NONE);
	boot_spec_done(&s);
}

TEST(boot_message_of_15_mib)
{
	AUTO(buf_done) struct buf b = { .max = 32u << 20 };
	AUTO(buf_done) struct buf whole = { .max = AGENT_BOOT_MAX };
	AUTO_FREE char *big = malloc(50 << 10);
	struct boot_spec s, t;
	struct frame f;
	size_t at = 0;
	unsigned n = 0;

	ASSERT(big);
	memset(big, '=', (50 << 10) - 1);
	big[(50 << 10) - 1] = '\0';
	boot_spec_init(&s);
	for (int i = 0; i < 300; i++)
		ASSERT_EQ(str_list_add(&s.env, big), 0);
	ASSERT_EQ(boot_spec_encode(&b, &s), 0);
	for (; at < b.len; n++) {
		int64_t len = frame_next(b.data + at, b.len - at, &f);

		ASSERT(len > 0);
		at += (size_t)len;
		ASSERT_EQ(f.flags, at < b.len ? FRAME_FLAG_MORE : 0);
		ASSERT_EQ(buf_add(&whole, f.payload, f.len), 0);
	}
	ASSERT_EQ(n, 4);
	ASSERT_EQ(boot_spec_decode(whole.data, whole.len, &t), 0);
	ASSERT_EQ(t.env.n, 300);
	for (int i = 0; i < 30; i++)
		ASSERT_EQ(str_list_add(&s.env, big), 0);
	ASSERT_EQ(boot_spec_encode(&b, &s), -ENOBUFS);
	ASSERT_EQ(b.len, at);
	boot_spec_done(&s);
	boot_spec_done(&t);
}

TEST(exec_request)
{
	AUTO(buf_done) struct buf b = { .max = 4096 };
	struct exec_request x = { .tty = true, .size = { 50, 132 }, .timeout_ms = 5 }, y;
	struct frame f;

	ASSERT_EQ(exec_request_encode(&b, &x), 0);
	f = only(&b, FRAME_OPEN_EXEC);
	ASSERT_EQ(exec_request_decode(f.payload, f.len, &y), -EPROTO); /* no argv */
	buf_clear(&b);
	x.cwd = strdup("/tmp");
	for (int i = 0; i < 9; i++)
		ASSERT_EQ(str_list_add(&x.argv, i ? "" : "sh"), 0);
	ASSERT_EQ(exec_request_encode(&b, &x), 0);
	f = only(&b, FRAME_OPEN_EXEC);
	ASSERT_EQ(exec_request_decode(f.payload, f.len, &y), 0);
	ASSERT_EQ(y.argv.n, 9);
	ASSERT_STR(y.argv.items[0], "sh");
	ASSERT_STR(y.argv.items[8], "");
	ASSERT(y.tty && !y.main && !y.stdin_open && !y.user && y.timeout_ms == 5);
	ASSERT(y.size.rows == 50 && y.size.cols == 132);
	ASSERT_STR(y.cwd, "/tmp");
	ASSERT_EQ(str_list_add(&y.argv, "more"), 0); /* a decoded list grows like any other */
	ASSERT_EQ(str_list_add(&y.argv, "more"), 0);
	exec_request_done(&x);
	exec_request_done(&y);
}

TEST(failure_fills_its_fields_to_the_brim)
{
	AUTO(buf_done) struct buf b = { .max = 4096 };
	struct failure x = { .stage = "mount", .kind = "", .sys = -5 }, y;
	struct frame f;

	memset(x.subject, 's', sizeof(x.subject) - 1);
	ASSERT_EQ(failure_encode(&b, FRAME_BOOT_FAILED, &x), 0);
	f = only(&b, FRAME_BOOT_FAILED);
	ASSERT_EQ(failure_decode(f.payload, f.len, &y), 0);
	ASSERT_STR(y.stage, "mount");
	ASSERT_STR(y.subject, x.subject);
	ASSERT_EQ(y.sys, -5);
}

TEST(small_messages)
{
	AUTO(buf_done) struct buf b = { .max = 4096 };
	struct session_event e = { .session = 7, .ended = true, .code = 137, .signal = 9 }, e2;
	struct exec_exited q = { .code = 255, .timed_out = true }, q2;
	struct proto_error p = { .code = "unsupported", .type = 999 }, p2;
	char stage[PROGRESS_STAGE_MAX];
	uint32_t signal = 0;
	struct frame f;

	ASSERT_EQ(session_event_encode(&b, &e), 0);
	f = only(&b, FRAME_SESSION);
	ASSERT_EQ(session_event_decode(f.payload, f.len, &e2), 0);
	ASSERT(e2.session == 7 && e2.ended && !e2.main && e2.code == 137 && e2.signal == 9);
	buf_clear(&b);
	ASSERT_EQ(exec_exited_encode(&b, &q), 0);
	f = only(&b, FRAME_EXITED);
	ASSERT_EQ(exec_exited_decode(f.payload, f.len, &q2), 0);
	ASSERT(q2.code == 255 && q2.timed_out && !q2.oom);
	buf_clear(&b);
	ASSERT_EQ(proto_error_encode(&b, &p), 0);
	f = only(&b, FRAME_ERROR);
	ASSERT_EQ(proto_error_decode(f.payload, f.len, &p2), 0);
	ASSERT_STR(p2.code, "unsupported");
	ASSERT_EQ(p2.type, 999);
	buf_clear(&b);
	ASSERT_EQ(signal_encode(&b, 15), 0);
	f = only(&b, FRAME_SIGNAL);
	ASSERT_EQ(signal_decode(f.payload, f.len, &signal), 0);
	ASSERT_EQ(signal, 15);
	ASSERT_EQ(signal_decode("\xa1\x01\x18\x41", 4, &signal), -EPROTO); /* 65 */
	buf_clear(&b);
	ASSERT_EQ(progress_encode(&b, "mounts"), 0);
	f = only(&b, FRAME_PROGRESS);
	ASSERT_EQ(progress_decode(f.payload, f.len, stage), 0);
	ASSERT_STR(stage, "mounts");
}

TAP_MAIN()
