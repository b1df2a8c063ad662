/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/command.h"
#include "cli/common.h"
#include "cli/complete.h"

static void put_value(void *user, const char *value)
{
	json_put_str(user, NULL, value);
}

static void put_options(struct json_out *j, const struct opt *o)
{
	json_put_array(j, "options");
	for (; o && o->kind != OPT_END; o++) {
		json_put_object(j, NULL);
		json_put_str(j, "name", o->name);
		json_put_strn(j, "short", &o->brief, o->brief ? 1 : 0);
		json_put_str(j, "arg", o->arg);
		json_put_str(j, "help", o->help);
		json_put_array(j, "values");
		(void)complete_values(o, put_value, j);
		json_put_end(j);
		json_put_end(j);
	}
	json_put_end(j);
}

static void put_commands(struct json_out *j, const struct command *const *list, bool top);

static void put_body(struct json_out *j, const struct command *c)
{
	json_put_str(j, "name", c->name);
	json_put_str(j, "summary", c->summary);
	json_put_str(j, "args", c->args);
	put_options(j, c->opts);
	put_commands(j, c->subcommands, false);
}

static void put_commands(struct json_out *j, const struct command *const *list, bool top)
{
	json_put_array(j, "commands");
	for (; list && *list; list++) {
		if (top && !(*list)->group)
			continue;
		json_put_object(j, NULL);
		put_body(j, *list);
		json_put_end(j);
	}
	json_put_end(j);
}

int help_tree_json(const struct command *cmd)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct msb_error err = { 0 };
	const char *text = NULL;
	struct json_out j;

	buf_init(&b, COMMON_JSON_MAX);
	json_out_init(&j, &b);
	json_put_object(&j, NULL);
	if (cmd) {
		put_body(&j, cmd);
	} else {
		json_put_str(&j, "name", "msb");
		put_options(&j, global_options);
		put_commands(&j, commands, true);
	}
	json_put_end(&j);
	if (common_json(&j, &b, &text, &err) < 0)
		return EXIT_ITEM_FAILED;
	printf("%s\n", text);
	return 0;
}
