/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: from a name to a recorded image
 *
 * What is here and may be used costs one look into the database.  Else the reference is locked, as an
 * object of the store that has no files, so that one process fetches; who waited looks again.  The
 * record is written while the run holds all that the image needs.
 */
#include "image/pull.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "image/digest.h"
#include "image/store.h"
#include "runtime/internal.h"
#include "runtime/pull.h"

#define REF_NAME_SHOWN 256 /* bytes of a host in a message, with NUL */
#define MAX_CA_FILES   16
#define MAX_CA_BYTES   (1u << 20) /* of all of them */

static const char *const policy_names[] = { "missing", "always", "never", "if-missing", NULL };
static const char *const how_keys[][7] = {
	[PULL_HOW_SPEC] = { "pull", "platform", "ca_certs", "insecure", "auth", NULL },
	[PULL_HOW_PULL] = { "pull", "platform", "ca_certs", "insecure", "auth", "force", NULL },
	[PULL_HOW_LOGIN] = { "ca_certs", "insecure", NULL },
};
static const char *const auth_keys[] = { "username", "password", NULL };

/* ---- options ------------------------------------------------------------------------------ */

void pull_how_done(struct pull_how *how)
{
	free(how->platform);
	for (char **f = how->ca_files; f && *f; f++)
		free(*f);
	free(how->ca_files);
	free(how->user);
	if (how->secret)
		explicit_bzero(how->secret, strlen(how->secret));
	free(how->secret);
	*how = (struct pull_how){ 0 };
}

static int parse_ca_files(const struct json_at *object, struct pull_how *how, struct err *err)
{
	struct json_at list = json_member(object, "ca_certs");
	size_t n;
	int r;

	if (!json_present(&list))
		return 0;
	r = json_get_array(&list, MAX_CA_FILES, &n, err);
	if (r < 0)
		return r;
	how->ca_files = calloc(n + 1, sizeof(*how->ca_files));
	if (!how->ca_files)
		return err_no_memory(err);
	for (size_t i = 0; i < n; i++) {
		struct json_at item = json_item(&list, i);
		const char *path;

		r = json_get_str(&item, &path, err);
		if (r < 0)
			return r;
		how->ca_files[i] = strdup(path);
		if (!how->ca_files[i])
			return err_no_memory(err);
	}
	return 0;
}

static int parse_auth(const struct json_at *object, struct pull_how *how, struct err *err)
{
	struct json_at auth = json_member(object, "auth");
	int r;

	if (!json_present(&auth))
		return 0;
	r = json_only_keys(&auth, auth_keys, err);
	if (r == 0)
		r = copy_str(&auth, "username", &how->user, err);
	if (r == 0)
		r = copy_str(&auth, "password", &how->secret, err);
	if (r == 0 && (!how->user || !how->secret))
		r = json_complain(&auth, err, "needs both 'username' and 'password'");
	return r;
}

int pull_how_parse(const struct json_at *object, enum pull_how_of of, struct pull_how *how,
		   struct err *err)
{
	unsigned policy = PULL_IF_MISSING;
	int r;

	if (!json_present(object))
		return 0;
	r = json_only_keys(object, how_keys[of], err);
	if (r == 0)
		r = json_opt_enum(object, "pull", policy_names, &policy, err);
	how->policy = policy < PULL_POLICY_MAX ? (enum pull_policy)policy : PULL_IF_MISSING;
	if (r == 0)
		r = copy_str(object, "platform", &how->platform, err);
	if (r == 0)
		r = parse_ca_files(object, how, err);
	if (r == 0)
		r = json_opt_bool(object, "insecure", &how->insecure, err);
	if (r == 0)
		r = parse_auth(object, how, err);
	if (r == 0)
		r = json_opt_bool(object, "force", &how->force, err);
	return r;
}

int pull_how_parse_text(const char *text, enum pull_how_of of, struct pull_how *how,
			struct err *err)
{
	AUTO(json_decref) json_t *value = NULL;
	struct json_at root;
	int r = json_parse("options", text, strlen(text), SPEC_MAX_LEN, &value, err);

