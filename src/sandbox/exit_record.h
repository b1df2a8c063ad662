/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_EXIT_RECORD_H
#define SANDBOX_EXIT_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* How the sandbox ended; proto/launch.h has the fields of the file. Strings are borrowed. */
struct exit_record {
	const char *id, *name, *engine, *reason;
	const char *detail;	       /* one sentence, may be NULL */
	const char *stage;	       /* of a failed boot, may be NULL */
	char boot[40];		       /* boot id of the host, or "" */
	int sys;		       /* errno, 0 for none */
	uint64_t started_at, ended_at; /* wall clock, ns */
	bool has_main;
	uint32_t main_code, main_signal;
	bool flushed;
	const void *console_tail; /* bytes of the guest */
	size_t console_tail_len;
};

/* Append it as JSON. 0, -ENOBUFS, -ENOMEM. */
MUST_CHECK int exit_record_encode(struct buf *b, const struct exit_record *r);

/**
 * exit_record_write() - Leave it (encoded, @len bytes) in @dir_fd, complete or not at all
 * @durable:	Also after a crash of the host, which costs a sync
 * @err:	IO
 */
MUST_CHECK int exit_record_write(int dir_fd, const void *record, size_t len, bool durable,
				 struct err *err);

#endif /* SANDBOX_EXIT_RECORD_H */
