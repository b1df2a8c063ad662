/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>

#include "base/io.h"
#include "base/num.h"
#include "image/layer.h"
#include "image/pull_internal.h"
#include "image/room.h"

/*
 * DOC: one layer of a pull
 *
 * Downloaded and converted in one pass, under the lock of its diff_id.  A large one is also
 * written to partial/DIGEST, so that a pull that was killed goes on there: the file is read and
 * hashed again, then the rest is asked for.
 *
 * Whether bad content is the image's or a mirror's is told by the digest of the whole; so what
 * cannot be converted is hashed to its end before anything is said.
 */
#define PARTIAL_BYTES_MIN (64 * MIB) /* smaller ones are downloaded again */
#define TELL_BYTES	  (1 * MIB)  /* between two events of progress */
#define PAUSE_MS	  50	     /* between two looks at what another one has */
#define DOWNLOADS_MAX	  8	     /* at once, by all pulls of a store */

struct fetch {
	struct pull *p;
	struct pull_layer *l;
	struct layer_writer *w; /* owned */
	int partial_fd;		/* owned; -1: none */
	char partial[STORE_NAME_MAX];
	uint64_t done, told; /* bytes */
	struct err bad;	     /* why it is no good layer */
};

/* Is the layer itself to blame? */
static bool is_bad_content(const struct err *err)
{
	return err->code == ERR_INVALID && strcmp(err->reason, "limit-exceeded") != 0;
}

static int bad_content(const struct pull_layer *l, struct err *err)
{
	char text[DIGEST_TEXT_MAX];

	if (!is_bad_content(err))
		return -err->code;
	digest_text(l->digest.b, text);
	err_wrap(err, "layer-invalid: layer %s", text);
	(void)err_reason(err, "layer-invalid");
	return err_detail(err, ERR_NR_IMAGE, text);
}

static void tell(struct fetch *f)
{
	if (f->done - f->told < TELL_BYTES && f->done != f->l->size && f->done > 0)
		return;
	f->told = f->done;
	pull_tell(f->p, PULL_LAYER_DOWNLOAD_PROGRESS, f->l, NULL, f->done, f->l->size, NULL);
}

static int take(struct fetch *f, const uint8_t *data, size_t len, struct err *err)
{
	if (pull_check(f->p, err) < 0)
		return -err->code;
	if (f->bad.code != ERR_NONE) {
		layer_hash(f->w, data, len);
	} else if (layer_feed(f->w, data, len, &f->bad) < 0 && !is_bad_content(&f->bad)) {
		*err = f->bad;
		return -err->code;
	}
	f->done += len;
	tell(f);
	return 0;
}

static int on_data(void *user, const uint8_t *data, size_t len, struct err *err)
{
	struct fetch *f = user;
	int r = f->partial_fd >= 0 ? io_pwrite_full(f->partial_fd, data, len, f->done) : 0;

	if (r < 0)
		return store_write_failed(f->p->run->store, -r, "a partial download", err);
	return take(f, data, len, err);
}

static void on_retry(void *user, const char *why, uint64_t wait_ms)
{
	struct fetch *f = user;
	char text[256];

	(void)snprintf(text, sizeof(text), "%.200s; next try in %llu ms", why,
		       (unsigned long long)wait_ms);
	pull_tell(f->p, PULL_LAYER_RETRY, f->l, NULL, f->done, f->l->size, text);
}

/* ---- partial downloads ----------------------------------------------------------------- */

/* Without one if another pull has it: two that differ in diff_id only. */
static void open_partial(struct fetch *f)
{
	char hex[2 * SHA256_BYTES + 1];
	AUTO_CLOSE int fd = -1;
	struct stat st;

	hex_encode(f->l->digest.b, SHA256_BYTES, hex);
	(void)snprintf(f->partial, sizeof(f->partial), "partial/%s", hex);
	fd = openat(f->p->run->store->dir_fd, f->partial, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
		    0600);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0 || st.st_nlink == 0)
		return;
	if ((uint64_t)st.st_size > f->l->size && ftruncate(fd, 0) < 0)
		return;
	f->partial_fd = TAKE_FD(fd);
}

