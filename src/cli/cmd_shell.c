/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "cli/command.h"
#include "cli/common.h"
#include "cli/inside.h"

struct shell_opts {
	struct inside_opts inside;
	struct program_opts program;
	const char *shell;
};

static const struct opt shell_options[] = {
	{ OPT_STRING, 0, "shell", "PROG",
	  "in place of the sandbox's, else the user's, else /bin/sh",
	  offsetof(struct shell_opts, shell) },
	INSIDE_OPTIONS(struct shell_opts),
	PROGRAM_OPTIONS(struct shell_opts),
	{ .kind = OPT_END },
};

/*
 * Run by the sandbox's shell, $0.  If nobody has set that, the user's of /etc/passwd takes over, unless
 * it is there to keep users out.  Only what every shell has is used.
 */
#define INTERACTIVE                                                                                \
	"s=$0\n"                                                                                   \
	"if [ \"$0\" = /bin/sh ] && [ -r /etc/passwd ]; then\n"                                    \
	"  while read -r k v r; do [ \"$k\" = Uid: ] && u=$v; done </proc/self/status\n"           \
	"  while IFS=: read -r n x i g c h p; do\n"                                                \
	"    [ \"$i\" = \"${u%%[!0-9]*}\" ] && s=$p && break\n"                                    \
	"  done </etc/passwd\n"                                                                    \
	"  case $s in */nologin|*/false) s=$0;; esac\n"                                            \
	"  [ -x \"$s\" ] || s=$0\n"                                                                \
	"fi\n"                                                                                     \
	"exec \"$s\""

/* What is asked for. */
struct wish {
	const char *shell;  /* NULL: the sandbox's */
	const char *script; /* NULL: none */
	bool interactive;
};

static void put_shell(struct json_out *j, const void *user)
{
	const struct wish *w = user;
	const char *script = w->script;

	if (w->shell) {
		json_put_array(j, "command");
		json_put_str(j, NULL, w->shell);
		if (script)
			json_put_str(j, NULL, "-c");
		if (script)
			json_put_str(j, NULL, script);
		json_put_end(j);
		return;
	}
	if (!script)
		script = w->interactive ? INTERACTIVE : "exec \"$0\" -s";
	json_put_str(j, "script", script);
	if (w->script)
		return;
	json_put_array(j, "args"); /* with arguments $0 is the shell */
	json_put_str(j, NULL, "");
	json_put_end(j);
}

/* The words behind "--", with spaces between them. */
static int join(const struct opt_rest *rest, struct buf *b, const char **ret_script,
		struct msb_error *err)
{
	const char *text;

	for (int i = 0; i < rest->n_guest; i++)
		if (buf_addf(b, "%s%s", i > 0 ? " " : "", rest->guest[i]) < 0)
			return common_error(err, MSB_E_INVALID_CONFIG, "the script is too long");
	text = buf_cstr(b);
	if (!text)
		return common_error(err, MSB_E_NO_MEMORY, "out of memory");
	*ret_script = rest->n_guest > 0 ? text : NULL;
	return 0;
}

static int shell_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
		     struct msb_error *err)
{
	const struct shell_opts *o = opts;
	AUTO(buf_done) struct buf b;
	struct wish wish = { .shell = o->shell };
	struct inside in = {
		.opts = &o->inside,
		.program = &o->program,
		.what = o->shell ? o->shell : "/bin/sh",
		.hint = "run a program that is there: msb exec NAME -- PROGRAM",
		.put = put_shell,
		.user = &wish,
	};
	int r = 0;

	buf_init(&b, COMMON_JSON_MAX);
	if (rest->n_args != 1)
		r = common_error(err, MSB_E_INVALID_CONFIG,
				 "name one sandbox\n"
				 "for example: msb shell my-app, msb shell my-app -- 'ls | wc -l'");
	in.name = rest->args[0];
	if (r >= 0)
		r = join(rest, &b, &wish.script, err);
	in.tty = program_tty(&o->program);
	wish.interactive = in.tty || isatty(STDIN_FILENO);
	if (r >= 0)
		r = inside_check(&in, err);
	return r < 0 ? r : inside_run(cli, &in, err);
}

const struct command cmd_shell = {
	.name = "shell",
	.group = "Sandboxes",
	.args = "[OPTIONS] NAME [-- SCRIPT...]",
	.summary = "open a shell in a sandbox, or run a script with it",
	.example = "msb shell my-app\n"
		   "msb shell my-app -- 'ls | wc -l'",
	.opts = shell_options,
	.opts_size = sizeof(struct shell_opts),
	.runs_guest = true,
	.run = shell_run,
};
