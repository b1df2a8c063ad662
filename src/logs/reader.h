/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LOGS_READER_H
#define LOGS_READER_H

#include "base/defer.h"
#include "logs/format.h"

/*
 * Reads one log from a position on, record by record, while it is written or when nobody writes any
 * more.  All that is in the files is hostile.
 */
struct log_reader;

/**
 * log_reader_new() - At the oldest record
 * @dir:	Folder of logs; borrowed
 * @name:	Borrowed
 */
MUST_CHECK int log_reader_new(int dir, const char *name, struct log_reader **ret_reader);
void log_reader_free(struct log_reader *r);
DEFINE_AUTO(struct log_reader *, log_reader_free);

/* Go to a position. What is gone by now is told by the next log_reader_next(). */
void log_reader_seek(struct log_reader *r, uint64_t position);
/* Of the next record. */
uint64_t log_reader_position(const struct log_reader *r);
/* Of the oldest record that is there; 0: none is. Or -errno. */
MUST_CHECK int64_t log_reader_oldest(const struct log_reader *r);

/**
 * log_reader_next() - The next record
 * @ret:	Borrows until the next call
 * @ret_lost:	Bytes in front of it that are gone or broken
 *
 * 1; 0: none yet; -errno.
 */
MUST_CHECK int log_reader_next(struct log_reader *r, struct log_record *ret, uint64_t *ret_lost);

#endif /* LOGS_READER_H */
