/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "cli/command.h"
#include "cli/common.h"
#include "cli/fetch.h"
#include "cli/out.h"
#include "cli/prompt.h"
#include "cli/show.h"

#define USER_MAX   256	       /* bytes typed, with the newline */
#define SECRET_MAX (64u << 10) /* bytes; the library's own limit */

struct login_opts {
	const char *user;
	struct fetch_opts fetch;
	bool password_stdin, quiet;
};

static const struct opt login_options[] = {
	{ OPT_STRING, 'u', "user", "USER", "user name; asked for on a terminal",
	  offsetof(struct login_opts, user) },
	{ OPT_FLAG, 0, "password-stdin", NULL, "read the password or token from standard input",
	  offsetof(struct login_opts, password_stdin) },
	{ OPT_LIST, 0, "ca-cert", "FILE",
	  "PEM file of an authority that the registry's certificate is from (repeatable)",
	  offsetof(struct login_opts, fetch.ca_certs) },
	{ OPT_FLAG, 0, "insecure", NULL, "accept any certificate, then try plain HTTP",
	  offsetof(struct login_opts, fetch.insecure) },
	{ OPT_FLAG, 'q', "quiet", NULL, "print nothing but errors",
	  offsetof(struct login_opts, quiet) },
	{ .kind = OPT_END },
};

/* What a login needs; wiped at the end. */
struct credentials {
	char user[USER_MAX], secret[SECRET_MAX + 2];
	size_t len; /* of the secret */
};

static int one_host(const struct opt_rest *rest, const char *example, struct msb_error *err)
{
	if (rest->n_args == 0)
		return common_error(err, MSB_E_INVALID_CONFIG, "no registry given\nfor example: %s",
				    example);
	if (rest->n_args > 1 || rest->has_guest)
		return common_error(err, MSB_E_INVALID_CONFIG, "unexpected argument '%s'",
				    rest->n_args > 1 ? rest->args[1] : "--");
	return 0;
}

static int piped_secret(struct credentials *c, struct msb_error *err)
{
	ssize_t n = io_read_full(STDIN_FILENO, c->secret, sizeof(c->secret));

	if (n < 0)
		return common_error(err, MSB_E_IO, "cannot read standard input: %s",
				    strerrordesc_np((int)-n));
	if (n > 0 && c->secret[n - 1] == '\n')
		n--;
	if (n > 0 && c->secret[n - 1] == '\r')
		n--;
	if (n == 0 || n > (ssize_t)SECRET_MAX)
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "--password-stdin: standard input has %s",
				    n ? "more than a password" : "no password");
	c->len = (size_t)n;
	return 0;
}

/* 0, the code to exit with, or negative. */
static int ask(const char *label, bool hidden, char *out, size_t size, size_t *ret_len,
	       struct msb_error *err)
{
	int n = prompt_line(label, hidden, out, size, err);

	if (n < -1)
		return EXIT_SIGNAL - n;
	if (n < 0)
		return -(int)err->code;
	if (n == 0)
		return common_error(err, MSB_E_INVALID_CONFIG, "nothing was typed");
	*ret_len = (size_t)n;
	return 0;
}

static int get_credentials(const char *host, const struct login_opts *o, struct credentials *c,
			   struct msb_error *err)
{
	bool terminal = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
	char label[200];
	size_t n;
	int r;

	if (o->user && strlen(o->user) >= sizeof(c->user))
		return common_error(err, MSB_E_INVALID_CONFIG, "--user: the name is too long");
	if (!o->user && (o->password_stdin || !terminal))
		return common_error(err, MSB_E_INVALID_CONFIG, "--user is missing");
	if (!o->password_stdin && !terminal)
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "the password is asked for on a terminal only\n"
				    "pipe it in: msb registry login %s -u %s --password-stdin",
				    host, o->user);
	(void)snprintf(c->user, sizeof(c->user), "%s", o->user ? o->user : "");
	(void)snprintf(label, sizeof(label), "User of %.150s: ", host);
	r = o->user ? 0 : ask(label, false, c->user, sizeof(c->user), &n, err);
	if (r != 0)
		return r;
	if (o->password_stdin)
		return piped_secret(c, err);
	(void)snprintf(label, sizeof(label), "Password or token of %.128s: ", c->user);
	return ask(label, true, c->secret, SECRET_MAX, &c->len, err);
}

