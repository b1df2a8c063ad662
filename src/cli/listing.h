/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_LISTING_H
#define CLI_LISTING_H

#include <microsandbox.h>
#include <stdbool.h>

#include "base/options.h"
#include "json/json.h"

/* Listings: a JSON array as a table, as names, as JSON or as a line of JSON for each item. */
#define LISTING_COLUMNS 10
#define LISTING_CELL	80 /* bytes of a cell that is made up */

struct listing_opts {
	const char *format, *columns;
	bool quiet, no_header;
};

/* Rows of an option table; @type has the member `list`. */
#define LISTING_OPTIONS(type, quiet_help)                                                          \
	{ OPT_STRING,                                                                              \
	  0,                                                                                       \
	  "format",                                                                                \
	  "FORMAT",                                                                                \
	  "table, json or jsonl (table)",                                                          \
	  offsetof(type, list.format) },                                                           \
		{ OPT_FLAG, 'q', "quiet", NULL, quiet_help, offsetof(type, list.quiet) },          \
		{ OPT_STRING,                                                                      \
		  0,                                                                               \
		  "columns",                                                                       \
		  "LIST",                                                                          \
		  "columns of the table, comma separated (all)",                                   \
		  offsetof(type, list.columns) },                                                  \
	{                                                                                          \
		OPT_FLAG, 0, "no-header", NULL, "leave out the table's header",                    \
			offsetof(type, list.no_header)                                             \
	}

enum listing_format { LISTING_TABLE, LISTING_JSON, LISTING_JSONL };

/* One row: cells[i] points to what outlives it, or to text[i]. */
struct listing_row {
	const char *cells[LISTING_COLUMNS];
	char text[LISTING_COLUMNS][LISTING_CELL];
	const char *name; /* what -q prints */
};

struct listing {
	const char *what;	   /* "sandboxes", for "No sandboxes." */
	const char *const *header; /* NULL-terminated, at most LISTING_COLUMNS */
	int (*row)(const struct json_at *item, struct listing_row *row, struct err *err);
};

/* The format, or negative with *err set; columns are checked too. */
int listing_check(const struct listing *l, const struct listing_opts *o, struct msb_error *err);
/* To standard output. @array: its items in order */
int listing_print(const struct listing *l, const struct listing_opts *o,
		  const struct json_at *array, struct msb_error *err);
/* The same for the text of the array. */
int listing_print_text(const struct listing *l, const struct listing_opts *o, const char *json,
		       struct msb_error *err);

#endif /* CLI_LISTING_H */