static int read_partial(struct fetch *f, struct err *err)
{
	AUTO_FREE uint8_t *buf = malloc(COPY_BYTES);
	ssize_t n;

	if (!buf)
		return err_no_memory(err);
	while ((n = io_pread_full(f->partial_fd, buf, COPY_BYTES, f->done)) > 0) {
		if (take(f, buf, (size_t)n, err) < 0)
			return -err->code;
	}
	return n < 0 ? err_sys(err, (int)-n, "reading images/%s", f->partial) : 0;
}

static void drop_partial(struct fetch *f)
{
	if (f->partial_fd >= 0)
		(void)unlinkat(f->p->run->store->dir_fd, f->partial, 0);
}

/* The download itself stays, unless it is what the layer's data file is. */
static int keep_blob(struct fetch *f, const struct layer *layer, struct err *err)
{
	char name[STORE_NAME_MAX];
	const uint8_t *sha = f->l->digest.b;

	if (!f->p->options->keep_blobs || f->partial_fd < 0 ||
	    memcmp(sha, layer->diff_id, SHA256_BYTES) == 0) {
		drop_partial(f);
		return 0;
	}
	store_blob_name(sha, name);
	if (store_hold(f->p->run, sha, err) < 0)
		return -err->code;
	return store_publish(f->p->run, f->partial, f->partial_fd, name, err);
}

/* ---- downloads at once ------------------------------------------------------------------- */

static bool take_turn(struct store *s)
{
	unsigned n = atomic_load(&s->n_downloads);

	while (n < DOWNLOADS_MAX) {
		if (atomic_compare_exchange_weak(&s->n_downloads, &n, n + 1))
			return true;
	}
	return false;
}

static int download(struct fetch *f, const struct registry_sink *sink, struct err *err)
{
	struct pollfd wait = { .fd = cancel_fd(f->p->cancel), .events = POLLIN };
	struct store *s = f->p->run->store;
	char text[DIGEST_TEXT_MAX];
	int r;

	while (!take_turn(s)) {
		(void)poll(&wait, 1, PAUSE_MS);
		if (pull_check(f->p, err) < 0)
			return -err->code;
	}
	digest_text(f->l->digest.b, text);
	r = registry_blob(f->p->registry, text, f->done, f->l->size, sink, err);
	atomic_fetch_sub(&s->n_downloads, 1);
	return r;
}

/* ---- one try ---------------------------------------------------------------------------- */

/* All bytes are there. @ret_wrong: they have another digest */
static int convert(struct fetch *f, struct layer *ret, bool *ret_wrong, struct err *err)
{
	struct pull_layer *l = f->l;
	uint8_t raw[SHA256_BYTES];
	struct err ending = ERR_INIT;
	char what[64];
	int r = layer_end(f->w, raw, &ending);

	(void)snprintf(what, sizeof(what), "layer %u of %zu", l->number, f->p->manifest.n_layers);
	*ret_wrong = memcmp(raw, l->digest.b, SHA256_BYTES) != 0;
	if (*ret_wrong)
		return pull_mismatch(f->p, what, l->digest.b, raw, err);
	if (r < 0 || f->bad.code != ERR_NONE) {
		*err = f->bad.code != ERR_NONE ? f->bad : ending;
		return bad_content(l, err);
	}
	pull_tell(f->p, PULL_LAYER_DOWNLOAD_COMPLETE, l, NULL, l->size, l->size, NULL);
	pull_tell(f->p, PULL_LAYER_MATERIALIZE_PROGRESS, l, NULL, layer_written(f->w), 0, NULL);
	if (layer_wait(f->w, ret, err) < 0)
		return bad_content(l, err);
	if (memcmp(ret->diff_id, l->diff_id.b, SHA256_BYTES) == 0)
		return 0;
	layer_drop(f->p->run, ret);
	return pull_mismatch(f->p, "an unpacked layer", l->diff_id.b, ret->diff_id, err);
}

