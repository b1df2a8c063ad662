/* SPDX-License-Identifier: Apache-2.0 */
#include "image/pull.h"

#include <assert.h>
#include <poll.h>
#include <string.h>

#include "base/work.h"
#include "image/open.h"
#include "image/pull_internal.h"
#include "image/room.h"

/*
 * DOC: pull
 *
 * Resolve, look what is missing, fetch layers on several threads, merge, keep the documents.  All
 * that has a name in the store is complete and checked; what is not named by a document that is
 * recorded goes with the next sweep.
 *
 * Threads end by our own switch, which a layer that fails fires too, so that the others stop; a
 * thread hands the caller's switch on.
 */
#define JOBS_MAX	4 /* layers of a pull at once */
#define UNPACKED_FACTOR 3 /* what a layer needs, by its compressed size */

/* ---- events and errors ------------------------------------------------------------------- */

static const char *const event_names[] = {
	"resolving",
	"resolved",
	"layer_waiting",
	"layer_download_progress",
	"layer_retry",
	"layer_download_complete",
	"layer_materialize_progress",
	"layer_materialize_complete",
	"stitch_writing",
	"stitch_complete",
	"complete",
};
static_assert(sizeof(event_names) / sizeof(event_names[0]) == PULL_EVENT_MAX, "a name for each");

const char *pull_event_name(enum pull_event_type type)
{
	return event_names[type];
}

void pull_tell(struct pull *p, enum pull_event_type type, const struct pull_layer *l,
	       const char *digest, uint64_t done, uint64_t total, const char *message)
{
	char text[DIGEST_TEXT_MAX];
	struct pull_event e = {
		.type = type,
		.reference = p->reference,
		.digest = digest,
		.layers = (unsigned)p->manifest.n_layers,
		.done = done,
		.total = total,
		.message = message,
	};

	if (!p->options->on_event)
		return;
	if (l) {
		digest_text(l->digest.b, text);
		e.digest = text;
		e.layer = l->number;
	}
	(void)pthread_mutex_lock(&p->lock);
	p->options->on_event(p->options->user, &e);
	(void)pthread_mutex_unlock(&p->lock);
}

int pull_check(struct pull *p, struct err *err)
{
	if (cancel_check(p->options->cancel, err) < 0)
		return -err->code;
	return cancel_check(p->cancel, err);
}

int pull_mismatch(struct pull *p, const char *what, const uint8_t want[SHA256_BYTES],
		  const uint8_t found[SHA256_BYTES], struct err *err)
{
	char want_text[DIGEST_TEXT_MAX], found_text[DIGEST_TEXT_MAX];

	digest_text(want, want_text);
	digest_text(found, found_text);
	err_set(err, ERR_PROTOCOL, "digest-mismatch: %s from %s is %s, expected %s", what,
		registry_source(p->registry), found_text, want_text);
	(void)err_reason(err, "digest-mismatch");
	return err_detail(err, ERR_NR_IMAGE, want_text);
}

int pull_failed(struct err *err, const char *stage)
{
	static const struct {
		const char *reason, *stage;
	} known[] = {
		{ "registry-auth", "auth" },	{ "digest-mismatch", "verify" },
		{ "layer-invalid", "convert" }, { "platform-unavailable", "resolve" },
		{ "disk-full", "store" },
	};

	if (err->stage[0])
		return -err->code;
	if (err->code == ERR_CANCELLED && !err->reason[0])
		(void)err_reason(err, "cancelled");
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(known[i].reason, err->reason) == 0)
			stage = known[i].stage;
	}
	(void)snprintf(err->stage, sizeof(err->stage), "%s", stage);
	if (err->code == ERR_INVALID && err->number == ERR_NR_NONE)
		err->number = ERR_NR_IMAGE;
	return -err->code;
}

/* ---- layers ------------------------------------------------------------------------------ */

static int by_size(const void *a, const void *b)
{
	const struct pull_layer *x = a, *y = b;

	if (x->size != y->size)
		return x->size < y->size ? 1 : -1;
	return x->number < y->number ? -1 : x->number > y->number;
}

static struct pull_layer *find_layer(struct pull *p, const struct sha *diff_id)
{
	for (size_t i = 0; i < p->n_layers; i++) {
		if (memcmp(p->layers[i].diff_id.b, diff_id->b, SHA256_BYTES) == 0)
			return &p->layers[i];
	}
	return NULL;
}

static int add_layer(struct pull *p, size_t i, struct err *err)
{
	const struct descriptor *d = &p->manifest.layers[i];
	uint64_t max = p->run->store->limits.layer_bytes;
	struct pull_layer *l = &p->layers[p->n_layers];

	if (d->size == SIZE_UNKNOWN)
		return err_set(err, ERR_INVALID, "manifest.layers[%zu].size: missing", i);
	if (d->size > max)
		return limit_exceeded(err, "layer_bytes", d->size, max);
	if (find_layer(p, &p->config.diff_ids[i]))
		return 0;
	*l = (struct pull_layer){ .digest = d->digest,
				  .diff_id = p->config.diff_ids[i],
				  .size = d->size,
				  .number = (unsigned)i + 1 };
	if (store_hold(p->run, l->diff_id.b, err) < 0)
		return -err->code;
	if (store_hold(p->run, l->digest.b, err) < 0)
		return -err->code;
	l->missing = p->options->force || !pull_has_layer(p, l);
	p->n_layers++;
	return 0;
}

