/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_BULK_H
#define CLI_BULK_H

#include <microsandbox.h>
#include <stdbool.h>

#include "base/options.h"
#include "cli/command.h"

/* One thing done to several sandboxes, 16 at a time; each ends with one line. */
struct bulk_item {
	struct msb *m;	  /* borrowed */
	const char *name; /* borrowed */
	const void *opts; /* borrowed; of the command */
	/* out */
	char remark[200]; /* in place of the action line; "": none */
	char detail[32];  /* for the action line, in place of the time; "": none */
	char line[400];	  /* for standard output, in place of the action line */
	int code;	  /* exit code that it asks for */
};

struct bulk {
	const char *command;	       /* "stop" */
	const char *verb;	       /* "Stopped" */
	const struct opt_list *labels; /* borrowed */
	const void *opts;	       /* borrowed; handed to each item */
	bool quiet;		       /* no action lines and remarks */
	bool boots;		       /* one call of run() takes call->progress; else it is NULL */
	/* On threads of its own; names_hint() is called behind it. */
	int (*run)(struct bulk_item *item, const struct msb_call *call, struct msb_error *err);
};

/**
 * bulk_run() - Do it to all that @rest and the labels name
 *
 * Return: 0, EXIT_ITEM_FAILED if any failed (all are tried), an item's code if all that is not 0 is
 * such a code, 128 + signal, or negative with *err set.
 */
int bulk_run(const struct cli *cli, const struct bulk *bulk, const struct opt_rest *rest,
	     struct msb_error *err);

#endif /* CLI_BULK_H */
