/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"
#include "cli/common.h"
#include "cli/inside.h"

struct exec_opts {
	struct inside_opts inside;
	struct program_opts program;
	bool detach;
};

static const struct opt exec_options[] = {
	{ OPT_FLAG, 'd', "detach", NULL, "leave it running and print its session",
	  offsetof(struct exec_opts, detach) },
	INSIDE_OPTIONS(struct exec_opts),
	PROGRAM_OPTIONS(struct exec_opts),
	{ .kind = OPT_END },
};

/* As it is, or what the image runs by itself. */
static void put_command(struct json_out *j, const void *user)
{
	const struct opt_rest *rest = user;

	if (rest->n_guest > 0)
		program_put_words(j, "command", rest->guest, rest->n_guest);
	else
		json_put_bool(j, "default", true);
}

static int check(const struct opt_rest *rest, struct msb_error *err)
{
	if (rest->n_args == 0)
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "no sandbox named\nfor example: msb exec my-app -- ls");
	if (rest->n_args > 1)
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "unexpected argument '%s'\n"
				    "put -- before the guest command: msb exec %s -- %s",
				    rest->args[1], rest->args[0], rest->args[1]);
	return 0;
}

static int exec_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
		    struct msb_error *err)
{
	const struct exec_opts *o = opts;
	struct inside in = {
		.opts = &o->inside,
		.program = &o->program,
		.what = rest->n_guest > 0 ? rest->guest[0] : "the image's command",
		.tty = o->detach ? o->program.tty : program_tty(&o->program),
		.detach = o->detach,
		.put = put_command,
		.user = rest,
	};
	int r = check(rest, err);

	in.name = rest->args[0];
	if (r >= 0)
		r = inside_check(&in, err);
	return r < 0 ? r : inside_run(cli, &in, err);
}

const struct command cmd_exec = {
	.name = "exec",
	.group = "Sandboxes",
	.args = "[OPTIONS] NAME [-- COMMAND...]",
	.summary = "run a program in a sandbox",
	.example = "msb exec my-app -- pip install requests",
	.opts = exec_options,
	.opts_size = sizeof(struct exec_opts),
	.runs_guest = true,
	.run = exec_run,
};
