/* SPDX-License-Identifier: Apache-2.0 */
/* The exec request and the attach request, both JSON. */
#include <assert.h>
#include <string.h>

#include "runtime/internal.h"

#define MAX_TIMEOUT_MS (365ull * 24 * 3600 * 1000)
#define KILL_AFTER_MS  2000
#define DEFAULT_ROWS   24
#define DEFAULT_COLS   80
#define MAX_TTY_SIDE   65535
#define MAX_MEMORY_MIB (16ull << 20) /* 16 TiB */
#define MAX_PIDS       4194304	     /* PID_MAX_LIMIT of 64-bit Linux */
#define MAX_COLLECT    (1ull << 30)  /* bytes of each output */

static const char *const exec_keys[] = {
	"command",
	"script",
	"default",
	"args",
	"cwd",
	"user",
	"env",
	"tty",
	"stdin",
	"timeout_ms",
	"kill_after_ms",
	"main",
	"max_output_bytes",
	"overflow",
	"rlimits",
	"limits",
	"wait_for",
	"on_disconnect",
	"capture",
	"start",
	NULL,
};
static const char *const exec_later[] = { "start", NULL };
static const char *const tty_keys[] = { "rows", "cols", "term", NULL };
static const char *const no_keys[] = { NULL };

static void exec_request_done_auto(struct exec_request *r)
{
	exec_request_done(r);
}

static int append_all(struct str_list *to, const struct str_list *from)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < from->n; i++)
		r = str_list_add(to, from->items[i]);
	return r;
}

/* argv of entrypoint and cmd; args take the place of cmd. */
static int default_argv(const struct exec_defaults *d, const struct str_list *args,
			struct str_list *argv, struct err *err)
{
	int r = append_all(argv, d->entrypoint);

	if (r == 0)
		r = append_all(argv, args->n ? args : d->cmd);
	if (r < 0)
		return err_no_memory(err);
	if (argv->n > 0)
		return 0;
	err_set(err, ERR_INVALID, "the image has no default command");
	return err_detail(err, ERR_NR_NO_DEFAULT_COMMAND, "default");
}

static int script_argv(const struct exec_defaults *d, const char *script,
		       const struct str_list *args, struct str_list *argv, struct err *err)
{
	int r = str_list_add(argv, d->shell);

	if (r == 0)
		r = str_list_add(argv, "-c");
	if (r == 0)
		r = str_list_add(argv, script);
	if (r == 0 && args->n)
		r = str_list_add(argv, d->shell); /* $0 */
	if (r == 0)
		r = append_all(argv, args);
	return r < 0 ? err_no_memory(err) : 0;
}

static int parse_argv(const struct json_at *root, const struct exec_defaults *d,
		      struct str_list *argv, struct err *err)
{
	struct json_at command = json_member(root, "command");
	struct json_at args_at = json_member(root, "args");
	struct str_list args = { 0 };
	const char *script = NULL;
	bool by_default = false;
	int r = json_opt_str(root, "script", &script, err);

	if (r == 0)
		r = json_opt_bool(root, "default", &by_default, err);
	if (r == 0 && json_present(&args_at))
		r = copy_list(&args_at, &args, err);
	if (r == 0 && json_present(&command) + (script != NULL) + by_default != 1)
		r = json_complain(root, err,
				  "needs exactly one of 'command', 'script' and 'default'");
	else if (r == 0 && by_default)
		r = default_argv(d, &args, argv, err);
	else if (r == 0 && script)
		r = script_argv(d, script, &args, argv, err);
	else if (r == 0) {
		r = copy_list(&command, argv, err);
		if (r == 0 && argv->n == 0)
			r = json_complain(&command, err, "is empty");
		if (r == 0 && append_all(argv, &args) < 0)
			r = err_no_memory(err);
	}
	if (r == 0 && argv->n > 0 && !*argv->items[0])
		r = json_complain(root, err, "the name of the program is empty");
	str_list_done(&args);
	return r;
}

