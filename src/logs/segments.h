/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LOGS_SEGMENTS_H
#define LOGS_SEGMENTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define LOG_SEGMENTS_MAX 64 /* files of one log that are looked at */
#define LOG_FILE_NAME	 48 /* bytes of a file name, with NUL */

void log_segment_name(const char *log, uint64_t number, char out[static LOG_FILE_NAME]);
/**
 * log_segments() - The files of a log
 * @dir:	Its folder; borrowed
 * @ret:	Their numbers, ascending; room for LOG_SEGMENTS_MAX
 *
 * Return: how many, or -errno.
 */
MUST_CHECK int log_segments(int dir, const char *log, uint64_t *ret);

#endif /* LOGS_SEGMENTS_H */
