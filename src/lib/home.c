/* SPDX-License-Identifier: Apache-2.0 */
#include <microsandbox.h>
#include <stdlib.h>
#include <string.h>

#include "json/json.h"
#include "lib/internal.h"
#include "runtime/runtime.h"

#undef getenv /* msb_open() promises to look at the environment; nothing else here does */

#define OPTIONS_MAX 65536 /* bytes */

static int read_options(const char *options, json_t **ret_value, struct home_options *o,
			struct err *err)
{
	static const char *const keys[] = { "home", "engine", "libexec", "kernel", NULL };
	struct json_at root;
	int r;

	if (!options)
		return 0;
	r = json_parse("options", options, strlen(options), OPTIONS_MAX, ret_value, err);
	if (r < 0)
		return r;
	root = json_root(*ret_value, "options");
	r = json_only_keys(&root, keys, err);
	if (r == 0)
		r = json_opt_str(&root, "home", &o->home, err);
	if (r == 0)
		r = json_opt_str(&root, "engine", &o->engine, err);
	if (r == 0)
		r = json_opt_str(&root, "libexec", &o->libexec, err);
	if (r == 0)
		r = json_opt_str(&root, "kernel", &o->kernel, err);
	return r;
}

int msb_open(const char *options, struct msb **ret_m, struct msb_error *error)
{
	AUTO(json_decref) json_t *value = NULL;
	struct home_options o = {
		.home = getenv("MSB_HOME"),
		.user_dir = getenv("HOME"),
		.engine = getenv("MSB_ENGINE"),
		.libexec = getenv("MSB_LIBEXEC"),
		.kernel = getenv("MSB_KERNEL"),
		.path = getenv("PATH"),
		.docker_config = getenv("DOCKER_CONFIG"),
		.runtime_dir = getenv("XDG_RUNTIME_DIR"),
	};
	struct err err = ERR_INIT;
	struct home *home = NULL;
	int r;

	if (!ret_m)
		return error_argument("ret_m", error);
	r = read_options(options, &value, &o, &err);
	if (r == 0)
		r = home_open(&o, &home, &err);
	if (r < 0)
		return error_out(&err, error);
	*ret_m = (struct msb *)home;
	return 0;
}

void msb_close(struct msb *m)
{
	home_close(home_of(m));
}

int msb_spec_check(struct msb *m, const char *spec, char **ret_normal, struct msb_error *error)
{
	struct err err = ERR_INIT;
	char *normal = NULL;

	if (!m || !spec)
		return error_argument(m ? "spec" : "m", error);
	if (home_spec_check(home_of(m), spec, &normal, &err) < 0)
		return error_out(&err, error);
	if (ret_normal)
		*ret_normal = normal;
	else
		free(normal);
	return 0;
}

int msb_image_load(struct msb *m, int fd, const char *what, const char *name,
		   const struct msb_call *call, char **ret_json, struct msb_error *error)
{
	struct err err = ERR_INIT;
	struct waiting_call w;
	char *json = NULL;
	int r;

	if (!m)
		return error_argument("m", error);
	if (call_begin(call, &w, &err) < 0)
		return error_out(&err, error);
	r = home_image_load(home_of(m), fd, what ? what : "the archive", name, &w.call, &json,
			    &err);
	if (r == 0 && ret_json)
		*ret_json = json;
	else
		free(json);
	return call_end(&w, r, &err, error);
}

int msb_image_pull(struct msb *m, const char *reference, const char *options,
		   const struct msb_call *call, char **ret_json, struct msb_error *error)
{
	struct err err = ERR_INIT;
	struct waiting_call w;
	char *json = NULL;
	int r;

	if (!m || !reference)
		return error_argument(m ? "reference" : "m", error);
	if (call_begin(call, &w, &err) < 0)
		return error_out(&err, error);
	r = home_image_pull(home_of(m), reference, options, &w.call, &json, &err);
	if (r == 0 && ret_json)
		*ret_json = json;
	else
		free(json);
	return call_end(&w, r, &err, error);
}

int msb_sandbox_create(struct msb *m, const char *spec, int flags, const struct msb_call *call,
		       struct msb_sandbox **ret_sb, struct msb_error *error)
{
	struct err err = ERR_INIT;
	struct sandbox *sb = NULL;
	struct waiting_call w;
	int r;

	if (!m || !spec || !ret_sb)
		return error_argument(!m ? "m" : !spec ? "spec" : "ret_sb", error);
	if (call_begin(call, &w, &err) < 0)
		return error_out(&err, error);
	if (flags & ~(MSB_DETACHED | MSB_OR_CONNECT | MSB_NO_START))
		r = err_set(&err, ERR_INVALID, "there is no flag %d", flags);
	else
		r = sandbox_create(home_of(m), spec, (unsigned)flags, &w.call, &sb, &err);
	if (r == 0)
		*ret_sb = (struct msb_sandbox *)sb;
	return call_end(&w, r, &err, error);
}
