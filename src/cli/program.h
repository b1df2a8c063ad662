/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_PROGRAM_H
#define CLI_PROGRAM_H

#include <microsandbox.h>
#include <stdbool.h>

#include "cli/command.h"
#include "cli/pump.h"
#include "json/json.h"

/* A program in the foreground: options, request and service that run, exec, shell and attach share. */
struct program_opts {
	const char *detach_keys, *result;
	uint64_t timeout_ms, kill_after_ms;
	bool interactive, tty, no_tty, no_stdin;
};

#define PROGRAM_OPTIONS(type)                                                                      \
	{ OPT_FLAG,                                                                                \
	  'i',                                                                                     \
	  "interactive",                                                                           \
	  NULL,                                                                                    \
	  "forward standard input (the default; with -d: keep it open for attach)",                \
	  offsetof(type, program.interactive) },                                                   \
		{ OPT_FLAG,                                                                        \
		  't',                                                                             \
		  "tty",                                                                           \
		  NULL,                                                                            \
		  "give the program a terminal (if stdin and stdout are one)",                     \
		  offsetof(type, program.tty) },                                                   \
		{ OPT_FLAG, 'T', "no-tty", NULL, "give it none", offsetof(type, program.no_tty) }, \
		{ OPT_FLAG,                                                                        \
		  0,                                                                               \
		  "no-stdin",                                                                      \
		  NULL,                                                                            \
		  "its standard input is /dev/null",                                               \
		  offsetof(type, program.no_stdin) },                                              \
		{ OPT_DURATION,                                                                    \
		  0,                                                                               \
		  "timeout",                                                                       \
		  "DURATION",                                                                      \
		  "end the program after this time (no limit)",                                    \
		  offsetof(type, program.timeout_ms) },                                            \
		{ OPT_DURATION,                                                                    \
		  0,                                                                               \
		  "kill-after",                                                                    \
		  "DURATION",                                                                      \
		  "between TERM and KILL at its time-out (2s)",                                    \
		  offsetof(type, program.kill_after_ms) },                                         \
		{ OPT_STRING,                                                                      \
		  0,                                                                               \
		  "detach-keys",                                                                   \
		  "KEYS",                                                                          \
		  "leave the program running: ctrl-X or a character, comma separated (ctrl-])",    \
		  offsetof(type, program.detach_keys) },                                           \
	{                                                                                          \
		OPT_STRING, 0, "result", "FILE", "write how it ended, as JSON",                    \
			offsetof(type, program.result)                                             \
	}

/* Before anything is made. @ret_keys may be NULL. */
int program_check(const struct program_opts *o, struct keys *ret_keys, struct msb_error *err);
/* It gets a terminal. */
bool program_tty(const struct program_opts *o);
/* Members of an exec request: stdin, tty, time-outs. @detached: nobody is there to type */
void program_put(struct json_out *j, const struct program_opts *o, bool tty, bool detached);
/* A list of words. */
void program_put_words(struct json_out *j, const char *key, char *const *words, int n);

/* Wait until it was started, and leave it. 0: *ret_session; a code: it was not, and that is told. */
int program_leave(struct pump *pump, uint64_t *ret_session, struct msb_error *err);

/* --result FILE: @code is what msb exits with, @end what is known of the program. */
int program_result(const struct program_opts *o, int code, const struct pump_end *end,
		   uint64_t start_ns, struct msb_error *err);

#endif /* CLI_PROGRAM_H */
