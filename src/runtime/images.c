/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/internal.h"

#define LIST_MAX   (64u << 20) /* bytes of a listing */
#define DIGEST_LEN (7 + 64)    /* "sha256:" and its digits */

static int record_image(struct home *home, const struct loaded_image *li, struct err *err)
{
	struct state_image row = {
		.manifest_digest = li->manifest_digest,
		.config_digest = li->config_digest,
		.created = li->created,
		.size = li->size,
		.loaded_at = clock_wall_ns(),
	};
	int r = state_image_put(home->state, &row, err);

	for (size_t i = 0; r == 0 && i < li->n_names; i++)
		r = state_ref_put(home->state, li->names[i], li->manifest_digest, err);
	return r;
}

static int load_json(const struct load_result *result, const char *name, char **ret_json,
		     struct err *err)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct json_out o;

	buf_init(&b, 4u << 20);
	json_out_init(&o, &b);
	json_put_object(&o, NULL);
	json_put_array(&o, "images");
	for (size_t i = 0; i < result->n_images; i++) {
		const struct loaded_image *li = &result->images[i];

		json_put_object(&o, NULL);
		json_put_str(&o, "digest", li->manifest_digest);
		json_put_array(&o, "references");
		if (name)
			json_put_str(&o, NULL, name);
		for (size_t n = 0; !name && n < li->n_names; n++)
			json_put_str(&o, NULL, li->names[n]);
		json_put_end(&o);
		json_put_u64(&o, "size_bytes", li->size);
		json_put_end(&o);
	}
	json_put_end(&o);
	json_put_u64(&o, "warnings", result->n_warnings);
	json_put_end(&o);
	if (json_out_end(&o) < 0)
		return err_no_memory(err);
	return take_json(&b, ret_json, err);
}

int home_image_load(struct home *home, int fd, const char *what, const char *name, char **ret_json,
		    struct err *err)
{
	AUTO(store_run_close) struct store_run *run = NULL;
	AUTO_FREE char *full = NULL;
	struct load_result result = { 0 };
	int r;

	if (name) {
		r = image_ref_parse(name, &full, err);
		if (r < 0)
			return r;
	}
	r = store_run_open(home->store, NULL, &run, err);
	if (r == 0)
		r = image_load(run, fd, what, &result, err);
	if (r < 0)
		return err->number
			       ? r
			       : err_detail(err, err->code == ERR_INVALID ? ERR_NR_IMAGE : 0, what);
	if (full && result.n_images != 1) {
		r = err_set(err, ERR_INVALID, "'%s' holds %zu images, so one name does not fit",
			    what, result.n_images);
		goto out;
	}
	for (size_t i = 0; r == 0 && i < result.n_images; i++) {
		if (full)
			result.images[i].n_names = 0;
		r = record_image(home, &result.images[i], err);
	}
	if (r == 0 && full)
		r = state_ref_put(home->state, full, result.images[0].manifest_digest, err);
	if (r == 0)
		r = load_json(&result, full, ret_json, err);
out:
	load_result_done(&result);
	return r;
}

static void put_time(struct json_out *o, const char *key, uint64_t ns)
{
	time_t s = (time_t)(ns / NS_PER_S);
	char text[32] = "";
	struct tm tm;

	if (ns && gmtime_r(&s, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) > 0)
		json_put_str(o, key, text);
	else
		json_put_null(o, key);
}

static int put_image(void *user, const struct state_image *image)
{
	struct json_out *o = user;

	json_put_object(o, NULL);
	json_put_str(o, "reference", image->reference);
	json_put_str(o, "digest", image->manifest_digest);
	json_put_str(o, "image_id", image->config_digest);
	json_put_u64(o, "size_bytes", image->size);
	json_put_str(o, "created", image->created);
	put_time(o, "loaded_at", image->loaded_at);
	json_put_end(o);
	return o->error;
}

static void list_begin(struct buf *b, struct json_out *o)
{
	buf_init(b, LIST_MAX);
	json_out_init(o, b);
	json_put_array(o, NULL);
}

static int list_end(struct buf *b, struct json_out *o, char **ret_json, struct err *err)
{
	json_put_end(o);
	if (json_out_end(o) < 0)
		return err_no_memory(err);
	return take_json(b, ret_json, err);
}

int home_image_list(struct home *home, char **ret_json, struct err *err)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct json_out o;
	int r;

	list_begin(&b, &o);
	r = state_image_list(home->state, put_image, &o, err);
	return r < 0 ? r : list_end(&b, &o, ret_json, err);
}

