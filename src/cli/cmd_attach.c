/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "cli/command.h"
#include "cli/common.h"
#include "cli/names.h"
#include "cli/out.h"
#include "cli/program.h"
#include "cli/sessions.h"

#define REPLAY (256u << 10) /* bytes of earlier output that are shown */

struct attach_opts {
	const char *detach_keys;
	bool watch, steal, no_replay;
};

static const struct opt attach_options[] = {
	{ OPT_FLAG, 0, "watch", NULL, "only look; any number may",
	  offsetof(struct attach_opts, watch) },
	{ OPT_FLAG, 0, "steal", NULL, "take the input from the client that has it",
	  offsetof(struct attach_opts, steal) },
	{ OPT_FLAG, 0, "no-replay", NULL, "show nothing of its earlier output",
	  offsetof(struct attach_opts, no_replay) },
	{ OPT_STRING, 0, "detach-keys", "KEYS",
	  "leave the program running: ctrl-X or a character, comma separated (ctrl-])",
	  offsetof(struct attach_opts, detach_keys) },
	{ .kind = OPT_END },
};

/* The session in question, its row borrowed from the list. */
static int choose(const char *name, const json_t *list, uint64_t wanted, bool given,
		  struct json_at *ret_row, struct session *ret, struct msb_error *err)
{
	struct json_at rows = json_root(list, "sessions");
	size_t n_live = 0;

	for (size_t i = 0; i < json_array_size(list); i++) {
		struct json_at row = json_item(&rows, i);
		struct session s;
		int r = sessions_read(&row, &s, err);

		if (r < 0)
			return r;
		if (given ? s.number != wanted : !s.live)
			continue;
		n_live++;
		*ret = s;
		*ret_row = (struct json_at){ .value = row.value, .key = "session" };
		if (given || s.main)
			return 0;
	}
	if (n_live == 1)
		return 0;
	if (given)
		return common_error(err, MSB_E_NOT_FOUND,
				    "'%s' has no session %" PRIu64 "\nsee them: msb ps %s", name,
				    wanted, name);
	return common_error(err, MSB_E_NOT_FOUND,
			    n_live == 0 ? "nothing runs in '%s'\nstart something: msb shell %s"
					: "several programs run in '%s'\n"
					  "name the session, see them: msb ps %s",
			    name, name);
}

/* Where to begin: the end, or so much before it as is wanted and kept. */
static uint64_t begin_at(const struct json_at *row, const char *bytes_key, const char *kept_key,
			 bool no_replay)
{
	uint64_t bytes = 0, kept = 0;
	struct err e = ERR_INIT;

	/* What is not known is shown from the beginning. */
	IGNORE_RESULT(json_opt_u64(row, bytes_key, 0, UINT64_MAX, &bytes, &e) < 0);
	IGNORE_RESULT(json_opt_u64(row, kept_key, 0, UINT64_MAX, &kept, &e) < 0);
	if (no_replay)
		kept = 0;
	if (kept > REPLAY)
		kept = REPLAY;
	return bytes > kept ? bytes - kept : 0;
}

static int open_stream(struct msb_sandbox *sb, const struct attach_opts *o, const struct session *s,
		       const struct json_at *row, struct msb_stream **ret_s, struct msb_error *err)
{
	AUTO(buf_done) struct buf b;
	const char *text = NULL;
	struct json_out j;
	int r;

	buf_init(&b, COMMON_JSON_MAX);
	json_out_init(&j, &b);
	json_put_object(&j, NULL);
	json_put_u64(&j, "session", s->number);
	json_put_u64(&j, "stdout_from", begin_at(row, "stdout_bytes", "stdout_kept", o->no_replay));
	json_put_u64(&j, "stderr_from", begin_at(row, "stderr_bytes", "stderr_kept", o->no_replay));
	if (o->watch)
		json_put_bool(&j, "watch", true);
	if (o->steal)
		json_put_bool(&j, "steal", true);
	json_put_end(&j);
	r = common_json(&j, &b, &text, err);
	return r < 0 ? r : msb_exec_attach(sb, text, ret_s, err);
}

static int serve(struct msb_sandbox *sb, const char *name, const struct attach_opts *o,
		 const struct keys *keys, const struct session *s, const struct json_at *row,
		 struct msb_error *err)
{
	AUTO(msb_stream_close) struct msb_stream *stream = NULL;
	struct pump pump = {
		.program = s->command,
		.sandbox = name,
		.stdin_open = !o->watch,
		.tty = s->tty,
		.watch = o->watch,
		.keys = *keys,
	};
	struct pump_end end = { 0 };
	int r;

	if (!s->tty)
		pump.keys.n = 0;
	pump_block_signals();
	r = open_stream(sb, o, s, row, &stream, err);
	pump.stream = stream;
	if (r >= 0)
		r = pump_run(&pump, &end, err);
	if (r < 0 || !end.detached)
		return r < 0 ? r : end.code;
	out_remark("detached; come back with: msb attach %s %" PRIu64, name, s->number);
	return 0;
}

static int attach_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
		      struct msb_error *err)
{
	const struct attach_opts *o = opts;
	const struct program_opts program = { .detach_keys = o->detach_keys };
	AUTO(msb_close) struct msb *m = NULL;
	AUTO(msb_sandbox_close) struct msb_sandbox *sb = NULL;
	AUTO(json_decref) json_t *list = NULL;
	struct json_at row = { 0 };
	struct session session = { 0 };
	struct keys keys = { 0 };
	uint64_t wanted = 0;
	int r = common_arguments(rest, 1, 2, "NAME", err);

	if (r >= 0 && o->watch && o->steal)
		r = common_error(err, MSB_E_INVALID_CONFIG,
				 "--watch and --steal exclude each other");
	if (r >= 0)
		r = program_check(&program, &keys, err);
	if (r >= 0 && rest->n_args == 2)
		r = sessions_number("SESSION", rest->args[1], &wanted, err);
	if (r >= 0)
		r = common_open(cli, NULL, &m, err);
	if (r >= 0)
		r = names_open(m, rest->args[0], &sb, err);
	if (r >= 0)
		r = sessions_list(sb, NULL, &list, err);
	if (r >= 0)
		r = choose(rest->args[0], list, wanted, rest->n_args == 2, &row, &session, err);
	return r < 0 ? r : serve(sb, rest->args[0], o, &keys, &session, &row, err);
}

const struct command cmd_attach = {
	.name = "attach",
	.group = "Sandboxes",
	.args = "[OPTIONS] NAME [SESSION]",
	.summary = "come back to a program that runs in a sandbox",
	.example = "msb attach my-app\n"
		   "msb attach --watch my-app 7",
	.opts = attach_options,
	.opts_size = sizeof(struct attach_opts),
	.runs_guest = true,
	.run = attach_run,
};
