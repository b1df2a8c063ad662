/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_ROWS_H
#define CLI_ROWS_H

#include <microsandbox.h>
#include <stdbool.h>

#include "base/options.h"
#include "json/json.h"

/* Which sandboxes `ls` and `ps` show, and in what order. */
struct rows_opts {
	struct opt_list labels;
	const char *status, *sort;
	bool running, stopped;
};

#define ROWS_OPTIONS(type)                                                                         \
	{ OPT_STRING,                                                                              \
	  0,                                                                                       \
	  "status",                                                                                \
	  "LIST",                                                                                  \
	  "only these: created, starting, running, stopped, crashed",                              \
	  offsetof(type, rows.status) },                                                           \
		{ OPT_FLAG,                                                                        \
		  0,                                                                               \
		  "running",                                                                       \
		  NULL,                                                                            \
		  "short for --status running",                                                    \
		  offsetof(type, rows.running) },                                                  \
		{ OPT_FLAG,                                                                        \
		  0,                                                                               \
		  "stopped",                                                                       \
		  NULL,                                                                            \
		  "short for --status stopped,crashed",                                            \
		  offsetof(type, rows.stopped) },                                                  \
		{ OPT_LIST,                                                                        \
		  0,                                                                               \
		  "label",                                                                         \
		  "K[=V]",                                                                         \
		  "only those with this label (repeatable)",                                       \
		  offsetof(type, rows.labels) },                                                   \
	{                                                                                          \
		OPT_STRING, 0, "sort", "KEY", "name, image, status or created; newest first",      \
			offsetof(type, rows.sort)                                                  \
	}

/* Check the options before anything is read. */
int rows_check(const struct rows_opts *o, struct msb_error *err);

/**
 * rows_list() - The sandboxes in question
 * @status:	For --status if no option says one; NULL: all
 * @sort:	The same for --sort
 * @ret_rows:	An array of rows of msb_list(); one reference
 */
int rows_list(struct msb *m, const struct rows_opts *o, const char *status, const char *sort,
	      json_t **ret_rows, struct msb_error *err);

/* Why it is in its state: "up 2h3m", "exit 137 (max-duration), 1h ago". */
int rows_detail(const struct json_at *row, char *buf, size_t size, struct err *e);

#endif /* CLI_ROWS_H */
