/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <sys/mman.h>
#include <unistd.h>

#include "proto/frame.h"
#include "proto/launch.h"

TEST(spec)
{
	AUTO(buf_done) struct buf b = { .max = 1 << 20 };
	struct launch_spec x = { .id = "0123456789abcdef",
				 .name = "box",
				 .engine = "qemu",
				 .cpus = 2,
				 .memory_mib = 512,
				 .flush = true,
				 .disk_size = 8 };
	struct launch_spec y;

	x.qemu_path = strdup("/usr/bin/qemu-system-x86_64");
	x.n_extents = 2;
	x.extents = calloc(2, sizeof(*x.extents));
	ASSERT(x.extents);
	x.extents[1] = (struct launch_extent){ .len = 512, .fd = 17, .writable = true };
	x.n_mounts = 1;
	x.mounts = calloc(1, sizeof(*x.mounts));
	ASSERT(x.mounts);
	x.mounts[0] = (struct launch_mount){ .fd = 18, .hide_set = true, .hide_ino = UINT64_MAX };
	ASSERT_EQ(launch_spec_encode(&b, &x), 0);
	ASSERT_EQ(launch_spec_decode(b.data, b.len, &y), 0);
	ASSERT_STR(y.id, x.id);
	ASSERT_STR(y.name, "box");
	ASSERT_STR(y.engine, "qemu");
	ASSERT_STR(y.qemu_path, x.qemu_path);
	ASSERT(!y.cmdline && y.cpus == 2 && y.flush);
	ASSERT_EQ(y.n_extents, 2);
	ASSERT(y.extents[1].len == 512 && y.extents[1].fd == 17 && y.extents[1].writable);
	ASSERT(y.n_mounts == 1 && y.mounts[0].hide_ino == UINT64_MAX);
	for (size_t len = 0; len < b.len; len++) {
		struct launch_spec z;

		ASSERT_EQ(launch_spec_decode(b.data, len, &z), -EPROTO);
		ASSERT(!z.extents && !z.qemu_path);
	}
	launch_spec_done(&x);
	launch_spec_done(&y);
}

TEST(hostile_spec)
{
	static const struct {
		const char *name, *data;
		size_t len;
	} cases[] = {
		{ "id too long",
		  "\xa1\x01\x51"
		  "0123456789abcdefX",
		  20 },
		{ "name with NUL",
		  "\xa1\x02\x43"
		  "a\0b",
		  6 },
		{ "extents as a map", "\xa1\x0d\xa0", 3 },
		{ "half an extent", "\xa1\x0d\x81\xa1\x01", 5 },
		{ "offset above 63 bits", "\xa1\x0d\x81\xa1\x01\x1b\x80\0\0\0\0\0\0\0", 14 },
	};

	for_cases(c, cases) {
		struct launch_spec x;

		ASSERT_EQ(launch_spec_decode(c->data, c->len, &x), -EPROTO);
		ASSERT(!x.extents && x.n_extents == 0);
	}
}

TEST(progress_and_stop)
{
	AUTO(buf_done) struct buf b = { .max = 4096 };
	struct launch_progress p = { .stage = "kernel", .at_ns = 5 }, p2;
	struct stop_request s = { .how = STOP_CUT, .grace_ms = 10000 }, s2;
	struct frame f;

	ASSERT_EQ(launch_progress_encode(&b, &p), 0);
	ASSERT_EQ(frame_next(b.data, b.len, &f), b.len);
	ASSERT_EQ(f.type, FRAME_LAUNCH_PROGRESS);
	ASSERT_EQ(launch_progress_decode(f.payload, f.len, &p2), 0);
	ASSERT_STR(p2.stage, "kernel");
	buf_clear(&b);
	ASSERT_EQ(stop_request_encode(&b, &s), 0);
	ASSERT_EQ(frame_next(b.data, b.len, &f), b.len);
	ASSERT_EQ(stop_request_decode(f.payload, f.len, &s2), 0);
	ASSERT(s2.how == STOP_CUT && s2.grace_ms == 10000);
	ASSERT_EQ(stop_request_decode("\xa1\x01\x04", 3, &s2), -EPROTO); /* STOP_HOW_MAX */
}

#define BOOT "01234567-89ab-cdef-0123-456789abcdef"

TEST(who_the_monitor_is)
{
	static const struct {
		const char *name, *text;
	} bad[] = {
		{ "nothing", "" },
		{ "no start", "17\n" },
		{ "no boot id", "17 4711 \n" },
		{ "pid zero", "0 4711 " BOOT "\n" },
		{ "pid below zero", "-1 4711 " BOOT "\n" },
		{ "pid too big", "2147483648 4711 " BOOT "\n" },
		{ "start too big", "17 18446744073709551616 " BOOT "\n" },
		{ "no new line", "17 4711 " BOOT },
		{ "more behind", "17 4711 " BOOT "\nx" },
		{ "no boot id but text", "17 4711 0123456789abcdef-zzzz-ffff-0123456789\n" },
	};
	struct monitor_identity id;
	char text[MONITOR_IDENTITY_MAX] = "";
	uint64_t start = 0;
	int fd = memfd_create("lock", MFD_CLOEXEC);

	ASSERT_EQ(monitor_identity_parse("17 4711 " BOOT "\n", &id), 0);
	ASSERT_EQ(id.pid, 17);
	ASSERT_EQ(id.start, 4711);
	ASSERT_STR(id.boot, BOOT);
	for_cases(c, bad)
		ASSERT_EQ(monitor_identity_parse(c->text, &id), -EPROTO);
	ASSERT_EQ(monitor_identity_write(fd), 0);
	ASSERT(pread(fd, text, sizeof(text) - 1, 0) > 0);
	ASSERT_EQ(monitor_identity_parse(text, &id), 0);
	ASSERT_EQ(id.pid, getpid());
	ASSERT_EQ(monitor_start_time(getpid(), &start), 0);
	ASSERT_EQ(id.start, start);
	(void)close(fd);
}

TAP_MAIN()
