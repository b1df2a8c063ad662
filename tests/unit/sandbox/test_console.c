/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/io.h"
#include "sandbox/console.h"

static const char *lines_of(const struct console_tail *t, struct buf *b)
{
	buf_clear(b);
	ASSERT_EQ(console_tail_lines(t, b), 0);
	return buf_cstr(b);
}

TEST(tail_keeps_the_last_lines)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct console_tail *t = calloc(1, sizeof(*t));
	char line[32];

	ASSERT(t);
	buf_init(&b, CONSOLE_TAIL_MAX + 1);
	ASSERT_STR(lines_of(t, &b), "");
	console_tail_add(t, "one\ntwo", 7);
	ASSERT_STR(lines_of(t, &b), "one\ntwo");
	console_tail_add(t, "\n", 1);
	ASSERT_STR(lines_of(t, &b), "one\ntwo\n");
	for (int i = 0; i < 1000; i++) {
		int n = snprintf(line, sizeof(line), "line %d\n", i);

		console_tail_add(t, line, (size_t)n);
	}
	ASSERT(strncmp(lines_of(t, &b), "line 980\nline 981\n", 18) == 0);
	ASSERT_EQ(b.len, CONSOLE_TAIL_LINES * 9);
	free(t);
}

TEST(tail_of_one_endless_line)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct console_tail *t = calloc(1, sizeof(*t));
	char *big = malloc(3 * CONSOLE_TAIL_MAX);

	ASSERT(t && big);
	buf_init(&b, CONSOLE_TAIL_MAX + 1);
	memset(big, 'x', 3 * CONSOLE_TAIL_MAX);
	big[3 * CONSOLE_TAIL_MAX - 1] = 'y';
	console_tail_add(t, big, 3 * CONSOLE_TAIL_MAX);
	ASSERT_EQ(strlen(lines_of(t, &b)), CONSOLE_TAIL_MAX);
	ASSERT_EQ(b.data[CONSOLE_TAIL_MAX - 1], 'y');
	ASSERT(console_tail_has(t, "xxy"));
	ASSERT(!console_tail_has(t, "xyx"));
	free(big);
	free(t);
}

TEST(file_is_bounded_and_has_the_end)
{
	static char chunk[65536];
	static struct console c;
	AUTO(loop_free) struct loop *loop = NULL;
	AUTO_CLOSE int log_fd = memfd_create("log", MFD_CLOEXEC);
	char end[4];
	struct stat st;
	int pair[2];

	memset(chunk, '.', sizeof(chunk));
	ASSERT(log_fd >= 0);
	ASSERT_EQ(loop_new(&loop), 0);
	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	ASSERT_EQ(console_init(&c, loop, pair[0], log_fd), 0);
	for (size_t i = 0; i < 24; i++) { /* 1.5 MiB, read by console_finish() in pieces */
		ASSERT_EQ(io_write_full(pair[1], chunk, sizeof(chunk)), 0);
		console_finish(&c);
	}
	ASSERT_EQ(io_write_full(pair[1], "\nend\n", 5), 0);
	console_finish(&c);
	ASSERT_EQ(fstat(log_fd, &st), 0);
	ASSERT(st.st_size > CONSOLE_FILE_MAX);
	ASSERT(st.st_size < CONSOLE_FILE_MAX + 10 * (CONSOLE_TAIL_MAX + 128));
	ASSERT_EQ(io_pread_full(log_fd, end, 4, (uint64_t)st.st_size - 4), 4);
	ASSERT(memcmp(end, "end\n", 4) == 0);
	console_done(&c);
	(void)close(pair[1]);
}

TAP_MAIN()