	root = json_root(value, "options");
	return r < 0 ? r : pull_how_parse(&root, of, how, err);
}

/* ---- progress ----------------------------------------------------------------------------- */

static void tell(void *user, const struct pull_event *e)
{
	struct progress_event ev = {
		.type = pull_event_name(e->type),
		.amount = e->type == PULL_LAYER_DOWNLOAD_PROGRESS ||
			  e->type == PULL_LAYER_MATERIALIZE_PROGRESS,
		.reference = e->reference,
		.digest = e->digest,
		.message = e->message,
		.layer = e->layer,
		.layers = e->layers,
		.done = e->done,
		.total = e->total,
	};

	progress_put(user, &ev);
}

/* What a pull tells, for an image that is here. */
static void tell_cached(const struct call *call, const struct state_image *row)
{
	static const enum pull_event_type types[] = { PULL_RESOLVING, PULL_RESOLVED,
						      PULL_COMPLETE };
	struct pull_event e = { .reference = row->reference };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		e.type = types[i];
		e.digest = i > 0 ? row->manifest_digest : NULL;
		tell(call_progress(call), &e);
	}
}

/* ---- fetching ----------------------------------------------------------------------------- */

/* All certificates as one file, under a path that is valid as long as the descriptor. */
static int join_ca_files(char *const *files, int *ret_fd, struct err *err)
{
	AUTO(buf_done) struct buf b = { 0 };
	int r = 0;

	buf_init(&b, MAX_CA_BYTES);
	for (; r == 0 && *files; files++) {
		AUTO_CLOSE int fd = open(*files, O_RDONLY | O_CLOEXEC);
		ssize_t n = 0;

		if (fd < 0)
			return err_sys(err, errno, "open '%s'", *files);
		do {
			void *room = buf_room(&b, 4096);

			n = room ? io_read_full(fd, room, 4096) : -EFBIG;
			if (n < 0)
				return err_sys(err, (int)-n, "read '%s'", *files);
			buf_grew(&b, (size_t)n);
		} while (n == 4096);
		r = buf_add(&b, "\n", 1);
	}
	r = r < 0 ? r : io_memfd("msb-ca", b.data, b.len);
	if (r < 0)
		return err_sys(err, -r, "join the certificates");
	*ret_fd = r;
	return 0;
}

/* One fetches; who had to wait looks again. */
static int lock_reference(struct store_run *run, const char *full, const struct call *call,
			  uint8_t ret_sha[SHA256_BYTES], struct err *err)
{
	struct progress_event ev = { .type = pull_event_name(PULL_RESOLVING),
				     .reference = full,
				     .message = "waiting for another pull of it" };
	int r;

	digest_of(full, strlen(full), ret_sha);
	r = store_make_try(run, ret_sha);
	if (r == 0)
		return 0;
	progress_put(call_progress(call), &ev);
	return store_make_begin(run, ret_sha, err);
}

int fetch_from_init(struct fetch_from *f, const struct home *home, const struct pull_how *how,
		    const struct call *call, struct err *err)
{
	f->options = (struct registry_options){
		.home_fd = home->fd,
		.hosts = home->settings.hosts,
		.n_hosts = home->settings.n_hosts,
		.user_dir = home->user_dir,
		.docker_config = home->docker_config,
		.runtime_dir = home->runtime_dir,
		.path = home->search,
		.user = how->user,
		.secret = how->secret,
		.insecure = how->insecure,
		.cancel = call_cancel(call),
	};
	f->ca = -1;
	if (!how->ca_files || !how->ca_files[0])
		return 0;
	if (join_ca_files(how->ca_files, &f->ca, err) < 0)
		return -(int)err->code;
	(void)snprintf(f->ca_path, sizeof(f->ca_path), "/proc/self/fd/%d", f->ca);
	f->options.ca_file = f->ca_path;
	return 0;
}

void fetch_from_done_auto(struct fetch_from *f)
{
	close_auto(&f->ca);
}

