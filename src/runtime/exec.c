/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "runtime/internal.h"
#include "runtime/stream.h"

#define MAX_TIMEOUT_MS (365ull * 24 * 3600 * 1000)
#define KILL_AFTER_MS  2000
#define DEFAULT_ROWS   24
#define DEFAULT_COLS   80
#define MAX_TTY_SIDE   65535

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
static const char *const exec_later[] = {
	"max_output_bytes", "overflow", "rlimits", "limits", "wait_for",
	"on_disconnect",    "capture",	"start",   NULL,
};
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

int exec_parse(const char *text, const struct exec_defaults *defaults,
	       struct exec_request *ret_request, struct err *err)
{
	static const char *const stdin_names[] = { "null", "pipe", NULL };
	AUTO(json_decref) json_t *value = NULL;
	AUTO(exec_request_done) struct exec_request req = { .kill_after_ms = KILL_AFTER_MS };
	unsigned input = 0;
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
		r = json_opt_u64(&root, "timeout_ms", 1, MAX_TIMEOUT_MS, &req.timeout_ms, err);
	if (r == 0)
		r = json_opt_u64(&root, "kill_after_ms", 0, MAX_TIMEOUT_MS, &req.kill_after_ms,
				 err);
	if (r == 0)
		r = json_opt_bool(&root, "main", &req.main, err);
	if (r < 0)
		return r;
	req.stdin_open = input == 1;
	*ret_request = req;
	req = (struct exec_request){ 0 };
	return 0;
}

static int connect_agent(const struct sandbox *sb, int *ret_fd, struct err *err)
{
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un addr;

	if (fd < 0)
		return err_sys(err, errno, "make a socket");
	socket_address(sb->run_dir, "agent.sock", &addr);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		if (errno == EAGAIN)
			return err_set(err, ERR_BUSY,
				       "sandbox '%s' has too many programs waiting to start",
				       sb->name);
		if (errno != ECONNREFUSED && errno != ENOENT)
			return err_sys(err, errno, "reach sandbox '%s'", sb->name);
		err_set(err, ERR_BUSY, "sandbox '%s' is not running", sb->name);
		return err_detail(err, ERR_NR_NOT_RUNNING, sb->name);
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int sandbox_exec(struct sandbox *sb, const char *text, struct exec_stream **ret_stream,
		 struct err *err)
{
	AUTO(exec_request_done) struct exec_request req = { 0 };
	struct exec_defaults defaults = {
		.entrypoint = &sb->entrypoint,
		.cmd = &sb->cmd,
		.shell = sb->shell,
	};
	int fd = -1;
	int r = exec_parse(text, &defaults, &req, err);

	if (r == 0)
		r = connect_agent(sb, &fd, err);
	return r < 0 ? r : exec_stream_new(fd, &req, ret_stream, err);
}
