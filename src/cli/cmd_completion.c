/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scripts are all the same: they ask `msb __complete`, which knows the command table and the names,
 * and never get older than the program.
 */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/common.h"
#include "cli/complete.h"

static const struct opt no_options[] = { { .kind = OPT_END } };

static const char bash_script[] =
	"# bash completion of msb: source <(msb completion bash)\n"
	"_msb() {\n"
	"\tlocal IFS=$' \\t\\n' line=${COMP_LINE:0:COMP_POINT} words cur before\n"
	"\tread -ra words <<<\"$line\"\n"
	"\t[[ $line == *[[:space:]] ]] && words+=(\"\")\n"
	"\tcur=${words[-1]}\n"
	"\tIFS=$'\\n' COMPREPLY=($(\"${words[0]}\" __complete -- \"${words[@]:1}\" 2>/dev/null |\n"
	"\t\tcut -f1))\n"
	"\t# bash replaces only what stands behind the last colon or equals sign.\n"
	"\tbefore=${cur%\"${cur##*[:=]}\"}\n"
	"\tCOMPREPLY=(\"${COMPREPLY[@]#\"$before\"}\")\n"
	"}\n"
	"complete -o default -F _msb msb\n";

static const char zsh_script[] =
	"#compdef msb\n"
	"# zsh completion of msb: source <(msb completion zsh)\n"
	"_msb() {\n"
	"\tlocal -a items\n"
	"\tlocal line\n"
	"\tfor line in ${(f)\"$($words[1] __complete -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)\"}; do\n"
	"\t\titems+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\")\n"
	"\tdone\n"
	"\tif (( $#items )); then _describe msb items; else _files; fi\n"
	"}\n"
	"compdef _msb msb\n";

static const char fish_script[] = "# fish completion of msb: msb completion fish | source\n"
				  "function __msb_complete\n"
				  "\tset -l words (commandline -opc) (commandline -ct)\n"
				  "\t$words[1] __complete -- $words[2..-1] 2>/dev/null\n"
				  "end\n"
				  "complete -c msb -a '(__msb_complete)'\n";

static int completion_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
			  struct msb_error *err)
{
	static const char *const shells[] = { "bash", "zsh", "fish", NULL };
	static const char *const scripts[] = { bash_script, zsh_script, fish_script };
	int r = common_arguments(rest, 1, 1, "the shell", err);

	if (r == 0)
		r = common_choice("shell", rest->args[0], shells, err);
	if (r < 0)
		return r;
	(void)fputs(scripts[r], stdout);
	return 0;
}

const struct command cmd_completion = {
	.name = "completion",
	.group = "Other",
	.args = "bash|zsh|fish",
	.summary = "print the script that completes command lines of msb",
	.example = "msb completion bash > ~/.local/share/bash-completion/completions/msb",
	.opts = no_options,
	.run = completion_run,
};

/* ---- msb __complete ---- */

static void print_candidate(void *user, const char *before, const char *word, const char *help)
{
	printf("%s%s\t%s\n", before, word, help);
}

/* The member that is the name in a listing of @kind. */
static void print_names(void *user, enum complete_kind kind, const char *before, const char *prefix)
{
	static const struct {
		int kind;
		const char *filter, *key, *help;
	} lists[] = {
		[COMPLETE_SANDBOX] = { MSB_SANDBOX, NULL, "name", "status" },
		[COMPLETE_IMAGE] = { MSB_IMAGE, "{\"brief\":true}", "name", "platform" },
		[COMPLETE_REGISTRY] = { MSB_REGISTRY, NULL, "host", "user" },
	};
	const struct cli *cli = user;
	AUTO(json_decref) json_t *root = NULL;
	AUTO(msb_close) struct msb *m = NULL;
	AUTO(msb_free) char *json = NULL;
	struct msb_error ignored = { 0 };
	struct err e = ERR_INIT;
	struct json_at list;
	size_t n = 0;

	if (kind == COMPLETE_NOTHING || common_open(cli, NULL, &m, &ignored) < 0 ||
	    msb_list(m, lists[kind].kind, lists[kind].filter, &json, &ignored) < 0 ||
	    json_parse("list", json, strlen(json), COMMON_JSON_MAX, &root, &e) < 0)
		return;
	list = json_root(root, "list");
	if (json_get_array(&list, SIZE_MAX, &n, &e) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		struct json_at item = json_item(&list, i);
		const char *name = NULL, *help = "";

		if (json_opt_str(&item, lists[kind].key, &name, &e) < 0 ||
		    json_opt_str(&item, lists[kind].help, &help, &e) < 0)
			return;
		if (name && strncmp(name, prefix, strlen(prefix)) == 0)
			print_candidate(user, before, name, help);
	}
}

static int complete_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
			struct msb_error *err)
{
	struct cli home = *cli;
	struct complete_sink sink = { .candidate = print_candidate,
				      .names = print_names,
				      .user = &home };

	for (int i = 0; i + 1 < rest->n_guest; i++)
		if (strcmp(rest->guest[i], "--home") == 0)
			home.home = rest->guest[i + 1];
	if (rest->n_guest > 0)
		complete(commands, global_options, rest->guest, rest->n_guest, &sink);
	return 0;
}

/* For the scripts: msb __complete -- WORD... */
const struct command cmd_complete = {
	.name = "__complete",
	.args = "-- WORD...",
	.summary = "list what may come next on a command line",
	.opts = no_options,
	.run = complete_run,
};