static int parse_tty(const struct json_at *root, struct exec_request *req, struct err *err)
{
	struct json_at at = json_member(root, "tty");
	uint64_t rows = DEFAULT_ROWS, cols = DEFAULT_COLS;
	int r;

	if (!json_present(&at))
		return 0;
	if (json_is_boolean(at.value)) {
		r = json_get_bool(&at, &req->tty, err);
	} else {
		req->tty = true;
		r = keys_check(&at, tty_keys, no_keys, err);
		if (r == 0)
			r = json_opt_u64(&at, "rows", 1, MAX_TTY_SIDE, &rows, err);
		if (r == 0)
			r = json_opt_u64(&at, "cols", 1, MAX_TTY_SIDE, &cols, err);
		if (r == 0)
			r = copy_str(&at, "term", &req->term, err);
	}
	req->size = (struct tty_size){ .rows = (uint16_t)rows, .cols = (uint16_t)cols };
	return r;
}

/* A limit: a number or "unlimited". */
static int parse_limit(const struct json_at *object, const char *key, uint64_t *ret,
		       struct err *err)
{
	struct json_at at = json_member(object, key);
	const char *word;

	if (!json_present(&at))
		return json_complain(object, err, "needs '%s'", key);
	if (json_is_string(at.value)) {
		int r = json_get_str(&at, &word, err);

		if (r == 0 && strcmp(word, "unlimited") != 0)
			return json_complain(&at, err, "'%.40s' is no number and not 'unlimited'",
					     word);
		*ret = RLIMIT_NONE;
		return r;
	}
	return json_get_u64(&at, 0, INT64_MAX, ret, err);
}

/* By their numbers on x86 and arm64, <asm-generic/resource.h>. */
static const char *const rlimit_names[] = { "cpu",    "fsize",	    "data",	"stack",   "core",
					    "rss",    "nproc",	    "nofile",	"memlock", "as",
					    "locks",  "sigpending", "msgqueue", "nice",	   "rtprio",
					    "rttime", NULL };
static_assert(sizeof(rlimit_names) / sizeof(rlimit_names[0]) == EXEC_RLIMITS + 1,
	      "names of rlimits");

static int parse_rlimit(const struct json_at *at, struct exec_rlimit *ret, struct err *err)
{
	static const char *const keys[] = { "resource", "soft", "hard", NULL };
	struct json_at resource = json_member(at, "resource");
	unsigned n = 0;
	int r = keys_check(at, keys, no_keys, err);

	if (r == 0 && !json_present(&resource))
		r = json_complain(at, err, "needs 'resource'");
	if (r == 0)
		r = json_opt_enum(at, "resource", rlimit_names, &n, err);
	if (r == 0)
		r = parse_limit(at, "soft", &ret->soft, err);
	ret->hard = ret->soft;
	if (r == 0) {
		struct json_at hard = json_member(at, "hard");

		r = json_present(&hard) ? parse_limit(at, "hard", &ret->hard, err) : 0;
	}
	ret->resource = n;
	if (r == 0 && ret->soft > ret->hard)
		r = json_complain(at, err, "soft is above hard");
	return r;
}

int copy_rlimits(const struct json_at *object, struct exec_rlimit **ret, size_t *ret_n,
		 struct err *err)
{
	struct json_at list = json_member(object, "rlimits");
	AUTO_FREE struct exec_rlimit *limits = NULL;
	size_t n = 0;
	int r = json_present(&list) ? json_get_array(&list, EXEC_RLIMITS, &n, err) : 0;

	if (r < 0 || n == 0)
		return r;
	limits = calloc(n, sizeof(*limits));
	if (!limits)
		return err_no_memory(err);
	for (size_t i = 0; r == 0 && i < n; i++) {
		struct json_at at = json_item(&list, i);

		r = parse_rlimit(&at, &limits[i], err);
		for (size_t before = 0; r == 0 && before < i; before++)
			if (limits[before].resource == limits[i].resource)
				r = json_complain(&at, err, "the resource has a limit already");
	}
	if (r < 0)
		return r;
	*ret = TAKE_PTR(limits);
	*ret_n = n;
	return 0;
}

