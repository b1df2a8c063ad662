/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LOGS_FORMAT_H
#define LOGS_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/*
 * A log is a row of files NAME-N.log, N counting up from 1.  A file is a header and records; a record
 * is a header and the exact bytes.  Each record begins with the mark of its file, a random number that no
 * guest knows: behind a broken record reading goes on at the next mark.  A position is the number of
 * bytes of the whole log in front of a record, those of files that are gone included.
 */
#define LOG_FILE_HEADER                                                                            \
	32 /* bytes: magic, u64 position of the file, u64 mark, u64 0; little endian */
#define LOG_RECORD_HEADER 48	/* bytes: see log_record_header() */
#define LOG_DATA_MAX	  65536 /* bytes of one record */

enum log_stream {
	LOG_STDOUT = 1,
	LOG_STDERR,
	LOG_TTY,
	LOG_KERNEL,
	LOG_BOOT, /* a boot begins; no data */
	LOG_LOST, /* no data: `offset` bytes could not be written here */
	LOG_STREAM_MAX
};

struct log_record {
	enum log_stream stream;
	uint32_t boot;	     /* from 1 */
	uint64_t at_ns;	     /* wall clock, since the epoch */
	uint64_t session;    /* of the boot; 0: none */
	uint64_t offset;     /* bytes of this stream of the session in front of these */
	const uint8_t *data; /* borrowed */
	size_t len;	     /* at most LOG_DATA_MAX */
};

struct log_file {
	uint64_t start, mark;
};

void log_file_header(const struct log_file *f, uint8_t out[static LOG_FILE_HEADER]);
/* 0, -EPROTO. @data has LOG_FILE_HEADER bytes. */
MUST_CHECK int log_file_parse(const void *data, struct log_file *ret);

void log_record_header(const struct log_record *r, uint64_t mark,
		       uint8_t out[static LOG_RECORD_HEADER]);
/**
 * log_record_parse() - The record that begins at @data
 *
 * Return: its bytes with the header, 0: it is not whole, -EPROTO: none begins here. *ret borrows from
 * @data.
 */
MUST_CHECK int64_t log_record_parse(const void *data, size_t len, uint64_t mark,
				    struct log_record *ret);
/* Bytes, at least one, in front of which no record begins, as far as @data tells. */
size_t log_record_skip(const void *data, size_t len, uint64_t mark);

#endif /* LOGS_FORMAT_H */
