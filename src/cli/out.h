/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OUT_H
#define CLI_OUT_H

#include <microsandbox.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How things look on a terminal and in a pipe. */

/* "error: ..." and what to do about it, on standard error. */
void out_error(const struct msb_error *err);

/* An action line on standard error: "   ✓ Loaded       debian:latest". */
void out_action(const char *verb, const char *target);

/* A remark on standard error: "! 'node' was killed: ...". */
void out_remark(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * A table on standard output: left-aligned, four spaces between columns.  Cells are copied.
 */
struct out_table;
struct out_table *out_table_new(size_t n_columns, const char *const *header);
int out_table_row(struct out_table *t, const char *const *cells); /* 0 or -ENOMEM */
void out_table_print(struct out_table *t, bool with_header);
void out_table_free(struct out_table *t);

/* The locale takes more than ASCII. */
bool out_utf8(void);

/* "14.0 MiB" */
void out_size(uint64_t bytes, char *buf, size_t size);

/* "12.3s", "2m5s", "1d4h" */
void out_duration(uint64_t ms, char *buf, size_t size);

/* Milliseconds since a time in RFC 3339; 0 for NULL and for a time to come. */
uint64_t out_age_ms(const char *rfc3339);

/* A time in RFC 3339 for a table: "3d ago" on a terminal, as it is in a pipe; NULL: "". */
void out_time(const char *rfc3339, char *buf, size_t size);

/* Tell that standard output takes no more, errno @sys. */
void out_write_failed(int sys);

/* Flush standard output: @code, EXIT_PIPE_CLOSED if its reader went away, 1 if it failed. */
int out_finish(int code);

#endif /* CLI_OUT_H */