static void put_limit(struct json_out *o, const char *key, uint64_t v)
{
	if (v == RLIMIT_NONE)
		json_put_str(o, key, "unlimited");
	else
		json_put_u64(o, key, v);
}

void put_rlimits(struct json_out *o, const struct exec_rlimit *limits, size_t n)
{
	json_put_array(o, "rlimits");
	for (size_t i = 0; i < n; i++) {
		json_put_object(o, NULL);
		json_put_str(o, "resource", rlimit_names[limits[i].resource]);
		put_limit(o, "soft", limits[i].soft);
		put_limit(o, "hard", limits[i].hard);
		json_put_end(o);
	}
	json_put_end(o);
}

static int parse_limits(const struct json_at *root, struct exec_request *req, struct err *err)
{
	static const char *const keys[] = { "memory_mib", "pids", "cpus", NULL };
	struct json_at at = json_member(root, "limits");
	struct json_at cpus = json_member(&at, "cpus");
	uint64_t mib = 0, pids = 0;
	int r;

	if (!json_present(&at))
		return 0;
	r = json_get_object(&at, err);
	if (r == 0)
		r = keys_check(&at, keys, no_keys, err);
	if (r == 0)
		r = json_opt_u64(&at, "memory_mib", 1, MAX_MEMORY_MIB, &mib, err);
	if (r == 0)
		r = json_opt_u64(&at, "pids", 1, MAX_PIDS, &pids, err);
	if (r < 0)
		return r;
	req->memory_max = mib << 20;
	req->pids_max = (uint32_t)pids;
	if (!json_present(&cpus))
		return 0;
	if (!json_is_number(cpus.value) || json_number_value(cpus.value) < 0.01 ||
	    json_number_value(cpus.value) > (double)EXEC_CPU_MILLI_MAX / 1000)
		return json_complain(&cpus, err, "must be a number from 0.01 to %d",
				     EXEC_CPU_MILLI_MAX / 1000);
	req->cpu_milli = (uint32_t)(json_number_value(cpus.value) * 1000 + 0.5);
	return 0;
}

/* What holds for collected output only. */
static int parse_collect(const struct json_at *root, struct exec_collect *ret, struct err *err)
{
	static const char *const overflow_names[] = { "truncate", "error", NULL };
	static const char *const keys[] = { "max_output_bytes", "overflow" };
	struct exec_collect c = { .max = COLLECT_DEFAULT };
	unsigned overflow = 0;
	int r;

	if (!ret) {
		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
			struct json_at at = json_member(root, keys[i]);

			if (json_present(&at))
				return json_complain(&at, err,
						     "is for collected output (msb_exec_run)");
		}
		return 0;
	}
	r = json_opt_u64(root, "max_output_bytes", 0, MAX_COLLECT, &c.max, err);
	if (r == 0)
		r = json_opt_enum(root, "overflow", overflow_names, &overflow, err);
	c.overflow_ends = overflow == 1;
	*ret = c;
	return r;
}

/* What becomes of the program in the end. */
static int parse_ending(const struct json_at *root, struct exec_request *req, struct err *err)
{
	static const char *const disconnect_names[] = { "kill", "hangup", "keep", NULL };
	static const char *const wait_names[] = { "program", "pipes", NULL };
	static_assert(ON_DISCONNECT_KILL == 0 && ON_DISCONNECT_HANGUP == 1 &&
			      ON_DISCONNECT_KEEP == 2 && ON_DISCONNECT_MAX == 3,
		      "disconnect_names[] does not match enum on_disconnect");
	unsigned disconnect = 0, wait = 0;
	int r = json_opt_enum(root, "on_disconnect", disconnect_names, &disconnect, err);

	if (r == 0)
		r = json_opt_enum(root, "wait_for", wait_names, &wait, err);
	if (r == 0)
		r = json_opt_u64(root, "timeout_ms", 1, MAX_TIMEOUT_MS, &req->timeout_ms, err);
	if (r == 0)
		r = json_opt_u64(root, "kill_after_ms", 0, MAX_TIMEOUT_MS, &req->kill_after_ms,
				 err);
	req->on_disconnect = (enum on_disconnect)disconnect;
	req->wait_pipes = wait == 1;
	return r;
}

