/* SPDX-License-Identifier: Apache-2.0 */
#include <microsandbox.h>
#include <stdlib.h>
#include <string.h>

#include "json/json.h"
#include "lib/internal.h"
#include "runtime/runtime.h"

#define FILTER_MAX 65536 /* bytes */

/* What is stored: sandboxes and images, by kind and name. */

static int wrong_kind(const char *what, int kind, struct err *err)
{
	return err_set(err, ERR_INVALID, "%s of kind %d is not supported yet", what, kind);
}

/* {"brief":true} of lists of images. */
static int read_brief(const char *filter, int kind, bool *brief, struct err *err)
{
	static const char *const keys[] = { "brief", NULL };
	AUTO(json_decref) json_t *value = NULL;
	struct json_at root;
	int r;

	*brief = false;
	if (!filter)
		return 0;
	if (kind != MSB_IMAGE)
		return err_set(err, ERR_INVALID, "a filter for this list is not supported yet");
	r = json_parse("filter", filter, strlen(filter), FILTER_MAX, &value, err);
	if (r < 0)
		return r;
	root = json_root(value, "filter");
	r = json_only_keys(&root, keys, err);
	return r < 0 ? r : json_opt_bool(&root, "brief", brief, err);
}

int msb_list(struct msb *m, int kind, const char *filter, char **ret_json, struct msb_error *error)
{
	struct err err = ERR_INIT;
	bool brief;
	int r;

	if (!m || !ret_json)
		return error_argument(m ? "ret_json" : "m", error);
	r = read_brief(filter, kind, &brief, &err);
	if (r < 0)
		return error_out(&err, error);
	if (kind == MSB_SANDBOX)
		r = home_sandbox_list(home_of(m), ret_json, &err);
	else if (kind == MSB_IMAGE)
		r = home_image_list(home_of(m), brief, ret_json, &err);
	else if (kind == MSB_REGISTRY)
		r = home_registry_list(home_of(m), ret_json, &err);
	else
		r = wrong_kind("a list", kind, &err);
	return r < 0 ? error_out(&err, error) : 0;
}

int msb_inspect(struct msb *m, int kind, const char *name, char **ret_json, struct msb_error *error)
{
	struct err err = ERR_INIT;
	int r;

	if (!m || !name || !ret_json)
		return error_argument(!m ? "m" : !name ? "name" : "ret_json", error);
	if (kind == MSB_IMAGE)
		r = home_image_inspect(home_of(m), name, ret_json, &err);
	else if (kind == MSB_SANDBOX)
		r = home_sandbox_inspect(home_of(m), name, ret_json, &err);
	else
		r = wrong_kind("a look", kind, &err);
	return r < 0 ? error_out(&err, error) : 0;
}

int msb_remove(struct msb *m, int kind, const char *name, int flags, const struct msb_call *call,
	       struct msb_error *error)
{
	struct err err = ERR_INIT;
	struct waiting_call w;
	int r;

	if (!m || !name)
		return error_argument(m ? "name" : "m", error);
	if (call_begin(call, &w, &err) < 0)
		return error_out(&err, error);
	if (flags & ~MSB_FORCE)
		r = err_set(&err, ERR_INVALID, "there is no flag %d", flags & ~MSB_FORCE);
	else if (kind == MSB_SANDBOX)
		r = home_sandbox_remove(home_of(m), name, flags & MSB_FORCE, &w.call, &err);
	else if (kind == MSB_IMAGE)
		r = home_image_remove(home_of(m), name, flags & MSB_FORCE, &w.call, &err);
	else
		r = wrong_kind("removal", kind, &err);
	return call_end(&w, r, &err, error);
}

static int read_filter(const char *filter, uint64_t *older_than_s, bool *dry_run, struct err *err)
{
	static const char *const keys[] = { "older_than_s", "dry_run", NULL };
	AUTO(json_decref) json_t *value = NULL;
	struct json_at root;
	int r;

	*older_than_s = 0;
	*dry_run = false;
	if (!filter)
		return 0;
	r = json_parse("filter", filter, strlen(filter), FILTER_MAX, &value, err);
	if (r < 0)
		return r;
	root = json_root(value, "filter");
	r = json_only_keys(&root, keys, err);
	if (r == 0)
		r = json_opt_u64(&root, "older_than_s", 0, UINT32_MAX, older_than_s, err);
	if (r == 0)
		r = json_opt_bool(&root, "dry_run", dry_run, err);
	return r;
}

/* Hand @json over if the call went well and somebody wants it. */
static void give(int r, char *json, char **ret_json)
{
	if (r == 0 && ret_json)
		*ret_json = json;
	else
		free(json);
}

int msb_prune(struct msb *m, int kind, const char *filter, const struct msb_call *call,
	      char **ret_json, struct msb_error *error)
{
	struct err err = ERR_INIT;
	struct waiting_call w;
	uint64_t older_than_s;
	char *json = NULL;
	bool dry_run;
	int r;

	if (!m)
		return error_argument("m", error);
	if (call_begin(call, &w, &err) < 0)
		return error_out(&err, error);
	r = read_filter(filter, &older_than_s, &dry_run, &err);
	if (r == 0 && kind != MSB_IMAGE)
		r = wrong_kind("pruning", kind, &err);
	if (r == 0)
		r = home_image_prune(home_of(m), older_than_s, dry_run, &w.call, &json, &err);
	give(r, json, ret_json);
	return call_end(&w, r, &err, error);
}

int msb_verify(struct msb *m, int kind, const char *name, const struct msb_call *call,
	       char **ret_json, struct msb_error *error)
{
	struct err err = ERR_INIT;
	struct waiting_call w;
	char *json = NULL;
	int r;

	if (!m || !name)
		return error_argument(m ? "name" : "m", error);
	if (call_begin(call, &w, &err) < 0)
		return error_out(&err, error);
	if (kind == MSB_IMAGE)
		r = home_image_verify(home_of(m), name, &w.call, &json, &err);
	else
		r = wrong_kind("a check", kind, &err);
	give(r, json, ret_json);
	return call_end(&w, r, &err, error);
}

int msb_image_tag(struct msb *m, const char *image, const char *name, struct msb_error *error)
{
	struct err err = ERR_INIT;

	if (!m || !image || !name)
		return error_argument(!m ? "m" : !image ? "image" : "name", error);
	if (home_image_tag(home_of(m), image, name, &err) < 0)
		return error_out(&err, error);
	return 0;
}
