/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_EXIT_RECORD_H
#define RUNTIME_EXIT_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* How a sandbox ended: what msb-sandbox left, or what its silence means.  No pointers. */
struct exit_record {
	char reason[24]; /* sandbox/ending.c has the words */
	char stage[24];	 /* of a failed boot; may be "" */
	char detail[512];
	int32_t sys;	/* errno; 0: none */
	int32_t code;	/* of main; -1: there was none */
	int32_t signal; /* of main; 0: none */
	bool flushed;
	uint64_t ended_at;	 /* wall clock, ns since the epoch */
	char console_tail[2048]; /* printable; may be "" */
};

/* "stopped" or "crashed"; NULL for a reason that there is not. */
const char *exit_reason_status(const char *reason);

/**
 * exit_record_parse() - Read the JSON of a record, which may be hostile
 * @id:		Of the sandbox: the record must name it; NULL: any
 * @err:	INVALID, naming the key
 */
MUST_CHECK int exit_record_parse(const void *text, size_t len, const char *id,
				 struct exit_record *ret_record, struct err *err);

/**
 * exit_record_read() - The record in a run folder; "monitor-killed" if there is none
 * @run_fd:	The folder; borrowed
 * @err:	INVALID, IO: a record that cannot be believed
 */
MUST_CHECK int exit_record_read(int run_fd, const char *id, struct exit_record *ret_record,
				struct err *err);

/* The same, but a record that cannot be believed is as good as none; so is @run_fd -1. */
void exit_record_take(int run_fd, const char *id, struct exit_record *ret_record);

/* What the database remembers of an end; reason "": it was never started. */
struct state_sandbox;
void exit_record_of_row(const struct state_sandbox *row, struct exit_record *ret_record);

/* {"status","reason","exit_code","signal","flushed"}; NULL when out of memory. */
char *exit_record_json(const struct exit_record *record);

#endif /* RUNTIME_EXIT_RECORD_H */
