/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LOGS_WRITER_H
#define LOGS_WRITER_H

#include <stdbool.h>

#include "base/defer.h"
#include "logs/format.h"

/* How much of a log is kept. */
struct log_bounds {
	uint64_t file_max; /* bytes of one file */
	unsigned n_files;  /* the newest ones that stay */
	bool keep_first;   /* and the first one of the boot, which begins a file */
};

/* The writing end of one log; one process at a time has it.  Calls block on the disk. */
struct log_writer {
	int dir;	  /* borrowed */
	const char *name; /* static */
	struct log_bounds bounds;
	int fd;	      /* owned; -1 */
	uint8_t *out; /* owned: the record that is written */
	uint64_t number, first, size;
	struct log_file file;
	uint32_t boot;
};

/**
 * log_writer_open() - Begin a boot in the log @name
 * @dir:	Folder of logs; borrowed for the life of the writer
 *
 * A torn record at the end is cut off; a mark tells the new boot. 0 or -errno.
 */
MUST_CHECK int log_writer_open(struct log_writer *w, int dir, const char *name,
			       const struct log_bounds *bounds);
void log_writer_close(struct log_writer *w);
/* Append @r, whose boot is set here. 0 or -errno; then nothing of it is in the file. */
MUST_CHECK int log_writer_add(struct log_writer *w, const struct log_record *r);

#endif /* LOGS_WRITER_H */
