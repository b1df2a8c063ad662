/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_NAMES_H
#define CLI_NAMES_H

#include <microsandbox.h>
#include <stdbool.h>

#include "base/options.h"
#include "json/json.h"

/* Sandboxes as a user names them. Negative results have *err set. */

/* A row for the tables of commands that take several; @type has the member `labels`. */
#define NAMES_LABEL_OPTION(type)                                                                   \
	{                                                                                          \
		OPT_LIST, 0, "label", "K[=V]",                                                     \
			"also those with this label (repeatable: with all of them)",               \
			offsetof(type, labels)                                                     \
	}

/* If *err says that there is no such sandbox, add what may be meant. */
void names_hint(struct msb *m, struct msb_error *err);

/* A handle in any state; msb_sandbox_close() it. */
int names_open(struct msb *m, const char *name, struct msb_sandbox **ret_sb, struct msb_error *err);

/* All sandboxes as msb_list() has them, an array; one reference. */
int names_list(struct msb *m, json_t **ret_rows, struct msb_error *err);

/* The row has all @labels: K, K= or K=V. */
bool names_match(const struct json_at *row, const struct opt_list *labels);

/* Names on the command line and those that labels choose, each once; owned strings. */
struct names {
	char **items; /* owned */
	size_t n;
	bool by_label; /* labels were given */
};
void names_done(struct names *names);
static inline void names_done_auto(struct names *names)
{
	names_done(names);
}
/* Neither a name nor a label is a usage error; @command is for its example. */
int names_select(struct msb *m, const struct opt_rest *rest, const struct opt_list *labels,
		 const char *command, struct names *ret_names, struct msb_error *err);

#endif /* CLI_NAMES_H */