int exec_parse(const char *text, const struct exec_defaults *defaults,
	       struct exec_request *ret_request, struct exec_collect *ret_collect, struct err *err)
{
	static const char *const stdin_names[] = { "null", "pipe", NULL };
	AUTO(json_decref) json_t *value = NULL;
	AUTO(exec_request_done) struct exec_request req = { .kill_after_ms = KILL_AFTER_MS };
	unsigned input = 0;
	bool capture = true;
	struct json_at root;
	int r;

	r = json_parse("request", text, strlen(text), SPEC_MAX_LEN, &value, err);
	if (r < 0)
		return r;
	root = json_root(value, "request");
	r = keys_check(&root, exec_keys, exec_later, err);
	if (r == 0)
		r = parse_argv(&root, defaults, &req.argv, err);
	if (r == 0)
		r = copy_env(&root, &req.env, err);
	if (r == 0)
		r = copy_str(&root, "cwd", &req.cwd, err);
	if (r == 0 && req.cwd && req.cwd[0] != '/') {
		struct json_at at = json_member(&root, "cwd");

		return json_complain(&at, err, "'%.100s' is not an absolute path", req.cwd);
	}
	if (r == 0)
		r = copy_str(&root, "user", &req.user, err);
	if (r == 0)
		r = parse_tty(&root, &req, err);
	if (r == 0)
		r = json_opt_enum(&root, "stdin", stdin_names, &input, err);
	if (r == 0)
		r = parse_ending(&root, &req, err);
	if (r == 0)
		r = copy_rlimits(&root, &req.rlimits, &req.n_rlimits, err);
	if (r == 0)
		r = parse_limits(&root, &req, err);
	if (r == 0)
		r = parse_collect(&root, ret_collect, err);
	if (r == 0)
		r = json_opt_bool(&root, "main", &req.main, err);
	if (r == 0)
		r = json_opt_bool(&root, "capture", &capture, err);
	if (r < 0)
		return r;
	req.no_log = !capture;
	req.stdin_open = input == 1;
	*ret_request = req;
	req = (struct exec_request){ 0 };
	return 0;
}

int attach_parse(const char *text, struct attach_request *ret_request, struct err *err)
{
	static const char *const keys[] = { "session", "stdout_from", "stderr_from",
					    "watch",   "steal",	      NULL };
	AUTO(json_decref) json_t *value = NULL;
	struct attach_request req = { 0 };
	struct json_at root;
	int r = json_parse("request", text, strlen(text), SPEC_MAX_LEN, &value, err);

	if (r < 0)
		return r;
	root = json_root(value, "request");
	r = keys_check(&root, keys, no_keys, err);
	if (r == 0)
		r = json_opt_u64(&root, "session", 1, INT64_MAX, &req.session, err);
	if (r == 0 && req.session == 0)
		return json_complain(&root, err, "needs 'session'");
	if (r == 0)
		r = json_opt_u64(&root, "stdout_from", 0, INT64_MAX, &req.out_from, err);
	if (r == 0)
		r = json_opt_u64(&root, "stderr_from", 0, INT64_MAX, &req.err_from, err);
	if (r == 0)
		r = json_opt_bool(&root, "watch", &req.watch, err);
	if (r == 0)
		r = json_opt_bool(&root, "steal", &req.steal, err);
	if (r == 0 && req.watch && req.steal)
		return json_complain(&root, err, "'watch' and 'steal' exclude each other");
	if (r == 0)
		*ret_request = req;
	return r;
}
