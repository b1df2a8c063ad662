/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/io.h"
#include "logs/reader.h"
#include "remove_tree.h"
#include "sandbox/console.h"
#include "sandbox/log_queue.h"

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

/* What of the console is in the log, and what it says is missing. */
static void count(int dir, uint64_t *ret_kept, uint64_t *ret_lost)
{
	AUTO(log_reader_free) struct log_reader *reader = NULL;
	struct log_record r;
	uint64_t lost;

	*ret_kept = *ret_lost = 0;
	ASSERT_EQ(log_reader_new(dir, "kernel", &reader), 0);
	while (log_reader_next(reader, &r, &lost) == 1) {
		ASSERT_EQ(lost, 0);
		*ret_kept += r.len;
		*ret_lost += r.stream == LOG_LOST ? r.offset : 0;
	}
}

TEST(what_comes_too_fast_is_counted)
{
	static char chunk[65536];
	static struct console c;
	AUTO(loop_free) struct loop *loop = NULL;
	char top[] = "/tmp/console_XXXXXX";
	struct log_queue *log = NULL;
	uint64_t kept, lost;
	int pair[2], dir;

	ASSERT(mkdtemp(top));
	dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_EQ(log_queue_new(dir, &log), 0);
	memset(chunk, '.', sizeof(chunk));
	ASSERT_EQ(loop_new(&loop), 0);
	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	ASSERT_EQ(console_init(&c, loop, pair[0], log), 0);
	for (size_t i = 0; i < 64; i++) { /* 4 MiB, in far less than four seconds */
		ASSERT_EQ(io_write_full(pair[1], chunk, sizeof(chunk)), 0);
		console_finish(&c);
		log_queue_flush(log);
	}
	count(dir, &kept, &lost);
	ASSERT(kept >= CONSOLE_SECOND_MAX);
	ASSERT_EQ(kept + lost, 64 * sizeof(chunk));
	console_done(&c);
	log_queue_free(log);
	(void)close(pair[1]);
	(void)close(dir);
	remove_tree(AT_FDCWD, top);
}

TAP_MAIN()
