/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>

#include "cli/bulk.h"
#include "cli/common.h"
#include "cli/names.h"
#include "cli/sessions.h"

struct kill_opts {
	struct opt_list labels;
	const char *signal, *session;
	bool now, quiet;
};

static const struct opt kill_options[] = {
	{ OPT_STRING, 's', "signal", "SIG",
	  "only send this signal to the programs (TERM, SIGHUP, 9 ...)",
	  offsetof(struct kill_opts, signal) },
	{ OPT_STRING, 0, "session", "N", "only to this session; KILL if no signal is given",
	  offsetof(struct kill_opts, session) },
	{ OPT_FLAG, 0, "now", NULL,
	  "cut the power: what was written and not synced in the last seconds may be lost",
	  offsetof(struct kill_opts, now) },
	NAMES_LABEL_OPTION(struct kill_opts),
	{ OPT_FLAG, 'q', "quiet", NULL, "print errors only", offsetof(struct kill_opts, quiet) },
	{ .kind = OPT_END },
};

static int signal_all(struct msb_sandbox *sb, int signo, const struct msb_call *call,
		      struct msb_error *err)
{
	AUTO(json_decref) json_t *value = NULL;
	int r = sessions_list(sb, call, &value, err);
	struct json_at rows = json_root(value, "sessions");

	for (size_t i = 0; r >= 0 && i < json_array_size(value); i++) {
		struct json_at row = json_item(&rows, i);
		struct session s;

		r = sessions_read(&row, &s, err);
		if (r < 0 || !s.live)
			continue;
		r = msb_exec_kill(sb, s.number, signo, 0, call, err);
		if (r < 0 && err->code == MSB_E_NOT_FOUND)
			r = 0; /* it ended meanwhile */
	}
	return r;
}

static int kill_one(struct bulk_item *item, const struct msb_call *call, struct msb_error *err)
{
	const struct kill_opts *o = item->opts;
	AUTO(msb_sandbox_close) struct msb_sandbox *sb = NULL;
	int signo = o->signal ? signal_number(o->signal) : SIGKILL;
	uint64_t session = 0;
	int r = msb_sandbox_get(item->m, item->name, &sb, err);

	if (r >= 0 && o->session)
		r = sessions_number("--session", o->session, &session, err);
	if (r < 0)
		return r;
	if (o->session) {
		r = msb_exec_kill(sb, session, signo, !o->signal, call, err);
		if (r < 0 && err->code == MSB_E_NOT_FOUND)
			return common_error(err, MSB_E_NOT_FOUND,
					    "'%s' has no session %s\nsee them: msb ps %s",
					    item->name, o->session, item->name);
		return r;
	}
	if (o->signal)
		return signal_all(sb, signo, call, err);
	return msb_sandbox_stop(sb, o->now ? MSB_CUT : MSB_KILL, 0, call, NULL, err);
}

static int kill_check(const struct kill_opts *o, struct msb_error *err)
{
	uint64_t session;

	if (o->signal && signal_number(o->signal) < 0)
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "--signal: '%s' is not a signal; write TERM, SIGHUP or 9",
				    o->signal);
	if (o->now && (o->signal || o->session))
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "--now ends whole sandboxes; leave out --signal and --session");
	return o->session ? sessions_number("--session", o->session, &session, err) : 0;
}

static int kill_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
		    struct msb_error *err)
{
	const struct kill_opts *o = opts;
	struct bulk bulk = {
		.command = "kill",
		.verb = o->signal ? "Signalled" : "Killed",
		.labels = &o->labels,
		.opts = o,
		.quiet = o->quiet,
		.run = kill_one,
	};
	int r = kill_check(o, err);

	return r < 0 ? r : bulk_run(cli, &bulk, rest, err);
}

const struct command cmd_kill = {
	.name = "kill",
	.group = "Sandboxes",
	.args = "[OPTIONS] NAME...",
	.summary = "end all programs of sandboxes at once, then the sandboxes",
	.example = "msb kill my-app\n"
		   "msb kill -s HUP my-app",
	.opts = kill_options,
	.opts_size = sizeof(struct kill_opts),
	.run = kill_run,
};