struct login_job {
	struct msb *m; /* borrowed, as all here */
	const char *host, *options;
	const struct credentials *c;
};

static int login_job_run(void *user, const struct msb_call *call, struct msb_error *err)
{
	const struct login_job *j = user;

	return msb_registry_login(j->m, j->host, j->c->user, j->c->secret, j->c->len, j->options,
				  call, err);
}

static int log_in(const struct cli *cli, const char *host, const struct login_opts *o,
		  const struct credentials *c, struct msb_error *err)
{
	AUTO(msb_close) struct msb *m = NULL;
	AUTO(buf_done) struct buf b = { 0 };
	struct login_job login = { .host = host, .c = c };
	struct show_job job = { .name = host, .run = login_job_run, .user = &login };
	struct json_out j;
	int r;

	buf_init(&b, COMMON_JSON_MAX);
	json_out_init(&j, &b);
	json_put_object(&j, NULL);
	fetch_put(&j, &o->fetch);
	json_put_end(&j);
	r = common_json(&j, &b, &login.options, err);
	if (r >= 0)
		r = common_open(cli, NULL, &m, err);
	login.m = m;
	if (r >= 0)
		r = show_run(&job, 1, SHOW_NONE, err); /* for its signals */
	if (r > 0)
		return EXIT_SIGNAL + r;
	if (r == 0 && job.result < 0)
		*err = job.error;
	return r < 0 ? r : job.result;
}

static int login_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
		     struct msb_error *err)
{
	const struct login_opts *o = opts;
	struct credentials c = { .len = 0 };
	int r = one_host(rest, "msb registry login ghcr.io -u USER", err);

	if (r == 0)
		r = get_credentials(rest->args[0], o, &c, err);
	if (r == 0)
		r = log_in(cli, rest->args[0], o, &c, err);
	explicit_bzero(c.secret, sizeof(c.secret));
	if (r == 0 && !o->quiet)
		out_action("Logged in", rest->args[0]);
	return r;
}

static const struct command cmd_registry_login = {
	.name = "login",
	.args = "[OPTIONS] HOST",
	.summary = "store credentials for a registry, once it has accepted them",
	.example = "msb registry login ghcr.io -u ann",
	.opts = login_options,
	.opts_size = sizeof(struct login_opts),
	.run = login_run,
};

/* ---- logout ------------------------------------------------------------------------------- */

struct logout_opts {
	bool quiet;
};

static const struct opt logout_options[] = {
	{ OPT_FLAG, 'q', "quiet", NULL, "print nothing but errors",
	  offsetof(struct logout_opts, quiet) },
	{ .kind = OPT_END },
};

static int logout_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
		      struct msb_error *err)
{
	const struct logout_opts *o = opts;
	AUTO(msb_close) struct msb *m = NULL;
	int r = one_host(rest, "msb registry logout ghcr.io", err);

	if (r == 0)
		r = common_open(cli, NULL, &m, err);
	if (r >= 0)
		r = msb_registry_logout(m, rest->args[0], err);
	if (r >= 0 && !o->quiet)
		out_action("Logged out", rest->args[0]);
	return r;
}

static const struct command cmd_registry_logout = {
	.name = "logout",
	.args = "[OPTIONS] HOST",
	.summary = "forget the credentials for a registry",
	.example = "msb registry logout ghcr.io",
	.opts = logout_options,
	.opts_size = sizeof(struct logout_opts),
	.run = logout_run,
};

static const struct command *const registry_commands[] = {
	&cmd_registry_login,
	&cmd_registry_logout,
	&cmd_registry_ls,
	NULL,
};

const struct command cmd_registry = {
	.name = "registry",
	.group = "Images",
	.args = "COMMAND",
	.summary = "log in to registries",
	.subcommands = registry_commands,
};
