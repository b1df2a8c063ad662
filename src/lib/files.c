/* SPDX-License-Identifier: Apache-2.0 */
#include <microsandbox.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "json/json.h"
#include "lib/internal.h"
#include "runtime/runtime.h"

#define OPTIONS_MAX 65536      /* bytes */
#define REPORT_MAX  (1u << 20) /* bytes */

/* The public handle is that of the sandbox, which the caller keeps open. */
static struct sandbox *sandbox_of(struct msb_fs *fs)
{
	return (struct sandbox *)fs;
}

int msb_fs_sandbox(struct msb_sandbox *sb, struct msb_fs **ret_fs, struct msb_error *error)
{
	if (!sb || !ret_fs)
		return error_argument(sb ? "ret_fs" : "sb", error);
	*ret_fs = (struct msb_fs *)sb;
	return 0;
}

void msb_fs_close(struct msb_fs *fs)
{
	(void)fs;
}

/* One copy: what there is of @host, @guest, @to, @dst, @fd depends on its kind. */
struct copy {
	enum { COPY_IN, COPY_OUT, COPY_BETWEEN, COPY_TAR_IN, COPY_TAR_OUT } kind;
	struct msb_fs *fs, *to;
	const char *host, *guest, *dst;
	int fd;
};

static int run(const struct copy *c, const struct copy_options *o, const struct call *call,
	       struct copy_report *report, struct err *err)
{
	struct sandbox *sb = sandbox_of(c->fs);

	switch (c->kind) {
	case COPY_IN:
		return sandbox_copy_in(sb, c->host, c->guest, o, call, report, err);
	case COPY_OUT:
		return sandbox_copy_out(sb, c->guest, c->host, o, call, report, err);
	case COPY_BETWEEN:
		return sandbox_copy_between(sb, c->guest, sandbox_of(c->to), c->dst, o, call,
					    report, err);
	case COPY_TAR_IN:
		return sandbox_tar_in(sb, c->fd, c->guest, o, call, report, err);
	case COPY_TAR_OUT:
		return sandbox_tar_out(sb, c->guest, NULL, c->fd, o, call, report, err);
	}
	return err_set(err, ERR_INTERNAL, "no such kind of copy");
}

/* *ret_value holds the strings. */
static int read_options(const char *text, json_t **ret_value, struct copy_options *o,
			struct err *err)
{
	static const char *const keys[] = { "follow", "archive", "chown", NULL };
	struct json_at root;
	int r;

	if (!text)
		return 0;
	r = json_parse("options", text, strlen(text), OPTIONS_MAX, ret_value, err);
	if (r < 0)
		return r;
	root = json_root(*ret_value, "options");
	r = json_only_keys(&root, keys, err);
	if (r == 0)
		r = json_opt_bool(&root, "follow", &o->follow, err);
	if (r == 0)
		r = json_opt_bool(&root, "archive", &o->archive, err);
	return r < 0 ? r : json_opt_str(&root, "chown", &o->chown, err);
}

/* NULL: out of memory; then the copy is done all the same. */
static char *report_json(const struct copy_report *report)
{
	AUTO(buf_done) struct buf b = { .max = REPORT_MAX };
	struct json_out o;
	const char *text;

	json_out_init(&o, &b);
	json_put_object(&o, NULL);
	json_put_u64(&o, "bytes", report->bytes);
	json_put_array(&o, "warnings");
	for (size_t i = 0; i < report->warnings.n; i++)
		json_put_str(&o, NULL, report->warnings.items[i]);
	json_put_end(&o);
	json_put_u64(&o, "warnings_total", report->n_warnings);
	json_put_end(&o);
	if (json_out_end(&o) < 0)
		return NULL;
	text = buf_cstr(&b);
	return text ? strdup(text) : NULL;
}

static int copy(const struct copy *c, const char *options, const struct msb_call *call,
		char **ret_json, struct msb_error *error)
{
	AUTO(copy_report_done) struct copy_report report = { 0 };
	AUTO(json_decref) json_t *value = NULL;
	struct copy_options o = { 0 };
	struct err err = ERR_INIT;
	struct waiting_call w;
	int r = read_options(options, &value, &o, &err);

	if (r == 0)
		r = call_begin(call, &w, &err);
	if (r < 0)
		return error_out(&err, error);
	r = run(c, &o, &w.call, &report, &err);
	if (ret_json)
		*ret_json = report_json(&report);
	return call_end(&w, r, &err, error);
}

int msb_fs_copy_in(struct msb_fs *fs, const char *host, const char *guest, const char *options,
		   const struct msb_call *call, char **ret_json, struct msb_error *error)
{
	struct copy c = { .kind = COPY_IN, .fs = fs, .host = host, .guest = guest };

	if (!fs || !host || !guest)
		return error_argument(!fs ? "fs" : !host ? "host" : "guest", error);
	return copy(&c, options, call, ret_json, error);
}

int msb_fs_copy_out(struct msb_fs *fs, const char *guest, const char *host, const char *options,
		    const struct msb_call *call, char **ret_json, struct msb_error *error)
{
	struct copy c = { .kind = COPY_OUT, .fs = fs, .host = host, .guest = guest };

	if (!fs || !host || !guest)
		return error_argument(!fs ? "fs" : !host ? "host" : "guest", error);
	return copy(&c, options, call, ret_json, error);
}

int msb_fs_copy(struct msb_fs *from, const char *src, struct msb_fs *to, const char *dst,
		const char *options, const struct msb_call *call, char **ret_json,
		struct msb_error *error)
{
	struct copy c = { .kind = COPY_BETWEEN, .fs = from, .guest = src, .to = to, .dst = dst };

	if (!from || !src || !to || !dst)
		return error_argument(!from ? "from" : !src ? "src" : !to ? "to" : "dst", error);
	return copy(&c, options, call, ret_json, error);
}

int msb_fs_tar_in(struct msb_fs *fs, int fd, const char *guest, const char *options,
		  const struct msb_call *call, char **ret_json, struct msb_error *error)
{
	struct copy c = { .kind = COPY_TAR_IN, .fs = fs, .fd = fd, .guest = guest };

	if (!fs || !guest)
		return error_argument(fs ? "guest" : "fs", error);
	return copy(&c, options, call, ret_json, error);
}

int msb_fs_tar_out(struct msb_fs *fs, const char *guest, int fd, const char *options,
		   const struct msb_call *call, char **ret_json, struct msb_error *error)
{
	struct copy c = { .kind = COPY_TAR_OUT, .fs = fs, .fd = fd, .guest = guest };

	if (!fs || !guest)
		return error_argument(fs ? "guest" : "fs", error);
	return copy(&c, options, call, ret_json, error);
}