/* @ret_again: it was the fault of something that is not asked again */
static int try_once(struct pull *p, struct pull_layer *l, struct layer *ret, bool *ret_again,
		    struct err *err)
{
	AUTO(layer_free) struct layer_writer *w = NULL;
	struct fetch f = { .p = p, .l = l, .partial_fd = -1 };
	const struct registry_sink sink = { &f, on_data, on_retry };
	AUTO_CLOSE int partial = -1;
	uint64_t had;
	bool wrong = false;
	int r;

	*ret_again = false;
	if (layer_new(p->run, &w, err) < 0)
		return -err->code;
	f.w = w;
	if (l->size > PARTIAL_BYTES_MIN || p->options->keep_blobs)
		open_partial(&f);
	partial = f.partial_fd;
	tell(&f);
	r = partial >= 0 ? read_partial(&f, err) : 0;
	had = f.done;
	if (r == 0)
		r = download(&f, &sink, err);
	if (r == 0)
		r = convert(&f, ret, &wrong, err);
	/* What was fetched is of use for the next pull, unless it is the reason of the failure. */
	if (r == 0)
		r = keep_blob(&f, ret, err);
	else if (wrong || err->code == ERR_INVALID)
		drop_partial(&f);
	if (wrong)
		*ret_again = had > 0 || registry_distrust(p->registry);
	return r;
}

static int make(struct pull *p, struct pull_layer *l, struct err *err)
{
	struct layer layer = { 0 };
	bool again;
	int r;

	do {
		r = try_once(p, l, &layer, &again, err);
	} while (r < 0 && again);
	if (r < 0) {
		layer_drop(p->run, &layer);
		return r;
	}
	if (pull_check(p, err) < 0 ||
	    layer_publish_made(p->run, &layer, p->options->force, err) < 0) {
		layer_drop(p->run, &layer);
		return -err->code;
	}
	l->unpacked = layer.size;
	return 0;
}

/* ---- the lock ---------------------------------------------------------------------------- */

/* Be the only one who makes it. @ret_waited: another one has made it, or tried */
static int become_maker(struct pull *p, struct pull_layer *l, bool *ret_waited, struct err *err)
{
	int r;

	*ret_waited = false;
	while ((r = store_make_try(p->run, l->diff_id.b)) == -EAGAIN) {
		/* No descriptor tells of a lock. */
		struct pollfd wait = { .fd = cancel_fd(p->cancel), .events = POLLIN };

		if (!*ret_waited)
			pull_tell(p, PULL_LAYER_WAITING, l, NULL, 0, l->size, NULL);
		*ret_waited = true;
		(void)poll(&wait, 1, PAUSE_MS);
		if (pull_check(p, err) < 0)
			return -err->code;
	}
	return r < 0 ? err_sys(err, -r, "locking a layer") : 0;
}

/* A layer that was transferred uncompressed is its own data file. */
static bool has_blob(struct pull *p, const struct pull_layer *l)
{
	char name[STORE_NAME_MAX];

	store_blob_name(l->digest.b, name);
	return memcmp(l->digest.b, l->diff_id.b, SHA256_BYTES) == 0 ||
	       faccessat(p->run->store->dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

bool pull_has_layer(struct pull *p, struct pull_layer *l)
{
	return layer_is_there(p->run->store, l->diff_id.b, &l->unpacked) &&
	       (!p->options->keep_blobs || has_blob(p, l));
}

int pull_one_layer(struct pull *p, struct pull_layer *l, struct err *err)
{
	bool waited;
	int r = 0;

	if (pull_check(p, err) < 0 || become_maker(p, l, &waited, err) < 0)
		return -err->code;
	if ((p->options->force && !waited) || !pull_has_layer(p, l))
		r = make(p, l, err);
	else if (waited)
		pull_tell(p, PULL_LAYER_DOWNLOAD_COMPLETE, l, NULL, l->size, l->size, NULL);
	store_make_end(p->run, l->diff_id.b);
	if (r == 0)
		pull_tell(p, PULL_LAYER_MATERIALIZE_COMPLETE, l, NULL, l->unpacked, l->unpacked,
			  NULL);
	return r;
}
