/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/common.h"
#include "cli/fetch.h"
#include "cli/out.h"
#include "cli/pump.h"
#include "cli/show.h"
#include "cli/tty.h"

#undef getenv /* -e NAME copies a variable of the host */

struct run_opts {
	const char *name, *engine, *root_disk, *fstype, *workdir, *user, *hostname;
	struct opt_list env, entrypoint;
	struct fetch_opts fetch;
	uint64_t cpus, memory_mib, partition, timeout_ms, kill_after_ms;
	bool interactive, tty, no_tty, no_stdin;
};

#define NOT_GIVEN UINT64_MAX /* config.json has a say */

static const struct run_opts run_defaults = { .cpus = NOT_GIVEN, .memory_mib = NOT_GIVEN };

static const struct opt run_options[] = {
	{ OPT_STRING, 'n', "name", "NAME", "name of the sandbox; a named one keeps its disk",
	  offsetof(struct run_opts, name) },
	{ OPT_STRING, 0, "engine", "ENGINE", "auto, kvm or qemu (MSB_ENGINE; auto)",
	  offsetof(struct run_opts, engine) },
	{ OPT_NUMBER, 'c', "cpus", "N", "virtual CPUs, 1 to 64 (1)",
	  offsetof(struct run_opts, cpus) },
	{ OPT_SIZE_MIB, 'm', "memory", "SIZE", "memory of the guest (512M)",
	  offsetof(struct run_opts, memory_mib) },
	{ OPT_STRING, 0, "root-disk", "WHAT",
	  "SIZE, tmpfs[:SIZE], none (read-only), PATH of a raw ext4 file, or direct: write a "
	  "directory or raw disk in place (8G)",
	  offsetof(struct run_opts, root_disk) },
	{ OPT_NUMBER, 0, "partition", "N", "of a disk image: the one that is the root",
	  offsetof(struct run_opts, partition) },
	{ OPT_STRING, 0, "fstype", "TYPE", "of a disk image: ext4 or erofs, in place of looking",
	  offsetof(struct run_opts, fstype) },
	{ OPT_LIST, 'e', "env", "K=V", "environment; K alone copies it from here (repeatable)",
	  offsetof(struct run_opts, env) },
	{ OPT_STRING, 'w', "workdir", "PATH", "working directory (the image's, else /)",
	  offsetof(struct run_opts, workdir) },
	{ OPT_STRING, 'u', "user", "USER", "NAME, UID, NAME:GROUP or UID:GID (the image's)",
	  offsetof(struct run_opts, user) },
	{ OPT_STRING, 'H', "hostname", "NAME", "host name in the guest (the sandbox's name)",
	  offsetof(struct run_opts, hostname) },
	{ OPT_LIST, 0, "entrypoint", "WORD", "in place of the image's (repeatable; '' clears it)",
	  offsetof(struct run_opts, entrypoint) },
	{ OPT_STRING, 0, "pull", "WHEN", "missing, always or never (missing)",
	  offsetof(struct run_opts, fetch.pull) },
	FETCH_OPTIONS(struct run_opts),
	{ OPT_FLAG, 'i', "interactive", NULL, "forward standard input (the default)",
	  offsetof(struct run_opts, interactive) },
	{ OPT_FLAG, 't', "tty", NULL, "give the program a terminal (if stdin and stdout are one)",
	  offsetof(struct run_opts, tty) },
	{ OPT_FLAG, 'T', "no-tty", NULL, "give it none", offsetof(struct run_opts, no_tty) },
	{ OPT_FLAG, 0, "no-stdin", NULL, "its standard input is /dev/null",
	  offsetof(struct run_opts, no_stdin) },
	{ OPT_DURATION, 0, "timeout", "DURATION", "end the program after this time (no limit)",
	  offsetof(struct run_opts, timeout_ms) },
	{ OPT_DURATION, 0, "kill-after", "DURATION", "between TERM and KILL at its time-out (2s)",
	  offsetof(struct run_opts, kill_after_ms) },
	{ .kind = OPT_END },
};

static void put_env(struct json_out *o, const struct opt_list *env)
{
	json_put_object(o, "env");
	for (size_t i = 0; i < env->n; i++) {
		char key[256];
		const char *eq = strchr(env->items[i], '=');

		(void)snprintf(key, sizeof(key), "%.*s",
			       (int)(eq ? eq - env->items[i] : (ptrdiff_t)strlen(env->items[i])),
			       env->items[i]);
		json_put_str(o, key, eq ? eq + 1 : getenv(env->items[i]));
	}
	json_put_end(o);
}

