/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/io.h"
#include "proto/launch.h"
#include "sandbox/console.h"
#include "sandbox/exit_record.h"

TEST(fields)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct exit_record r = {
		.id = "00112233445566ff",
		.name = "a\"b",
		.engine = "qemu",
		.reason = "main-exited",
		.boot = "x",
		.started_at = 1,
		.ended_at = 18446744073709551615ull,
		.has_main = true,
		.main_code = 137,
		.main_signal = 9,
		.flushed = true,
		.console_tail = "\xff\x1b[0m",
		.console_tail_len = 5,
	};

	buf_init(&b, EXIT_RECORD_MAX);
	ASSERT_EQ(exit_record_encode(&b, &r), 0);
	ASSERT_STR(buf_cstr(&b),
		   "{\"v\":1,\"id\":\"00112233445566ff\",\"name\":\"a\\\"b\",\"engine\":\"qemu\","
		   "\"boot\":\"x\",\"started_at\":1,\"ended_at\":18446744073709551615,"
		   "\"reason\":\"main-exited\",\"detail\":null,\"stage\":null,\"errno\":0,"
		   "\"main\":{\"code\":137,\"signal\":9},\"flushed\":true,"
		   "\"console_tail\":\"\xef\xbf\xbd\\u001b[0m\"}");
}

TEST(the_worst_record_fits)
{
	AUTO(buf_done) struct buf b = { 0 };
	static char tail[CONSOLE_TAIL_MAX], text[512], name[129];
	struct exit_record r = { .id = "00112233445566ff", .engine = "qemu", .reason = "r" };

	memset(tail, 1, sizeof(tail));
	memset(text, 1, sizeof(text) - 1);
	memset(name, 1, sizeof(name) - 1);
	r.name = name;
	r.detail = text;
	r.stage = "s";
	r.console_tail = tail;
	r.console_tail_len = sizeof(tail);
	buf_init(&b, EXIT_RECORD_MAX);
	ASSERT_EQ(exit_record_encode(&b, &r), 0);
}

TEST(written_whole_under_its_name)
{
	char dir[] = "/tmp/exit_record_XXXXXX", text[64];
	static const char r[] = "{\"v\":1,\"id\":\"i\",}";
	AUTO_CLOSE int dir_fd = -1;
	AUTO_CLOSE int fd = -1;
	struct err err = ERR_INIT;
	struct stat st;

	ASSERT(mkdtemp(dir));
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_EQ(exit_record_write(dir_fd, r, sizeof(r), true, &err), 0);
	ASSERT_EQ(exit_record_write(dir_fd, r, sizeof(r), true, &err), 0); /* over an old one */
	fd = openat(dir_fd, EXIT_RECORD_NAME, O_RDONLY | O_CLOEXEC);
	ASSERT_EQ(fstat(fd, &st), 0);
	ASSERT_EQ(st.st_mode & 07777, 0600);
	ASSERT_EQ(io_read_full(fd, text, 16), 16);
	ASSERT(memcmp(text, "{\"v\":1,\"id\":\"i\",", 16) == 0);
	ASSERT(faccessat(dir_fd, EXIT_RECORD_NAME ".tmp", F_OK, 0) < 0);
	ASSERT_EQ(unlinkat(dir_fd, EXIT_RECORD_NAME, 0), 0);
	ASSERT_EQ(rmdir(dir), 0);
	ASSERT(exit_record_write(-1, r, sizeof(r), true, &err) < 0);
	ASSERT_EQ(err.sys, EBADF);
}

TAP_MAIN()
