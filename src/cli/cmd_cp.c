/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/common.h"
#include "cli/out.h"
#include "cli/show.h"

struct cp_opts {
	const char *chown;
	bool archive, follow, quiet;
};

static const struct opt cp_options[] = {
	{ OPT_FLAG, 'a', "archive", NULL, "keep owners and extended attributes too",
	  offsetof(struct cp_opts, archive) },
	{ OPT_FLAG, 'L', "follow", NULL, "copy what links in the source point to",
	  offsetof(struct cp_opts, follow) },
	{ OPT_STRING, 0, "chown", "U:G", "owner of all that is made",
	  offsetof(struct cp_opts, chown) },
	{ OPT_FLAG, 'q', "quiet", NULL, "print nothing but errors",
	  offsetof(struct cp_opts, quiet) },
	{ .kind = OPT_END },
};

/* "NAME:/path", a path of the host, or "-". */
struct end {
	char *name;	  /* owned; NULL: the host */
	const char *path; /* "-": a tar archive on standard input or output */
	struct msb_sandbox *sb;
	struct msb_fs *fs;
};

static void end_done_auto(struct end *e)
{
	msb_fs_close(e->fs);
	msb_sandbox_close(e->sb);
	free(e->name);
}

static bool is_stdio(const struct end *e)
{
	return !e->name && strcmp(e->path, "-") == 0;
}

static int parse_end(const char *text, struct end *e, struct msb_error *err)
{
	const char *colon = strchr(text, ':');
	const char *slash = strchr(text, '/');

	e->path = text;
	if (!*text)
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "an empty path; write NAME:/path for a sandbox, or a path");
	if (!colon || colon == text || (slash && slash < colon))
		return 0;
	if (colon[1] != '/')
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "'%.200s': a path in a sandbox is absolute, NAME:/path; for a "
				    "file of the host with a colon in its name write ./%.200s",
				    text, text);
	e->name = strndup(text, (size_t)(colon - text));
	e->path = colon + 1;
	return e->name ? 0 : common_error(err, MSB_E_NO_MEMORY, "out of memory");
}

static int open_end(struct msb *m, struct end *e, struct msb_error *err)
{
	int r;

	if (!e->name)
		return 0;
	r = msb_sandbox_get(m, e->name, &e->sb, err);
	return r < 0 ? r : msb_fs_sandbox(e->sb, &e->fs, err);
}

static int options_json(const struct cp_opts *o, struct buf *b, const char **ret_text,
			struct msb_error *err)
{
	struct json_out out;

	json_out_init(&out, b);
	json_put_object(&out, NULL);
	json_put_bool(&out, "follow", o->follow);
	json_put_bool(&out, "archive", o->archive);
	if (o->chown)
		json_put_str(&out, "chown", o->chown);
	json_put_end(&out);
	return common_json(&out, b, ret_text, err);
}

/* What was left out, on standard error. */
static void tell_warnings(const char *json)
{
	AUTO(json_decref) json_t *root = NULL;
	struct err e = ERR_INIT;
	struct json_at at, list;
	uint64_t total = 0;
	size_t n = 0;

	if (json_parse("result", json, strlen(json), COMMON_JSON_MAX, &root, &e) < 0)
		return;
	at = json_root(root, "result");
	list = json_member(&at, "warnings");
	if (json_get_array(&list, SIZE_MAX, &n, &e) < 0 ||
	    json_opt_u64(&at, "warnings_total", 0, UINT64_MAX, &total, &e) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		struct json_at item = json_item(&list, i);
		const char *text;

		if (json_get_str(&item, &text, &e) == 0)
			out_remark("%s", text);
	}
	if (total > n)
		out_remark("%llu more of that kind", (unsigned long long)(total - n));
}

struct copy {
	const struct end *src, *dst;
	const char *options;
	char *json; /* owned; out */
};

static int copy(void *user, const struct msb_call *call, struct msb_error *err)
{
	struct copy *c = user;
	const struct end *src = c->src, *dst = c->dst;

	if (is_stdio(src))
		return msb_fs_tar_in(dst->fs, STDIN_FILENO, dst->path, c->options, call, &c->json,
				     err);
	if (is_stdio(dst))
		return msb_fs_tar_out(src->fs, src->path, STDOUT_FILENO, c->options, call, &c->json,
				      err);
	if (src->fs && dst->fs)
		return msb_fs_copy(src->fs, src->path, dst->fs, dst->path, c->options, call,
				   &c->json, err);
	if (src->fs)
		return msb_fs_copy_out(src->fs, src->path, dst->path, c->options, call, &c->json,
				       err);
	return msb_fs_copy_in(dst->fs, src->path, dst->path, c->options, call, &c->json, err);
}

/* A signal ends the call, so that no file stays that is not whole. */
static int copy_and_tell(const struct cp_opts *o, struct copy *c, struct msb_error *err)
{
	struct show_job job = { .name = c->src->path, .run = copy, .user = c };
	int r = show_run(&job, 1, SHOW_NONE, err);

	if (c->json && !o->quiet)
		tell_warnings(c->json);
	msb_free(TAKE_PTR(c->json));
	if (r != 0)
		return r < 0 ? r : EXIT_SIGNAL + r;
	if (job.result >= 0)
		return 0;
	*err = job.error;
	return is_stdio(c->dst) && err->sys == EPIPE ? EXIT_PIPE_CLOSED : job.result;
}

static int check_ends(const struct end *src, const struct end *dst, const struct cp_opts *o,
		      struct msb_error *err)
{
	if (!src->name && !dst->name)
		return common_error(
			err, MSB_E_INVALID_CONFIG,
			"neither path is in a sandbox; write NAME:/path for one that is");
	if (is_stdio(dst) && isatty(STDOUT_FILENO))
		return common_error(
			err, MSB_E_INVALID_CONFIG,
			"standard output is a terminal; send the archive to a pipe or file");
	if (is_stdio(src) && isatty(STDIN_FILENO))
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "standard input is a terminal; a tar archive is read from it");
	if (is_stdio(dst) && o->chown)
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "--chown: an archive keeps the owners that the files have");
	return 0;
}

static int cp_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
		  struct msb_error *err)
{
	const struct cp_opts *o = opts;
	AUTO(buf_done) struct buf b = { .max = COMMON_JSON_MAX };
	AUTO(msb_close) struct msb *m = NULL;
	AUTO(end_done) struct end src = { 0 };
	AUTO(end_done) struct end dst = { 0 };
	struct copy c = { .src = &src, .dst = &dst };
	const char *text = NULL;
	int r = common_arguments(rest, 2, 2, "what to copy and where to: msb cp SRC DST", err);

	if (r >= 0)
		r = parse_end(rest->args[0], &src, err);
	if (r >= 0)
		r = parse_end(rest->args[1], &dst, err);
	if (r >= 0)
		r = check_ends(&src, &dst, o, err);
	if (r >= 0)
		r = options_json(o, &b, &text, err);
	if (r >= 0)
		r = common_open(cli, NULL, &m, err);
	if (r >= 0)
		r = open_end(m, &src, err);
	if (r >= 0)
		r = open_end(m, &dst, err);
	if (r < 0)
		return r;
	c.options = text;
	return copy_and_tell(o, &c, err);
}

const struct command cmd_cp = {
	.name = "cp",
	.group = "Sandboxes",
	.args = "[OPTIONS] SRC DST",
	.summary = "copy files between the host and sandboxes",
	.example = "msb cp ./site web:/srv/",
	.opts = cp_options,
	.opts_size = sizeof(struct cp_opts),
	.run = cp_run,
};
