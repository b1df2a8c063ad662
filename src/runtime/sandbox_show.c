/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of sandboxes, as JSON. */
#include <errno.h>
#include <string.h>

#include "runtime/internal.h"

/* The short form of a reference, or the path of what is no image of the store. */
static int put_image(struct json_out *o, const struct json_at *spec, struct err *err)
{
	static const char *const paths[] = { "bind", "disk", NULL };
	struct json_at image = json_member(spec, "image");
	AUTO_FREE char *brief = NULL;
	const char *text = NULL;
	int r = 0;

	if (json_is_string(image.value)) {
		r = json_get_str(&image, &text, err);
		if (r < 0)
			return r;
		brief = image_ref_short(text);
		if (!brief)
			return err_no_memory(err);
		text = brief;
	} else if (json_present(&image)) {
		r = json_opt_str(&image, "oci", &text, err);
		for (size_t i = 0; r == 0 && !text && paths[i]; i++)
			r = json_opt_str(&image, paths[i], &text, err);
	}
	json_put_str(o, "image", text);
	return r;
}

static int put_settings(struct json_out *o, const struct json_at *spec, struct err *err)
{
	struct json_at labels = json_member(spec, "labels");
	uint64_t cpus = 0, memory_mib = 0;
	const char *engine = NULL;
	int r = put_image(o, spec, err);

	if (r == 0)
		r = json_opt_str(spec, "engine", &engine, err);
	if (r == 0)
		r = json_opt_u64(spec, "cpus", 0, SPEC_MAX_CPUS, &cpus, err);
	if (r == 0)
		r = json_opt_u64(spec, "memory_mib", 0, SPEC_MAX_MEMORY_MIB, &memory_mib, err);
	json_put_str(o, "engine", engine);
	json_put_u64(o, "cpus", cpus);
	json_put_u64(o, "memory_bytes", memory_mib << 20);
	if (json_present(&labels))
		json_put_value(o, "labels", labels.value);
	return r;
}

static void put_end(struct json_out *o, const struct state_sandbox *sb)
{
	json_put_str(o, "reason", sb->reason);
	if (sb->exit_code < 0)
		json_put_null(o, "exit_code");
	else
		json_put_i64(o, "exit_code", sb->exit_code);
	if (sb->exit_signal)
		json_put_i64(o, "signal", sb->exit_signal);
	else
		json_put_null(o, "signal");
}

static int parse_spec(const struct state_sandbox *sb, json_t **ret, struct err *err)
{
	const char *text = sb->spec ? sb->spec : "";

	return json_parse("spec", text, strlen(text), 2 * (size_t)SPEC_MAX_LEN, ret, err);
}

struct listing {
	struct json_out o;
	struct err *err; /* borrowed */
};

static int put_row(void *user, const struct state_sandbox *sb)
{
	struct listing *l = user;
	struct json_out *o = &l->o;
	AUTO(json_decref) json_t *value = NULL;
	struct json_at spec;

	if (parse_spec(sb, &value, l->err) < 0)
		return -EPROTO;
	spec = json_root(value, "spec");
	json_put_object(o, NULL);
	json_put_str(o, "name", sb->name);
	json_put_str(o, "id", sb->id);
	if (put_settings(o, &spec, l->err) < 0)
		return -EPROTO;
	json_put_str(o, "image_digest", sb->image_digest);
	json_put_str(o, "status", sb->status);
	put_end(o, sb);
	json_put_bool(o, "ephemeral", sb->ephemeral);
	put_time(o, "created_at", sb->created_at);
	put_time(o, "started_at", sb->started_at);
	put_time(o, "ended_at", sb->ended_at);
	json_put_end(o);
	return o->error;
}

int home_sandbox_list(struct home *home, char **ret_json, struct err *err)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct listing l = { .err = err };
	int r;

	r = home_reconcile(home, err);
	if (r < 0)
		return r;
	list_begin(&b, &l.o);
	r = state_sandbox_list(home->state, put_row, &l, err);
	return r < 0 ? r : list_end(&b, &l.o, ret_json, err);
}

static int put_all(struct json_out *o, const struct state_sandbox *sb, struct err *err)
{
	AUTO(json_decref) json_t *spec = NULL;
	int r = parse_spec(sb, &spec, err);

	if (r < 0)
		return r;
	json_put_object(o, NULL);
	json_put_str(o, "name", sb->name);
	json_put_str(o, "id", sb->id);
	json_put_str(o, "status", sb->status);
	json_put_object(o, "exit");
	put_end(o, sb);
	json_put_bool(o, "flushed", sb->flushed);
	put_time(o, "ended_at", sb->ended_at);
	json_put_end(o);
	json_put_object(o, "runtime");
	json_put_str(o, "image_digest", sb->image_digest);
	put_time(o, "created_at", sb->created_at);
	put_time(o, "started_at", sb->started_at);
	json_put_end(o);
	json_put_value(o, "spec", spec);
	json_put_end(o);
	return 0;
}

int home_sandbox_inspect(struct home *home, const char *name, char **ret_json, struct err *err)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct state_sandbox sb = { 0 };
	struct json_out o;
	int r = home_reconcile(home, err);

	if (r == 0)
		r = state_sandbox_find(home->state, name, &sb, err);
	if (r < 0)
		return err->code == ERR_NOT_FOUND ? err_detail(err, ERR_NR_SANDBOX_NOT_FOUND, name)
						  : r;
	buf_init(&b, LIST_MAX);
	json_out_init(&o, &b);
	r = put_all(&o, &sb, err);
	state_sandbox_done(&sb);
	if (r == 0 && json_out_end(&o) < 0)
		r = err_no_memory(err);
	return r < 0 ? r : take_json(&b, ret_json, err);
}
