/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_PUMP_H
#define CLI_PUMP_H

#include <microsandbox.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/keys.h"

/*
 * Joins a program in a guest to our standard streams and signals until it ends: stdin and
 * EOF go in as they come, output comes out unchanged, INT TERM HUP QUIT USR1 USR2 and window
 * changes go to the program's process group.  Three INT or TERM within two seconds kill it.
 */
struct pump {
	struct msb_stream *stream; /* borrowed */
	const char *program;	   /* for messages */
	const char *sandbox;	   /* for messages */
	bool stdin_open;	   /* forward our standard input */
	bool tty;		   /* raw mode, window size */
	bool leave;		   /* as soon as it was started */
	bool watch;		   /* only look: signals end us, not the program */
	struct keys keys;	   /* with tty: they end us, not the program */
	const char *hint;	   /* what to do if the program is not there; NULL: nothing */
	uint64_t timeout_ms;	   /* for the message only: the guest keeps the deadline */
};

/* What the program did. */
struct pump_end {
	int code; /* exit code of msb: the guest's, 124, 125, 126, 127, 128+n or 141 */
	bool started;
	bool detached; /* by keys or, for a watcher, a signal: it goes on without us */
	bool exited;   /* the fields below are known */
	bool timed_out, oom;
	int signal; /* that ended it; 0: none */
	uint64_t session;
};

/* Block the signals that are passed on; before the exec stream is opened. */
void pump_block_signals(void);

/* Serve until the program ended. Return: 0, or negative with *err set. */
int pump_run(struct pump *p, struct pump_end *ret_end, struct msb_error *err);

#endif /* CLI_PUMP_H */
