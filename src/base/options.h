/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_OPTIONS_H
#define BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/*
 * Option tables.  One row drives parsing, --help and --tree.
 * Options stand before or after the arguments, as --opt value, --opt=value, -oVALUE or grouped
 * short flags; what follows the first "--" is left alone.
 */
enum opt_kind {
	OPT_END,
	OPT_FLAG,     /* bool */
	OPT_STRING,   /* const char *, borrowed from argv */
	OPT_LIST,     /* struct opt_list: every use adds one */
	OPT_NUMBER,   /* uint64_t */
	OPT_SIZE_MIB, /* uint64_t, MiB: 512, 1.5G, 64MiB */
	OPT_DURATION, /* uint64_t, ms: 90, 1.5s, 1h30m */
	OPT_KIND_MAX,
};

struct opt {
	enum opt_kind kind;
	char brief;	  /* 0: none */
	const char *name; /* without the dashes */
	const char *arg;  /* placeholder, e.g. "SIZE"; NULL for OPT_FLAG */
	const char *help; /* one line; states the unit and the default */
	size_t field;	  /* offsetof() in the struct that is filled */
};

struct opt_list {
	const char **items; /* owned array of borrowed strings */
	size_t n;
};

/* What is left after the options. argv is permuted; the pointers point into it. */
struct opt_rest {
	char **args; /* arguments before "--" */
	int n_args;
	char **guest; /* behind "--" */
	int n_guest;
	bool has_guest; /* "--" was there */
};

/**
 * options_parse() - Fill @dst from argv as the table says
 * @what:	Command, for messages
 * @err:	INVALID: unknown option (with the nearest one), missing or bad value
 *
 * Fields that no option names keep their value.
 */
MUST_CHECK int options_parse(const struct opt *table, const char *what, void *dst, int argc,
			     char **argv, struct opt_rest *ret_rest, struct err *err);

/* Release the lists of a parsed struct. */
void options_done(const struct opt *table, void *dst);

/* The values behind OPT_SIZE_MIB and OPT_DURATION; -EINVAL, -ERANGE. */
MUST_CHECK int parse_size_mib(const char *text, uint64_t *ret_mib);
MUST_CHECK int parse_duration_ms(const char *text, uint64_t *ret_ms);

/**
 * suggest() - The word nearest to @text, at edit distance 2 or less
 * @words:	NULL-terminated
 * Return: one of @words, or NULL.
 */
const char *suggest(const char *text, const char *const *words);

#endif /* BASE_OPTIONS_H */
