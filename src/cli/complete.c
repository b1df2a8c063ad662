/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/complete.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define WORD_MAX 64 /* bytes of a value or placeholder, with NUL */

/* Where we are on the line. */
struct place {
	const struct command *const *list; /* NULL: the command takes no subcommand */
	const struct command *cmd;	   /* NULL: none yet */
	const struct opt *opts;		   /* of it, or the global ones */
	int n_args;			   /* before the last word */
};

static bool begins(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* The next value of "a, b or c" between *at and @end: 1, 0: none is left, -1: this is a sentence. */
static int next_value(const char **at, const char *end, char out[static WORD_MAX])
{
	const char *p = *at;
	size_t n = 0;

	if (p == end)
		return 0;
	while (p + n < end && p[n] != ',' && p[n] != ' ')
		n++;
	if (n == 0 || n >= WORD_MAX)
		return -1;
	memcpy(out, p, n);
	out[n] = '\0';
	p += n;
	if (begins(p, ", ") && p < end)
		p += 2;
	else if (begins(p, " or ") && p < end)
		p += 4;
	else if (p != end)
		return -1;
	*at = p;
	return 1;
}

size_t complete_values(const struct opt *o, void (*each)(void *user, const char *value), void *user)
{
	const char *end = o->help + strcspn(o->help, "(;"), *start = o->help, *p;
	char value[WORD_MAX];
	size_t n = 0;
	int r;

	if (o->kind != OPT_STRING && o->kind != OPT_LIST)
		return 0;
	while (end > start && end[-1] == ' ')
		end--;
	for (p = o->help; p < end; p++)
		if (begins(p, ": ") && p + 2 < end)
			start = p + 2;
	for (p = start; (r = next_value(&p, end, value)) == 1;)
		n++;
	if (r < 0 || n < 2)
		return 0;
	for (p = start; next_value(&p, end, value) == 1;)
		each(user, value);
	return n;
}

/* What stands behind a placeholder. */
static enum complete_kind kind_of(const char *placeholder)
{
	static const struct {
		const char *word;
		enum complete_kind kind;
	} kinds[] = {
		{ "NAME", COMPLETE_SANDBOX },	 { "NAMES", COMPLETE_SANDBOX },
		{ "SANDBOX", COMPLETE_SANDBOX }, { "IMAGE", COMPLETE_IMAGE },
		{ "IMAGES", COMPLETE_IMAGE },	 { "REF", COMPLETE_IMAGE },
		{ "REFERENCE", COMPLETE_IMAGE }, { "HOST", COMPLETE_REGISTRY },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].word, placeholder) == 0)
			return kinds[i].kind;
	return COMPLETE_NOTHING;
}

/* The @index-th placeholder of "[OPTIONS] IMAGE... [-- COMMAND...]". */
static void placeholder(const char *args, int index, char out[static WORD_MAX])
{
	out[0] = '\0';
	for (const char *p = args; *p;) {
		size_t n = 0;

		p += strcspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-");
		if (begins(p, "--")) /* what is the guest's */
			return;
		while (isupper((unsigned char)p[n]))
			n++;
		if (n == 0 || n >= WORD_MAX || begins(p, "OPTIONS")) {
			p += n ? n : *p != '\0';
			continue;
		}
		memcpy(out, p, n);
		out[n] = '\0';
		p += n;
		if (index-- == 0 || begins(p, "..."))
			return;
	}
	out[0] = '\0';
}

struct value_filter {
	const struct complete_sink *sink;
	const char *before, *prefix;
};

static void offer_value(void *user, const char *value)
{
	const struct value_filter *f = user;

	if (begins(value, f->prefix))
		f->sink->candidate(f->sink->user, f->before, value, "");
}

static void offer_values(const struct opt *o, const char *before, const char *prefix,
			 const struct complete_sink *sink)
{
	struct value_filter f = { sink, before, prefix };
	enum complete_kind kind = o->arg ? kind_of(o->arg) : COMPLETE_NOTHING;

	/* Options that give a new name say so with the same word. */
	if (complete_values(o, offer_value, &f) == 0 && kind == COMPLETE_IMAGE)
		sink->names(sink->user, kind, before, prefix);
}

/* The option of @word, "--name", "--name=value" or "-n". */
static const struct opt *option_of(const struct opt *opts, const char *word)
{
	size_t n = strcspn(word, "=");

	for (const struct opt *o = opts; o && o->kind != OPT_END; o++)
		if ((n == strlen(o->name) + 2 && begins(word, "--") &&
		     strncmp(word + 2, o->name, n - 2) == 0) ||
		    (o->brief && word[1] == o->brief && word[2] == '\0'))
			return o;
	return NULL;
}

static const struct command *command_of(const struct command *const *list, const char *name)
{
	for (; *list; list++)
		if (strcmp((*list)->name, name) == 0)
			return *list;
	return NULL;
}

static void offer_options(const struct opt *opts, const char *word,
			  const struct complete_sink *sink)
{
	const char *value = strchr(word, '=');
	const struct opt *o = value ? option_of(opts, word) : NULL;
	char name[WORD_MAX + 2];

	if (o) {
		(void)snprintf(name, sizeof(name), "--%s=", o->name);
		offer_values(o, name, value + 1, sink);
		return;
	}
	for (o = opts; o && o->kind != OPT_END; o++) {
		(void)snprintf(name, sizeof(name), "--%s", o->name);
		if (begins(name, word))
			sink->candidate(sink->user, "", name, o->help);
	}
	if (begins("--help", word) && !option_of(opts, "--help"))
		sink->candidate(sink->user, "", "--help", "show help");
}

/* Go over the words before the last. False: nothing can be said of what follows. */
static bool walk(struct place *p, char **words, int n, const struct opt **ret_open)
{
	for (int i = 0; i < n; i++) {
		const char *w = words[i];

		if (strcmp(w, "--") == 0)
			return false;
		if (w[0] == '-' && w[1]) {
			const struct opt *o = option_of(p->opts, w);

			if (!o || o->kind == OPT_FLAG || strchr(w, '='))
				continue;
			if (++i == n)
				*ret_open = o;
			continue;
		}
		if (!p->list) {
			p->n_args++;
			continue;
		}
		p->cmd = command_of(p->list, w);
		if (!p->cmd)
			return false;
		p->list = p->cmd->subcommands;
		p->opts = p->cmd->opts;
	}
	return true;
}

void complete(const struct command *const *list, const struct opt *globals, char **words, int n,
	      const struct complete_sink *sink)
{
	struct place p = { .list = list, .opts = globals };
	const char *word = words[n - 1];
	const struct opt *open = NULL;
	char what[WORD_MAX];

	if (!walk(&p, words, n - 1, &open))
		return;
	if (open) {
		offer_values(open, "", word, sink);
	} else if (word[0] == '-') {
		offer_options(p.opts, word, sink);
	} else if (p.list) {
		for (; *p.list; p.list++)
			if ((p.cmd || (*p.list)->group) && begins((*p.list)->name, word))
				sink->candidate(sink->user, "", (*p.list)->name,
						(*p.list)->summary);
	} else if (p.cmd && p.cmd->args) {
		placeholder(p.cmd->args, p.n_args, what);
		sink->names(sink->user, kind_of(what), "", word);
	}
}
