/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"

#define HELP_COLUMN 30 /* where the text begins behind an option */
#define TREE_COLUMN 52 /* the same in --tree */

static void option_name(const struct opt *o, char *out, size_t size)
{
	if (o->brief)
		(void)snprintf(out, size, "-%c, --%s%s%s", o->brief, o->name, o->arg ? " " : "",
			       o->arg ? o->arg : "");
	else
		(void)snprintf(out, size, "    --%s%s%s", o->name, o->arg ? " " : "",
			       o->arg ? o->arg : "");
}

static void print_options(FILE *to, const struct opt *o)
{
	char name[80];

	for (; o->kind != OPT_END; o++) {
		option_name(o, name, sizeof(name));
		(void)fprintf(to, "  %-*s%s\n", HELP_COLUMN, name, o->help);
	}
}

void help_all(void)
{
	const char *group = "";

	printf("msb runs untrusted code in microVMs that are child processes.\n\n"
	       "Usage: msb [GLOBAL OPTIONS] COMMAND [OPTIONS] [ARGUMENTS] "
	       "[-- GUEST COMMAND...]\n");
	for (size_t i = 0; commands[i]; i++) {
		const struct command *c = commands[i];

		if (!c->group)
			continue;
		if (strcmp(group, c->group) != 0) {
			group = c->group;
			printf("\n%s:\n", group);
		}
		printf("  %-12s%s\n", c->name, c->summary);
	}
	printf("\nGlobal options:\n");
	print_options(stdout, global_options);
	printf("\n'msb COMMAND --help' tells more about one command.\n");
}

void help_command(const char *path, const struct command *cmd, bool to_stderr)
{
	FILE *to = to_stderr ? stderr : stdout;

	(void)fprintf(to, "%s\n\nUsage: %s %s\n", cmd->summary, path, cmd->args);
	if (cmd->subcommands) {
		(void)fprintf(to, "\nCommands:\n");
		for (size_t i = 0; cmd->subcommands[i]; i++)
			(void)fprintf(to, "  %-12s%s\n", cmd->subcommands[i]->name,
				      cmd->subcommands[i]->summary);
	}
	if (cmd->opts && cmd->opts->kind != OPT_END) {
		(void)fprintf(to, "\nOptions:\n");
		print_options(to, cmd->opts);
	}
	if (!cmd->example)
		return;
	(void)fprintf(to, "\nExample:\n");
	for (const char *line = cmd->example; *line;) {
		int len = (int)strcspn(line, "\n");

		(void)fprintf(to, "  %.*s\n", len, line);
		line += len + (line[len] == '\n');
	}
}

/* One line of the tree; the box characters take three columns a level, the bytes more. */
static void tree_line(const char *indent, bool last, const char *name, const char *text)
{
	size_t depth = strlen(indent) ? strlen(indent) : 0, width = 0;

	for (size_t i = 0; i < depth; i++)
		width += ((unsigned char)indent[i] & 0xc0) != 0x80;
	printf("%s%s%-*s%s\n", indent, last ? "└── " : "├── ",
	       TREE_COLUMN - (int)width - 4 > 0 ? TREE_COLUMN - (int)width - 4 : 1, name, text);
}

static void tree_body(const char *indent, const struct command *cmd);

static void tree_command(const char *indent, bool last, const struct command *c)
{
	char name[128], deeper[128];

	if (c->subcommands)
		(void)snprintf(name, sizeof(name), "%s", c->name);
	else
		(void)snprintf(name, sizeof(name), "%s %s", c->name, c->args);
	tree_line(indent, last, name, c->summary);
	(void)snprintf(deeper, sizeof(deeper), "%s%s", indent, last ? "    " : "│   ");
	tree_body(deeper, c);
}

static void tree_body(const char *indent, const struct command *cmd)
{
	char name[80];

	for (size_t i = 0; cmd->subcommands && cmd->subcommands[i]; i++)
		tree_command(indent, !cmd->subcommands[i + 1], cmd->subcommands[i]);
	for (const struct opt *o = cmd->opts; o && o->kind != OPT_END; o++) {
		option_name(o, name, sizeof(name));
		tree_line(indent, o[1].kind == OPT_END, name, o->help);
	}
}

void help_tree(const char *path, const struct command *cmd)
{
	printf("%s\n", path);
	if (cmd) {
		tree_body("", cmd);
		return;
	}
	/* The last one is listed. */
	for (size_t i = 0; commands[i]; i++)
		if (commands[i]->group)
			tree_command("", !commands[i + 1], commands[i]);
}