/* What is missing, and is there room for it? */
static int plan(struct pull *p, uint64_t *ret_bytes, size_t *ret_missing, struct err *err)
{
	uint64_t bytes = 0, need;
	size_t missing = 0;

	p->layers = calloc(p->manifest.n_layers + 1, sizeof(*p->layers));
	if (!p->layers)
		return err_no_memory(err);
	for (size_t i = 0; i < p->manifest.n_layers; i++) {
		if (add_layer(p, i, err) < 0)
			return -err->code;
	}
	qsort(p->layers, p->n_layers, sizeof(*p->layers), by_size);
	for (size_t i = 0; i < p->n_layers; i++) {
		bytes += p->layers[i].missing ? p->layers[i].size : 0; /* below 2^54 */
		missing += p->layers[i].missing;
	}
	need = bytes * UNPACKED_FACTOR;
	if (missing > 0 && store_check_room(p->run->store, need, err) < 0)
		return -err->code;
	*ret_bytes = bytes;
	*ret_missing = missing;
	return 0;
}

static struct pull_layer *next_missing(struct pull *p)
{
	struct pull_layer *l = NULL;

	(void)pthread_mutex_lock(&p->lock);
	while (p->failure.code == ERR_NONE && p->next_layer < p->n_layers && !l) {
		l = &p->layers[p->next_layer++];
		if (!l->missing)
			l = NULL;
	}
	(void)pthread_mutex_unlock(&p->lock);
	return l;
}

static void layer_job(void *user)
{
	struct pull *p = user;
	struct pull_layer *l;

	while ((l = next_missing(p)) != NULL) {
		struct err err = ERR_INIT;

		if (pull_one_layer(p, l, &err) == 0)
			continue;
		(void)pull_failed(&err, strcmp(err.reason, "limit-exceeded") == 0 ? "convert"
										  : "download");
		(void)pthread_mutex_lock(&p->lock);
		if (p->failure.code == ERR_NONE)
			p->failure = err;
		(void)pthread_mutex_unlock(&p->lock);
		cancel_fire(p->cancel);
	}
}

static int get_layers(struct pull *p, size_t n_missing, struct err *err)
{
	unsigned n = n_missing < JOBS_MAX ? (unsigned)n_missing : JOBS_MAX;
	struct work_pool *pool = NULL;
	int r;

	if (n == 0)
		return 0;
	r = work_pool_new(NULL, n, &pool);
	for (unsigned i = 0; i < n && r == 0; i++)
		r = work_submit(pool, p, layer_job, NULL);
	if (r < 0)
		cancel_fire(p->cancel);
	work_pool_free(pool);
	if (r < 0)
		return err_sys(err, -r, "starting the downloads");
	if (p->failure.code != ERR_NONE)
		*err = p->failure;
	return -(int)p->failure.code;
}

static int merge(struct pull *p, bool tell, struct err *err)
{
	size_t n = p->config.n_diff_ids;
	AUTO_FREE struct layer_files *files = calloc(n + 1, sizeof(*files));

	if (!files)
		return err_no_memory(err);
	for (size_t i = 0; i < n; i++) {
		store_data_name(p->config.diff_ids[i].b, files[i].data);
		store_tree_name(p->config.diff_ids[i].b, files[i].tree);
	}
	if (tell)
		pull_tell(p, PULL_STITCH_WRITING, NULL, NULL, 0, 0, NULL);
	if (merged_make(p->run, p->config.diff_ids, files, n, err) < 0)
		return pull_failed(err, "merge");
	if (tell)
		pull_tell(p, PULL_STITCH_COMPLETE, NULL, NULL, 0, 0, NULL);
	return 0;
}

/* ---- the result -------------------------------------------------------------------------- */

static char *text_of(const uint8_t sha[SHA256_BYTES])
{
	char text[DIGEST_TEXT_MAX];

	digest_text(sha, text);
	return strdup(text);
}

/* The documents into the store, and what the image is. */
static int keep(struct pull *p, struct loaded_image *r, struct err *err)
{
	uint8_t sha[SHA256_BYTES];

	r->documents = calloc(p->n_docs + 1, sizeof(char *));
	r->names = calloc(2, sizeof(char *));
	if (!r->documents || !r->names)
		return err_no_memory(err);
	if (store_put_blob(p->run, p->config_doc.data, p->config_doc.len, sha, err) < 0)
		return -err->code;
	r->config_digest = text_of(sha);
	for (size_t i = 0; i < p->n_docs; i++) {
		char **to = i + 1 < p->n_docs ? &r->documents[i] : &r->manifest_digest;

		if (store_put_blob(p->run, p->docs[i].data, p->docs[i].len, sha, err) < 0)
			return -err->code;
		*to = text_of(sha);
		if (!*to)
			return err_no_memory(err);
	}
	r->names[0] = strdup(p->reference);
	r->n_names = 1;
	r->created = TAKE_PTR(p->config.created);
	for (size_t i = 0; i < p->n_layers; i++)
		r->size += p->layers[i].unpacked;
	return r->names[0] && r->config_digest ? 0 : err_no_memory(err);
}