/* Found before anything is created: what the library cannot know to be wrong. */
static int check_env(const struct opt_list *env, struct msb_error *err)
{
	for (size_t i = 0; i < env->n; i++) {
		size_t len = strcspn(env->items[i], "=");

		if (len == 0 || len > 255)
			return common_error(err, MSB_E_INVALID_CONFIG,
					    "--env: '%s' is not NAME=VALUE", env->items[i]);
		if (env->items[i][len] == '\0' && !getenv(env->items[i]))
			return common_error(err, MSB_E_INVALID_CONFIG,
					    "--env: '%s' is not set here; write %s=VALUE",
					    env->items[i], env->items[i]);
		for (size_t k = 0; k < i; k++)
			if (strncmp(env->items[k], env->items[i], len) == 0 &&
			    strcspn(env->items[k], "=") == len)
				return common_error(err, MSB_E_INVALID_CONFIG,
						    "--env: '%.*s' is given twice", (int)len,
						    env->items[i]);
	}
	return 0;
}

/* As everywhere: a path begins like one. */
static bool looks_like_path(const char *text)
{
	return text[0] == '/' || strncmp(text, "./", 2) == 0 || strncmp(text, "../", 3) == 0 ||
	       strncmp(text, "~/", 2) == 0;
}

/* SIZE, tmpfs[:SIZE], none, direct, PATH */
static int put_root_disk(struct json_out *o, const char *text, struct msb_error *err)
{
	const char *size = text, *kind = "managed";
	bool path = looks_like_path(text);
	uint64_t mib;

	if (strcmp(text, "none") == 0 || strcmp(text, "direct") == 0 || path) {
		kind = path ? "disk" : text;
		size = NULL;
	} else if (strncmp(text, "tmpfs", 5) == 0 && (text[5] == '\0' || text[5] == ':')) {
		kind = "tmpfs";
		size = text[5] ? text + 6 : NULL;
	}
	if (size && parse_size_mib(size, &mib) < 0)
		return common_error(
			err, MSB_E_INVALID_CONFIG,
			"--root-disk: '%s' is not a size, tmpfs[:SIZE], none, direct or "
			"a path; write 20G, or ./%s for a file",
			text, text);
	json_put_object(o, "root_disk");
	json_put_str(o, "kind", kind);
	if (size)
		json_put_u64(o, "size_mib", mib);
	if (path)
		json_put_str(o, "path", text);
	json_put_end(o);
	return 0;
}

/* What is said about partitions makes the image a disk. */
static void put_image(struct json_out *o, const struct run_opts *opts, const char *image)
{
	if (!opts->partition && !opts->fstype) {
		json_put_str(o, "image", image);
		return;
	}
	json_put_object(o, "image");
	json_put_str(o, "disk", image);
	if (opts->partition)
		json_put_u64(o, "partition", opts->partition);
	if (opts->fstype)
		json_put_str(o, "fstype", opts->fstype);
	json_put_end(o);
}

static int build_spec(const struct run_opts *o, const char *image, struct buf *b,
		      const char **ret_text, struct msb_error *err)
{
	struct json_out j;
	int r = check_env(&o->env, err);

	if (r < 0)
		return r;
	json_out_init(&j, b);
	json_put_object(&j, NULL);
	put_image(&j, o, image);
	if (o->name)
		json_put_str(&j, "name", o->name);
	if (o->engine)
		json_put_str(&j, "engine", o->engine);
	if (o->cpus != NOT_GIVEN)
		json_put_u64(&j, "cpus", o->cpus);
	if (o->memory_mib != NOT_GIVEN)
		json_put_u64(&j, "memory_mib", o->memory_mib);
	if (o->workdir)
		json_put_str(&j, "workdir", o->workdir);
	if (o->user)
		json_put_str(&j, "user", o->user);
	if (o->hostname)
		json_put_str(&j, "hostname", o->hostname);
	if (o->env.n > 0)
		put_env(&j, &o->env);
	if (o->root_disk) {
		r = put_root_disk(&j, o->root_disk, err);
		if (r < 0)
			return r;
	}
	if (o->entrypoint.n > 0) {
		json_put_array(&j, "entrypoint");
		for (size_t i = 0; i < o->entrypoint.n; i++)
			if (*o->entrypoint.items[i])
				json_put_str(&j, NULL, o->entrypoint.items[i]);
		json_put_end(&j);
	}
	json_put_object(&j, "registry");
	fetch_put(&j, &o->fetch);
	json_put_end(&j);
	if (o->name) { /* run again what is there, with its disk */
		json_put_object(&j, "lifecycle");
		json_put_bool(&j, "reuse", true);
		json_put_end(&j);
	}
	json_put_end(&j);
	return common_json(&j, b, ret_text, err);
}

static int build_request(const struct run_opts *o, const struct opt_rest *rest, bool tty,
			 struct buf *b, const char **ret_text, struct msb_error *err)
{
	const char *term = getenv("TERM");
	struct json_out j;
	int rows, cols;

