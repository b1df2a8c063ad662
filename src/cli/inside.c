/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/inside.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "cli/common.h"
#include "cli/names.h"
#include "cli/out.h"
#include "cli/show.h"

#define LINGER_MS                                                                                  \
	2000 /* a sandbox that was started for a command ends so long after the last one */

static const char *const disconnects[] = { "keep", "hangup", "kill", NULL };

int inside_check(struct inside *in, struct msb_error *err)
{
	int r = program_check(in->program, &in->keys, err);

	if (r >= 0)
		r = common_choice("on-disconnect", in->opts->on_disconnect, disconnects, err);
	return r < 0 ? r : 0;
}

static int request(const struct inside *in, struct buf *b, const char **ret_text,
		   struct msb_error *err)
{
	AUTO(json_decref) json_t *env = NULL;
	struct json_out j;
	int r = env_read(&in->opts->env, &env, err);

	if (r < 0)
		return r;
	json_out_init(&j, b);
	json_put_object(&j, NULL);
	in->put(&j, in->user);
	if (env)
		json_put_value(&j, "env", env);
	if (in->opts->workdir)
		json_put_str(&j, "cwd", in->opts->workdir);
	if (in->opts->user)
		json_put_str(&j, "user", in->opts->user);
	json_put_str(&j, "on_disconnect",
		     in->opts->on_disconnect ? in->opts->on_disconnect : "keep");
	program_put(&j, in->program, in->tty, in->detach);
	json_put_end(&j);
	return common_json(&j, b, ret_text, err);
}

/* A sandbox that is started in the background. */
struct starting {
	struct msb *m; /* borrowed, as the name */
	const char *name;
	struct msb_sandbox *sb; /* owned */
};

static int start_job(void *user, const struct msb_call *call, struct msb_error *err)
{
	struct starting *s = user;
	char options[80];

	(void)snprintf(options, sizeof(options),
		       "{\"detached\":true,\"or_connect\":true,\"linger_ms\":%d}", LINGER_MS);
	return msb_sandbox_start(s->m, s->name, options, call, &s->sb, err);
}

/* 0, the code to exit with, or negative. */
static int start(struct msb *m, const char *name, struct msb_sandbox **ret_sb,
		 struct msb_error *err)
{
	struct starting s = { .m = m, .name = name };
	struct show_job job = { .name = name, .run = start_job, .user = &s };
	int r = show_run(&job, 1, SHOW_AUTO, err);

	if (r == 0 && job.result < 0) {
		*err = job.error;
		r = job.result;
	}
	*ret_sb = s.sb;
	return r > 0 ? EXIT_SIGNAL + r : r;
}

/* A sandbox that can take the program. */
static int open_sandbox(struct msb *m, const struct inside *in, struct msb_sandbox **ret_sb,
			struct msb_error *err)
{
	AUTO(msb_free) char *json = NULL;
	int r = names_open(m, in->name, ret_sb, err);

	if (r < 0)
		return r;
	r = msb_exec_list(*ret_sb, NULL, &json, err);
	if (r >= 0 || err->code != MSB_E_SANDBOX_NOT_RUNNING)
		return r < 0 ? r : 0;
	if (in->opts->no_start)
		return common_error(err, MSB_E_SANDBOX_NOT_RUNNING,
				    "sandbox '%s' is not running\nstart it: msb start %s", in->name,
				    in->name);
	out_remark("'%s' was not running: started for this command", in->name);
	msb_sandbox_close(*ret_sb);
	*ret_sb = NULL;
	return start(m, in->name, ret_sb, err);
}

static int leave(struct pump *pump, struct msb_error *err)
{
	uint64_t session = 0;
	int r = program_leave(pump, &session, err);

	if (r == 0)
		printf("%" PRIu64 "\n", session);
	return r;
}

static int serve(struct pump *pump, struct pump_end *end, struct msb_error *err)
{
	int r = pump_run(pump, end, err);

	if (r < 0 || !end->detached)
		return r < 0 ? r : end->code;
	out_remark("detached; come back with: msb attach %s %" PRIu64, pump->sandbox, end->session);
	return 0;
}

static int open_and_serve(const struct cli *cli, const struct inside *in, struct pump_end *end,
			  struct msb_error *err)
{
	AUTO(msb_stream_close) struct msb_stream *stream = NULL;
	AUTO(msb_sandbox_close) struct msb_sandbox *sb = NULL;
	AUTO(msb_close) struct msb *m = NULL;
	AUTO(buf_done) struct buf b;
	struct pump pump = {
		.program = in->what,
		.sandbox = in->name,
		.hint = in->hint,
		.stdin_open = !in->program->no_stdin,
		.tty = in->tty,
		.keys = in->keys,
		.timeout_ms = in->program->timeout_ms,
	};
	const char *text = NULL;
	int r;

	if (!in->tty)
		pump.keys.n = 0;
	buf_init(&b, COMMON_JSON_MAX);
	r = request(in, &b, &text, err);
	if (r >= 0)
		r = common_open(cli, NULL, &m, err);
	if (r >= 0)
		r = open_sandbox(m, in, &sb, err);
	if (r != 0)
		return r;
	pump_block_signals();
	r = msb_exec_open(sb, text, &stream, err);
	pump.stream = stream;
	if (r < 0)
		return r;
	return in->detach ? leave(&pump, err) : serve(&pump, end, err);
}

int inside_run(const struct cli *cli, struct inside *in, struct msb_error *err)
{
	struct pump_end end = { 0 };
	uint64_t start_ns = clock_now_ns();
	int r = open_and_serve(cli, in, &end, err);

	return program_result(in->program, r, &end, start_ns, err);
}
