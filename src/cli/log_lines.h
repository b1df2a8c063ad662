/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_LOG_LINES_H
#define CLI_LOG_LINES_H

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/*
 * Output of several sessions and streams, made into whole lines: one that has no end yet waits for the
 * rest of it, so that no line and no character is torn by another.
 */
#define LOG_LINE_MAX   65536 /* bytes; a longer line is given in pieces */
#define LOG_LINES_OPEN 64    /* lines that wait for their end; then the oldest is given as it is */

struct log_key {
	uint64_t boot, session;
	const char *source; /* borrowed until the next call; at most 15 bytes count */
};

struct log_lines {
	bool timestamps, show_session, plain; /* plain: control sequences other than colours go */
	const regex_t *grep;		      /* borrowed; NULL: all */
	struct open_line {
		uint64_t boot, session;
		char source[16];
		uint64_t at_ns; /* of its first byte */
		struct buf text;
	} open[LOG_LINES_OPEN];
	size_t n_open;
	void (*line)(void *user, const struct open_line *line, const char *text, size_t len);
	void *user;
};

/* 0 or -ENOMEM. */
MUST_CHECK int log_lines_add(struct log_lines *l, const struct log_key *key, uint64_t at_ns,
			     const void *data, size_t len);
/* Give all lines that have no end. */
void log_lines_end(struct log_lines *l);
/* Take control sequences other than colours, and control characters, out of a line; the new length. */
size_t log_line_clean(char *text, size_t len);

#endif /* CLI_LOG_LINES_H */