static int fetch(struct home *home, struct store_run *run, const char *full,
		 const struct pull_how *how, const struct call *call, struct err *err)
{
	AUTO(fetch_from_done) struct fetch_from from = { .ca = -1 };
	struct pull_options options = {
		.registry = &from.options,
		.platform = how->platform,
		.force = how->force,
		.keep_blobs = home->settings.keep_blobs,
		.on_event = tell,
		.user = call_progress(call),
		.cancel = call_cancel(call),
	};
	AUTO(load_result_done) struct load_result result = { 0 };
	int r = fetch_from_init(&from, home, how, call, err);

	if (r < 0)
		return r;
	result.images = calloc(1, sizeof(*result.images));
	if (!result.images)
		return err_no_memory(err);
	r = image_pull(run, full, &options, result.images, err);
	if (r < 0)
		return r;
	result.n_images = 1;
	return home_image_record(home, run, result.images,
				 (const char *const *)result.images->names, err);
}

/* What is here is of the platform that is wanted, if one is. */
static bool platform_fits(const struct state_image *row, const char *platform)
{
	size_t len = platform ? strlen(platform) : 0;

	return !platform || (row->platform && strncmp(row->platform, platform, len) == 0 &&
			     (row->platform[len] == '\0' || row->platform[len] == '/'));
}

/* A line of advice behind the sentence. */
static void advise(struct err *err, const char *before, const char *word, const char *after)
{
	size_t len = strlen(err->msg);

	(void)snprintf(err->msg + len, sizeof(err->msg) - len, "\n%s%s%s", before, word, after);
}

/* What only this place can know. */
static int fetch_failed(struct home *home, const char *text, const char *full,
			const struct pull_how *how, struct err *err)
{
	bool refused = err->number == ERR_NR_IMAGE_NOT_FOUND || err->number == ERR_NR_REGISTRY_AUTH;
	struct state_image row = { 0 };
	struct err missing = ERR_INIT;
	char near[IMAGE_NAME_SHOWN], host[REF_NAME_SHOWN];
	bool here = state_ref_get(home->state, full, &row, &missing) == 0;

	state_image_done(&row);
	if (err->code == ERR_CANCELLED)
		return -(int)err->code;
	(void)snprintf(host, sizeof(host), "%.*s", (int)strcspn(full, "/"), full);
	err_wrap(err, "cannot pull '%s'", text);
	if (!here && home_image_nearest(home, full, near))
		advise(err, "did you mean '", near, "', which is here?");
	if (here && how->policy == PULL_ALWAYS && err->number == ERR_NR_UNREACHABLE)
		advise(err, "an older one is here: msb run --pull missing ", text, "");
	if (refused && !strstr(err->msg, "registry login"))
		advise(err, "if it is private, log in: msb registry login ", host, " -u USER");
	return err_detail(err, err->number, text);
}

/* Room for the new image, which the run holds still. */
static int collect(struct home *home, const struct call *call, struct json_out *removed,
		   struct err *err)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct json_out ignored;

	if (removed)
		return home_image_gc(home, call, removed, err);
	buf_init(&b, LIST_MAX);
	json_out_init(&ignored, &b);
	json_put_object(&ignored, NULL);
	return home_image_gc(home, call, &ignored, err);
}

static int fetch_locked(struct home *home, const char *text, const char *full,
			const struct pull_how *how, const struct call *call,
			struct state_image *ret_image, struct json_out *removed, struct err *err)
{
	AUTO(store_run_close) struct store_run *run = NULL;
	struct err missing = ERR_INIT;
	uint8_t sha[SHA256_BYTES];
	int r = store_run_open(home->store, call_cancel(call), &run, err);

	if (r == 0)
		r = lock_reference(run, full, call, sha, err);
	if (r < 0)
		return r;
	if (how->policy == PULL_ALWAYS || how->force ||
	    state_ref_get(home->state, full, ret_image, &missing) < 0 ||
	    !platform_fits(ret_image, how->platform)) {
		state_image_done(ret_image);
		r = fetch(home, run, full, how, call, err);
		if (r == 0)
			r = state_ref_get(home->state, full, ret_image, err);
		if (r == 0)
			r = collect(home, call, removed, err);
	} else {
		tell_cached(call, ret_image);
	}
	store_make_end(run, sha);
	return r < 0 ? fetch_failed(home, text, full, how, err) : 0;
}

