/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_COMPLETE_H
#define CLI_COMPLETE_H

#include <stddef.h>

#include "cli/command.h"

/* What may come next on a command line: pure, but for the names that take() is asked to list. */

/* Kinds of live names. */
enum complete_kind { COMPLETE_NOTHING, COMPLETE_SANDBOX, COMPLETE_IMAGE, COMPLETE_REGISTRY };

struct complete_sink {
	/* A candidate: @before (what the word has already, "--opt=") and @word. */
	void (*candidate)(void *user, const char *before, const char *word, const char *help);
	/* Names of this kind that begin with @prefix are candidates. */
	void (*names)(void *user, enum complete_kind kind, const char *before, const char *prefix);
	void *user;
};

/**
 * complete() - Candidates for the last of @n words (at least one), which may be ""
 * @words:	Behind "msb"
 */
void complete(const struct command *const *list, const struct opt *globals, char **words, int n,
	      const struct complete_sink *sink);

/*
 * The values of an option whose help lists them: "table, json or jsonl (table)".  Calls @each for each
 * of them; how many there are.
 */
size_t complete_values(const struct opt *o, void (*each)(void *user, const char *value),
		       void *user);

#endif /* CLI_COMPLETE_H */