static int run(struct pull *p, struct loaded_image *r, struct err *err)
{
	AUTO_FREE char *digest = NULL;
	uint8_t sha[SHA256_BYTES];
	uint64_t bytes = 0;
	size_t missing = 0;

	pull_tell(p, PULL_RESOLVING, NULL, NULL, 0, 0, NULL);
	if (pull_resolve(p, err) < 0)
		return -err->code;
	if (plan(p, &bytes, &missing, err) < 0)
		return pull_failed(err, "resolve");
	digest_of(p->docs[p->n_docs - 1].data, p->docs[p->n_docs - 1].len, sha);
	digest = text_of(sha);
	if (!digest)
		return err_no_memory(err);
	pull_tell(p, PULL_RESOLVED, NULL, digest, 0, bytes, NULL);
	if (get_layers(p, missing, err) < 0 || pull_check(p, err) < 0 ||
	    merge(p, missing > 0, err) < 0 || pull_check(p, err) < 0)
		return pull_failed(err, "download");
	if (keep(p, r, err) < 0)
		return pull_failed(err, "store");
	pull_tell(p, PULL_COMPLETE, NULL, digest, 0, 0, NULL);
	return 0;
}

/* ---- beginning and end ------------------------------------------------------------------- */

/* Hands the caller's switch on to ours, until it is over. */
struct watch {
	struct cancel *from, *to; /* borrowed */
	struct cancel *over;	  /* owned */
	struct work_pool *thread; /* owned */
};

static void watch_job(void *user)
{
	struct watch *w = user;
	struct pollfd fds[2] = { { .fd = cancel_fd(w->from), .events = POLLIN },
				 { .fd = cancel_fd(w->over), .events = POLLIN } };

	while (!cancel_fired(w->over) && !cancel_fired(w->from))
		(void)poll(fds, 2, -1);
	if (cancel_fired(w->from))
		cancel_fire(w->to);
}

static void watch_done_auto(struct watch *w)
{
	if (w->over)
		cancel_fire(w->over);
	work_pool_free(w->thread);
	cancel_free(w->over);
}

static int watch_init(struct watch *w, struct cancel *from, struct cancel *to, struct err *err)
{
	int r;

	if (!from)
		return 0;
	w->from = from;
	w->to = to;
	r = cancel_new(&w->over);
	if (r == 0)
		r = work_pool_new(NULL, 1, &w->thread);
	if (r == 0)
		r = work_submit(w->thread, w, watch_job, NULL);
	return r < 0 ? err_sys(err, -r, "starting a pull") : 0;
}

static void pull_done_auto(struct pull *p)
{
	for (size_t i = 0; i < p->n_docs; i++)
		buf_done(&p->docs[i]);
	buf_done(&p->platforms);
	buf_done(&p->config_doc);
	manifest_done(&p->manifest);
	config_done(&p->config);
	free(p->layers);
	registry_close(p->registry);
	cancel_free(p->cancel);
	(void)pthread_mutex_destroy(&p->lock);
}

static int start(struct pull *p, struct err *err)
{
	AUTO_FREE char *name = NULL;
	const char *slash = strchr(p->reference, '/');
	int r = cancel_new(&p->cancel);

	if (r < 0)
		return err_sys(err, -r, "starting a pull");
	if (!slash || !strpbrk(slash, ":@"))
		return err_set(err, ERR_INVALID, "'%.200s' is no full reference", p->reference);
	if (platform_parse(p->options->platform, &p->want, err) < 0)
		return -err->code;
	name = strndup(p->reference, (size_t)(slash - p->reference) + 1 + strcspn(slash + 1, ":@"));
	if (!name)
		return err_no_memory(err);
	name[slash - p->reference] = '\0';
	p->registry_how = *p->options->registry;
	p->registry_how.cancel = p->cancel;
	return registry_open(&p->registry_how, name, name + (slash - p->reference) + 1,
			     &p->registry, err);
}

int image_pull(struct store_run *store_run, const char *reference,
	       const struct pull_options *options, struct loaded_image *ret, struct err *err)
{
	AUTO(pull_done)
	struct pull p = {
		.run = store_run,
		.options = options,
		.reference = reference,
	};
	AUTO(watch_done) struct watch watch = { 0 };
	struct load_result result = { 0 };

	(void)pthread_mutex_init(&p.lock, NULL);
	if (start(&p, err) < 0 || watch_init(&watch, options->cancel, p.cancel, err) < 0)
		return pull_failed(err, "resolve");
	result.images = calloc(1, sizeof(*result.images));
	if (!result.images)
		return err_no_memory(err);
	result.n_images = 1;
	if (run(&p, result.images, err) < 0) {
		load_result_done(&result);
		return -err->code;
	}
	*ret = *result.images;
	free(result.images);
	return 0;
}