/* ---- the policy --------------------------------------------------------------------------- */

static int not_cached(const char *text, struct err *err)
{
	err_set(err, ERR_NOT_FOUND, "image '%s' is not here\npull it first: msb pull %s", text,
		text);
	(void)err_reason(err, "image-not-cached");
	return err_detail(err, ERR_NR_IMAGE_NOT_FOUND, text);
}

/* 1 = it is here and good enough, 0 = it is not, negative = failed. */
static int look(struct home *home, const char *text, const char *full, const struct pull_how *how,
		const struct call *call, struct state_image *ret_image, struct err *err)
{
	const char *digest = full ? strchr(full, '@') : NULL;
	struct state_image row = { 0 };
	struct err missing = ERR_INIT;
	int r;

	if (how->force || (how->policy == PULL_ALWAYS && !digest))
		return 0;
	r = home_image_find_or_load(home, text, call, &row, &missing);
	if (r < 0 && missing.number == ERR_NR_IMAGE_NOT_FOUND && digest)
		r = state_image_get(home->state, digest + 1, &row, &missing); /* by another name */
	if (r == 0 && platform_fits(&row, how->platform)) {
		*ret_image = row;
		return 1;
	}
	state_image_done(&row);
	if (r == 0 || missing.code == ERR_NOT_FOUND)
		return 0;
	*err = missing;
	return r;
}

int home_image_get(struct home *home, const char *text, const struct pull_how *how,
		   const struct call *call, struct state_image *ret_image, struct json_out *removed,
		   struct err *err)
{
	static const struct pull_how by_default = { 0 };
	AUTO_FREE char *full = NULL;
	int r;

	how = how ? how : &by_default;
	if (strncmp(text, "sha256:", 7) == 0)
		return home_image_find(home, text, ret_image, err);
	r = image_ref_parse(text, &full, err);
	if (r < 0)
		return err_detail(err, err->number, text);
	r = look(home, text, full, how, call, ret_image, err);
	if (r < 0)
		return r;
	if (r == 1) {
		tell_cached(call, ret_image);
		return 0;
	}
	if (how->policy == PULL_NEVER)
		return not_cached(text, err);
	return fetch_locked(home, text, full, how, call, ret_image, removed, err);
}

/* ---- msb_image_pull() ---------------------------------------------------------------------- */

static void put_pulled(struct json_out *o, const char *text, const struct state_image *row)
{
	AUTO_FREE char *full = NULL;
	struct err ignored = ERR_INIT;

	if (image_ref_parse(text, &full, &ignored) < 0)
		full = NULL; /* a digest has none */
	json_put_str(o, "reference", full);
	json_put_str(o, "digest", row->manifest_digest);
	json_put_str(o, "image_id", row->config_digest);
	json_put_str(o, "platform", row->platform);
	json_put_u64(o, "size_bytes", row->size);
}

int home_image_pull(struct home *home, const char *text, const char *options,
		    const struct call *call, char **ret_json, struct err *err)
{
	AUTO(pull_how_done) struct pull_how how = { 0 };
	AUTO(buf_done) struct buf b = { 0 };
	struct state_image row = { 0 };
	struct json_out o;
	int r = home_settings_check(home, err);

	if (r == 0 && options)
		r = pull_how_parse_text(options, PULL_HOW_PULL, &how, err);
	buf_init(&b, LIST_MAX);
	json_out_init(&o, &b);
	json_put_object(&o, NULL);
	if (r == 0)
		r = home_image_get(home, text, &how, call, &row, &o, err);
	if (r == 0)
		put_pulled(&o, text, &row);
	state_image_done(&row);
	if (r < 0)
		return r;
	json_put_end(&o);
	return json_out_end(&o) < 0 ? err_no_memory(err) : take_json(&b, ret_json, err);
}
