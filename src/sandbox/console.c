/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/console.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "sandbox/log_queue.h"

#define READ_BYTES	 16384 /* of one event */
#define FINISH_READS_MAX 64    /* what a socket can hold is less than 1 MiB */

void console_tail_add(struct console_tail *t, const void *data, size_t len)
{
	const char *p = data;

	t->total += len;
	if (len > CONSOLE_TAIL_MAX) {
		p += len - CONSOLE_TAIL_MAX;
		len = CONSOLE_TAIL_MAX;
	}
	for (size_t i = 0; i < len; i++)
		t->bytes[(t->total - len + i) % CONSOLE_TAIL_MAX] = p[i];
}

/* Byte @back from the end, 1 is the last one. */
static char byte_back(const struct console_tail *t, uint64_t back)
{
	return t->bytes[(t->total - back) % CONSOLE_TAIL_MAX];
}

static uint64_t tail_len(const struct console_tail *t)
{
	return t->total < CONSOLE_TAIL_MAX ? t->total : CONSOLE_TAIL_MAX;
}

int console_tail_lines(const struct console_tail *t, struct buf *out)
{
	uint64_t len = tail_len(t), start = 0;
	unsigned lines = 0;

	while (start < len) {
		/* The newline that ends the last line starts no other. */
		if (start > 0 && byte_back(t, start + 1) == '\n' && ++lines == CONSOLE_TAIL_LINES)
			break;
		start++;
	}
	for (; start > 0; start--) {
		int r = buf_add_u8(out, (uint8_t)byte_back(t, start));

		if (r < 0)
			return r;
	}
	return 0;
}

bool console_tail_has(const struct console_tail *t, const char *text)
{
	uint64_t len = tail_len(t), n = strlen(text);

	for (uint64_t start = len; start >= n && n > 0; start--) {
		uint64_t i = 0;

		while (i < n && byte_back(t, start - i) == text[i])
			i++;
		if (i == n)
			return true;
	}
	return false;
}

static void put(struct console *c, enum log_stream stream, uint64_t offset, const char *data,
		size_t len)
{
	struct log_record r = {
		.stream = stream,
		.at_ns = clock_wall_ns(),
		.offset = offset,
		.data = (const uint8_t *)data,
		.len = len,
	};

	log_queue_put(c->log, LOG_CONSOLE, &r);
}

static void tell_dropped(struct console *c)
{
	if (c->dropped > 0)
		put(c, LOG_LOST, c->dropped, NULL, 0);
	c->dropped = 0;
}

static void take(struct console *c, const char *data, size_t len)
{
	uint64_t second = clock_now_ns() / NS_PER_S, before = c->tail.total;
	size_t keep = len;

	console_tail_add(&c->tail, data, len);
	if (second != c->second) {
		c->second = second;
		c->logged = 0;
		tell_dropped(c);
	}
	if (keep > CONSOLE_SECOND_MAX - c->logged)
		keep = CONSOLE_SECOND_MAX - c->logged;
	if (keep > 0)
		put(c, LOG_KERNEL, before, data, keep);
	c->logged += keep;
	c->dropped += len - keep;
}

static void console_ready(void *user, uint32_t events)
{
	struct console *c = user;
	char data[READ_BYTES];
	ssize_t n = read(c->fd, data, sizeof(data));

	if (n > 0)
		take(c, data, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		loop_remove(c->loop, &c->id);
}

int console_init(struct console *c, struct loop *loop, int fd, struct log_queue *log)
{
	*c = (struct console){ .loop = loop, .fd = fd, .log = log };
	return loop_add_fd(loop, fd, EPOLLIN, console_ready, c, &c->id);
}

void console_finish(struct console *c)
{
	char data[READ_BYTES];
	ssize_t n;

	loop_remove(c->loop, &c->id);
	for (int i = 0; i < FINISH_READS_MAX && (n = read(c->fd, data, sizeof(data))) > 0; i++)
		take(c, data, (size_t)n);
	tell_dropped(c);
}

void console_done(struct console *c)
{
	if (c->loop)
		loop_remove(c->loop, &c->id);
	if (c->fd >= 0)
		(void)close(c->fd);
	c->fd = -1;
}
