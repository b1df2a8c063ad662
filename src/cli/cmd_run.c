/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/common.h"
#include "cli/make.h"
#include "cli/out.h"
#include "cli/program.h"

struct run_opts {
	struct make_opts make;
	struct program_opts program;
	const char *format;
	bool detach, keep, image_command;
};

static const struct run_opts run_defaults = { .make = MAKE_DEFAULTS };

static const struct opt run_options[] = {
	{ OPT_FLAG, 'd', "detach", NULL, "leave it running and print its name",
	  offsetof(struct run_opts, detach) },
	{ OPT_FLAG, 0, "keep", NULL, "it stays up after its program has ended",
	  offsetof(struct run_opts, keep) },
	{ OPT_FLAG, 0, "image-command", NULL, "with -d: run the image's own command",
	  offsetof(struct run_opts, image_command) },
	{ OPT_STRING, 0, "format", "FORMAT", "with -d: table (the name) or json (table)",
	  offsetof(struct run_opts, format) },
	MAKE_OPTIONS(struct run_opts),
	PROGRAM_OPTIONS(struct run_opts),
	{ .kind = OPT_END },
};

enum { FORMAT_NAME, FORMAT_JSON };

/* One run, from the command line to its end. */
struct run {
	const struct run_opts *o; /* borrowed, as the next two */
	const struct opt_rest *rest;
	const char *image;
	int format;
	bool tty;
	struct msb_sandbox *sb; /* owned by run_run() */
	struct pump pump;
	struct pump_end end;
};

static int run_check(struct run *run, struct msb_error *err)
{
	static const char *const formats[] = { "table", "json", NULL };
	const struct run_opts *o = run->o;
	int r = make_check(&o->make, run->rest, "run", err);

	if (r >= 0)
		r = program_check(&o->program, &run->pump.keys, err);
	if (r < 0)
		return r;
	if (o->format && !o->detach)
		return common_error(err, MSB_E_INVALID_CONFIG, "--format goes with --detach");
	if (o->image_command && (!o->detach || run->rest->n_guest > 0))
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "--image-command goes with --detach, without a command");
	run->format = common_choice("format", o->format, formats, err);
	run->image = run->rest->args[0];
	run->tty = o->detach ? o->program.tty : program_tty(&o->program);
	return run->format < 0 ? run->format : 0;
}

/* @main: its end ends the sandbox */
static int open_program(struct run *run, bool main, struct msb_error *err)
{
	AUTO(buf_done) struct buf b;
	const char *text = NULL;
	struct json_out j;
	int r;

	buf_init(&b, COMMON_JSON_MAX);
	json_out_init(&j, &b);
	json_put_object(&j, NULL);
	json_put_bool(&j, "default", true);
	if (run->rest->n_guest > 0) /* in place of the image's CMD; the entrypoint stays */
		program_put_words(&j, "args", run->rest->guest, run->rest->n_guest);
	if (main)
		json_put_bool(&j, "main", true);
	json_put_str(&j, "on_disconnect", "keep");
	program_put(&j, &run->o->program, run->tty, run->o->detach);
	json_put_end(&j);
	r = common_json(&j, &b, &text, err);
	return r < 0 ? r : msb_exec_open(run->sb, text, &run->pump.stream, err);
}

static int print_name(const struct run *run, struct msb_error *err)
{
	AUTO(buf_done) struct buf b;
	const char *text = msb_sandbox_name(run->sb);
	struct json_out j;
	int r = 0;

	buf_init(&b, COMMON_JSON_MAX);
	if (run->format == FORMAT_JSON) {
		json_out_init(&j, &b);
		json_put_object(&j, NULL);
		json_put_str(&j, "name", text);
		json_put_str(&j, "id", msb_sandbox_id(run->sb));
		json_put_end(&j);
		r = common_json(&j, &b, &text, err);
	}
	if (r >= 0)
		printf("%s\n", text);
	return r;
}

/*
 * Nothing would end a sandbox of ours whose program was not started, and nobody would clear away
 * one that has died.
 */
