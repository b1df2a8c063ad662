/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_CONSOLE_H
#define SANDBOX_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/loop.h"

/*
 * What the guest writes to its console: into the log, as much as it may in a second, and the end of it
 * in memory.
 */
#define CONSOLE_SECOND_MAX (1u << 20) /* bytes that go into the log in one second */
#define CONSOLE_TAIL_MAX   8192	      /* bytes in memory */
#define CONSOLE_TAIL_LINES 20

struct log_queue;

/* The last bytes of a stream. */
struct console_tail {
	char bytes[CONSOLE_TAIL_MAX];
	uint64_t total; /* bytes that went through */
};
void console_tail_add(struct console_tail *t, const void *data, size_t len);
/* Append the last CONSOLE_TAIL_LINES lines to @out; 0 or what buf_add() says. */
MUST_CHECK int console_tail_lines(const struct console_tail *t, struct buf *out);
/* Whether @text stands in the tail; a short literal. */
bool console_tail_has(const struct console_tail *t, const char *text);

struct console {
	struct loop *loop; /* borrowed */
	loop_id id;
	int fd;		       /* owned; the monitor's end of the console socket; -1 */
	struct log_queue *log; /* borrowed */
	uint64_t second;       /* of CLOCK_MONOTONIC */
	size_t logged;	       /* bytes in that second */
	uint64_t dropped;      /* bytes that the log does not tell of yet */
	struct console_tail tail;
};

/* Read @fd (non-blocking; owned from the call on) on @loop. 0 or -errno. */
MUST_CHECK int console_init(struct console *c, struct loop *loop, int fd, struct log_queue *log);
/* The guest is gone: read what is left. */
void console_finish(struct console *c);
void console_done(struct console *c);

#endif /* SANDBOX_CONSOLE_H */