static int put_sandbox(void *user, const struct state_sandbox *sb)
{
	struct json_out *o = user;

	json_put_object(o, NULL);
	json_put_str(o, "name", sb->name);
	json_put_str(o, "id", sb->id);
	json_put_str(o, "status", sb->status);
	json_put_str(o, "reason", sb->reason);
	json_put_bool(o, "ephemeral", sb->ephemeral);
	if (sb->exit_code < 0)
		json_put_null(o, "exit_code");
	else
		json_put_i64(o, "exit_code", sb->exit_code);
	put_time(o, "created_at", sb->created_at);
	put_time(o, "started_at", sb->started_at);
	put_time(o, "ended_at", sb->ended_at);
	json_put_end(o);
	return o->error;
}

int home_sandbox_list(struct home *home, char **ret_json, struct err *err)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct json_out o;
	int r;

	r = home_reconcile(home, err);
	if (r < 0)
		return r;
	list_begin(&b, &o);
	r = state_sandbox_list(home->state, put_sandbox, &o, err);
	return r < 0 ? r : list_end(&b, &o, ret_json, err);
}

struct nearest {
	const char *wanted;
	char found[256];
};

/* A name in the list that looks like the wanted one, in its short form. */
static int look_near(void *user, const struct state_image *image)
{
	struct nearest *n = user;
	AUTO_FREE char *shortened = image->reference ? image_ref_short(image->reference) : NULL;
	AUTO_FREE char *wanted = image_ref_short(n->wanted);

	if (!n->found[0] && shortened && wanted && nearly_equal(wanted, shortened))
		(void)snprintf(n->found, sizeof(n->found), "%s", shortened);
	return 0;
}

static int no_image(struct home *home, const char *text, const char *full, struct err *err)
{
	struct nearest n = { .wanted = full };
	struct err ignored = ERR_INIT;

	IGNORE_RESULT(state_image_list(home->state, look_near, &n, &ignored));
	if (n.found[0])
		err_set(err, ERR_NOT_FOUND, "no image '%s'; did you mean '%s'?", text, n.found);
	else
		err_set(err, ERR_NOT_FOUND,
			"no image '%s'; load it from an archive first: msb load -i FILE", text);
	return err_detail(err, ERR_NR_IMAGE_NOT_FOUND, text);
}

/*
 * An image that is delivered with the program: images/NAME.tar beside msb-sandbox stands for
 * docker.io/library/NAME:latest until something else has that name.
 * Return: 1 if it was brought in, 0 if there is none, negative with *err set.
 */
static int load_builtin(struct home *home, const char *full, struct err *err)
{
	static const char prefix[] = "docker.io/library/", suffix[] = ":latest";
	size_t len = strlen(full), fixed = strlen(prefix) + strlen(suffix);
	AUTO_FREE char *json = NULL;
	AUTO_FREE char *path = NULL;
	AUTO_CLOSE int fd = -1;
	char name[160];

	if (len <= fixed || len - fixed > 128 || strncmp(full, prefix, strlen(prefix)) != 0 ||
	    strcmp(full + len - strlen(suffix), suffix) != 0 || strchr(full + strlen(prefix), '/'))
		return 0;
	(void)snprintf(name, sizeof(name), "images/%.*s.tar", (int)(len - fixed),
		       full + strlen(prefix));
	path = runtime_file_path(home, name);
	fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return 0;
	return home_image_load(home, fd, path, full, &json, err) < 0 ? -(int)err->code : 1;
}

int home_image_open(struct home *home, struct store_run *run, const char *text,
		    struct image **ret_image, struct err *err)
{
	struct state_image row = { 0 };
	AUTO_FREE char *full = NULL;
	int r;

	if (strncmp(text, "sha256:", 7) == 0 && strlen(text) == DIGEST_LEN) {
		r = image_open(run, text, ret_image, err);
		return r < 0 && err->code == ERR_NOT_FOUND ? no_image(home, text, text, err) : r;
	}
	r = image_ref_parse(text, &full, err);
	if (r < 0)
		return err_detail(err, err->number, text);
	r = state_ref_get(home->state, full, &row, err);
	if (r < 0 && err->code == ERR_NOT_FOUND && load_builtin(home, full, err) > 0)
		r = state_ref_get(home->state, full, &row, err);
	if (r < 0)
		return err->code == ERR_NOT_FOUND ? no_image(home, text, full, err) : r;
	r = image_open(run, row.manifest_digest, ret_image, err);
	state_image_done(&row);
	if (r < 0) {
		err_wrap(err, "image '%s'", text);
		return err_detail(err, ERR_NR_IMAGE, text);
	}
	return 0;
}