static void give_up(struct run *run, bool ours)
{
	if (ours)
		IGNORE_RESULT(msb_sandbox_stop(run->sb, MSB_KILL, 0, NULL, NULL, NULL));
}

/* Starts the program if there is one, and leaves: until then the sandbox would end with us. */
static int run_detached(struct run *run, struct msb_error *err)
{
	bool idle = run->rest->n_guest == 0 && !run->o->image_command;
	bool ours = msb_sandbox_attached(run->sb) == 1;
	uint64_t session;
	int r = 0;

	if (!idle) {
		r = open_program(run, !run->o->keep, err);
		if (r >= 0)
			r = program_leave(&run->pump, &session, err);
	}
	if (r == 0)
		r = msb_sandbox_detach(run->sb, err);
	if (r != 0)
		give_up(run, ours);
	return r != 0 ? r : print_name(run, err);
}

/* Its disks are flushed and its files gone when this returns, if it ends with the program. */
static int run_attached(struct run *run, struct msb_error *err)
{
	bool ours = msb_sandbox_attached(run->sb) == 1;
	int r;

	pump_block_signals();
	r = open_program(run, ours && !run->o->keep, err);
	if (r >= 0)
		r = pump_run(&run->pump, &run->end, err);
	if (r < 0 || (!run->end.started && !run->end.detached)) {
		give_up(run, ours);
	} else if (run->end.detached || run->o->keep) {
		r = msb_sandbox_detach(run->sb, err);
		if (r >= 0 && run->end.detached)
			out_remark("detached; come back with: msb attach %s",
				   msb_sandbox_name(run->sb));
	} else if (ours) {
		r = msb_sandbox_wait(run->sb, NULL, NULL, NULL, err);
	}
	return r < 0 ? r : run->end.code;
}

static int run_open(const struct cli *cli, struct run *run, struct msb **ret_m,
		    struct msb_error *err)
{
	const struct make_opts *make = &run->o->make;
	AUTO(buf_done) struct buf b;
	const char *spec = NULL;
	int flags = make->name && !make->replace ? MSB_OR_CONNECT : 0, r;

	buf_init(&b, COMMON_JSON_MAX);
	r = make_spec(make, run->image, make->name, &b, &spec, err);
	if (r >= 0)
		r = common_open(cli, make->engine, ret_m, err);
	return r < 0 ? r : make_sandbox(*ret_m, run->image, spec, flags, &run->sb, err);
}

static int run_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
		   struct msb_error *err)
{
	const struct run_opts *o = opts;
	AUTO(msb_close) struct msb *m = NULL;
	struct run run = { .o = o, .rest = rest };
	uint64_t start = clock_now_ns();
	int r = run_check(&run, err);

	if (r >= 0)
		r = run_open(cli, &run, &m, err);
	if (r == 0) {
		run.pump.program = rest->n_guest > 0 ? rest->guest[0] : run.image;
		run.pump.sandbox = msb_sandbox_name(run.sb);
		run.pump.stdin_open = !o->program.no_stdin;
		run.pump.tty = run.tty;
		if (!run.tty)
			run.pump.keys.n = 0;
		run.pump.timeout_ms = o->program.timeout_ms;
		r = o->detach ? run_detached(&run, err) : run_attached(&run, err);
	}
	msb_stream_close(run.pump.stream);
	msb_sandbox_close(run.sb);
	return program_result(&o->program, r, &run.end, start, err);
}

const struct command cmd_run = {
	.name = "run",
	.group = "Sandboxes",
	.args = "[OPTIONS] IMAGE|DIR|DISK [-- COMMAND...]",
	.summary = "run a program in a new sandbox",
	.example = "msb run debian:12 -- uname -a\n"
		   "msb run --name my-app -d python:3.12",
	.opts = run_options,
	.opts_size = sizeof(struct run_opts),
	.defaults = &run_defaults,
	.runs_guest = true,
	.run = run_run,
};