	json_out_init(&j, b);
	json_put_object(&j, NULL);
	json_put_bool(&j, "default", true);
	if (rest->n_guest > 0) { /* in place of the image's CMD; the entrypoint stays */
		json_put_array(&j, "args");
		for (int i = 0; i < rest->n_guest; i++)
			json_put_str(&j, NULL, rest->guest[i]);
		json_put_end(&j);
	}
	json_put_bool(&j, "main", true);
	json_put_str(&j, "stdin", o->no_stdin ? "null" : "pipe");
	if (tty) {
		tty_size(&rows, &cols);
		json_put_object(&j, "tty");
		json_put_i64(&j, "rows", rows);
		json_put_i64(&j, "cols", cols);
		if (term)
			json_put_str(&j, "term", term);
		json_put_end(&j);
	}
	if (o->timeout_ms)
		json_put_u64(&j, "timeout_ms", o->timeout_ms);
	if (o->kill_after_ms)
		json_put_u64(&j, "kill_after_ms", o->kill_after_ms);
	json_put_end(&j);
	return common_json(&j, b, ret_text, err);
}

static int check(const struct run_opts *o, const struct opt_rest *rest, struct msb_error *err)
{
	if (rest->n_args == 0)
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "no image given\nfor example: msb run busybox -- uname -a");
	if (rest->n_args > 1)
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "unexpected argument '%s'\n"
				    "put -- before the guest command: msb run %s -- %s",
				    rest->args[1], rest->args[0], rest->args[1]);
	if (o->tty && o->no_tty)
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "--tty and --no-tty exclude each other");
	return 0;
}

/* One sandbox that is made in the background. */
struct creation {
	struct msb *m;		/* borrowed */
	const char *spec;	/* borrowed */
	struct msb_sandbox *sb; /* out; owned by whoever takes it */
};

static int create_job(void *user, const struct msb_call *call, struct msb_error *err)
{
	struct creation *c = user;

	return msb_sandbox_create(c->m, c->spec, 0, call, &c->sb, err);
}

/* 0, the code to exit with, or negative. */
static int create(struct msb *m, const char *image, const char *spec, struct msb_sandbox **ret_sb,
		  struct msb_error *err)
{
	struct creation c = { .m = m, .spec = spec };
	struct show_job job = { .name = image, .run = create_job, .user = &c };
	int r = show_run(&job, 1, SHOW_AUTO, err);

	if (r == 0 && job.result < 0)
		*err = job.error;
	if (r == 0 && job.result < 0)
		r = job.result;
	if (r == 0) {
		*ret_sb = c.sb;
		return 0;
	}
	if (c.sb) /* it was ready when the signal came */
		IGNORE_RESULT(msb_sandbox_stop(c.sb, MSB_KILL, 0, NULL, NULL, NULL));
	msb_sandbox_close(c.sb);
	return r > 0 ? EXIT_SIGNAL + r : r;
}

static int run_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
		   struct msb_error *err)
{
	const struct run_opts *o = opts;
	bool tty = o->tty || (!o->no_tty && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO));
	AUTO(msb_close) struct msb *m = NULL;
	AUTO(msb_sandbox_close) struct msb_sandbox *sb = NULL;
	AUTO(msb_stream_close) struct msb_stream *stream = NULL;
	AUTO(buf_done) struct buf b;
	struct pump_end end = { 0 };
	const char *text = NULL;
	int r;

	buf_init(&b, COMMON_JSON_MAX);
	r = check(o, rest, err);
	if (r >= 0)
		r = build_spec(o, rest->args[0], &b, &text, err);
	if (r >= 0)
		r = common_open(cli, o->engine, &m, err);
	if (r >= 0)
		r = create(m, rest->args[0], text, &sb, err);
	if (r != 0)
		return r;
	pump_block_signals();
	buf_clear(&b);
	r = build_request(o, rest, tty, &b, &text, err);
	if (r >= 0)
		r = msb_exec_open(sb, text, &stream, err);
	if (r >= 0) {
		struct pump pump = {
			.stream = stream,
			.program = rest->n_guest > 0 ? rest->guest[0] : rest->args[0],
			.sandbox = msb_sandbox_name(sb),
			.stdin_open = !o->no_stdin,
			.tty = tty,
			.timeout_ms = o->timeout_ms,
		};

		r = pump_run(&pump, &end, err);
	}
	if (r < 0 || !end.started) { /* nothing will end it by itself */
		IGNORE_RESULT(msb_sandbox_stop(sb, MSB_KILL, 0, NULL, NULL, NULL));
		return r < 0 ? r : end.code;
	}
	/* Its disks are flushed and its files gone when this returns. */
	r = msb_sandbox_wait(sb, NULL, NULL, NULL, err);
	return r < 0 ? r : end.code;
}

const struct command cmd_run = {
	.name = "run",
	.group = "Sandboxes",
	.args = "[OPTIONS] IMAGE|DIR|DISK [-- COMMAND...]",
	.summary = "run a program in a new sandbox",
	.opts = run_options,
	.opts_size = sizeof(struct run_opts),
	.defaults = &run_defaults,
	.runs_guest = true,
	.run = run_run,
};
