/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/image_remove.h"

/*
 * DOC: what goes by itself
 *
 * An image is unused if no sandbox keeps it.  prune takes all unused ones; the garbage collection
 * after a load or pull takes the least recently used ones until the rest fits.  Both leave what is on
 * the keep list, and what a run holds at that moment.
 */
struct image_rows {
	struct state_image *rows; /* owned, with what is in them; the least recently used first */
	size_t n;
};

static void image_rows_done_auto(struct image_rows *u)
{
	for (size_t i = 0; i < u->n; i++)
		state_image_done(&u->rows[i]);
	free(u->rows);
}

static int take_image(void *user, const struct state_image *image)
{
	struct image_rows *u = user;
	struct state_image *p = reallocarray(u->rows, u->n + 1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	u->rows = p;
	if (state_image_copy(image, &p[u->n]) < 0)
		return -ENOMEM;
	u->n++;
	return 0;
}

static int keep_it(void *user, const char *reference)
{
	const struct home *home = user;

	for (size_t i = 0; i < home->settings.n_keep; i++) {
		if (strcmp(home->settings.keep[i], reference) == 0)
			return -EEXIST; /* ends the list: it is found */
	}
	return 0;
}

static bool is_kept(struct home *home, const char *digest)
{
	struct err err = ERR_INIT;

	return home->settings.n_keep > 0 &&
	       state_image_refs(home->state, digest, keep_it, home, &err) < 0;
}

/* Unused images that may go; @before: last used before that, in ns since the epoch. */
static int list_unused(struct home *home, uint64_t before, struct image_rows *u, struct err *err)
{
	size_t n = 0;

	if (state_image_unused(home->state, take_image, u, err) < 0)
		return -err->code;
	for (size_t i = 0; i < u->n; i++) {
		struct state_image *row = &u->rows[i];
		uint64_t at = row->used_at > row->loaded_at ? row->used_at : row->loaded_at;

		if (at >= before || is_kept(home, row->manifest_digest))
			state_image_done(row);
		else
			u->rows[n++] = *row;
	}
	u->n = n;
	return 0;
}

static void put_removed(struct json_out *o, const struct state_image *row)
{
	AUTO_FREE char *brief = row->reference ? image_ref_short(row->reference) : NULL;

	json_put_object(o, NULL);
	json_put_str(o, "reference", row->reference);
	json_put_str(o, "name", brief);
	json_put_str(o, "digest", row->manifest_digest);
	json_put_end(o);
}

/* Remove one; 1: it is gone, 0: it is in use by now. */
static int remove_one(struct removal *rm, const struct state_image *row, struct err *err)
{
	bool gone = false;
	int r = removal_image(rm, row->manifest_digest, NULL, false, &gone, err);

	if (r == 0)
		return gone;
	if (err->code != ERR_BUSY)
		return r;
	*err = ERR_INIT;
	return 0;
}

static int what_would_go(struct removal *rm, const struct image_rows *u, struct json_out *o,
			 struct err *err)
{
	AUTO_FREE const char **digests = calloc(u->n + 1, sizeof(*digests));
	uint64_t images = 0, loose = 0;

	if (!digests)
		return err_no_memory(err);
	for (size_t i = 0; i < u->n; i++) {
		digests[i] = u->rows[i].manifest_digest;
		put_removed(o, &u->rows[i]);
	}
	if (state_images_cost(rm->home->state, digests, u->n, &images, err) < 0 ||
	    removal_loose_bytes(rm, &loose, err) < 0)
		return -err->code;
	rm->bytes = images + loose;
	return 0;
}

/* Copies of disk images are made from what is elsewhere, as unused images are. */
static int prune_copies(struct removal *rm, uint64_t before, bool dry_run, struct err *err)
{
	uint64_t bytes = 0;
	int r = root_disk_prune(rm->home, before, dry_run, &bytes, err);

	rm->bytes += bytes;
	return r;
}

int home_image_prune(struct home *home, uint64_t older_than_s, bool dry_run,
		     const struct call *call, char **ret_json, struct err *err)
{
	AUTO(removal_close) struct removal rm = { 0 };
	AUTO(buf_done) struct buf b = { 0 };
	AUTO(image_rows_done) struct image_rows u = { 0 };
	uint64_t now = clock_wall_ns(), age = older_than_s * NS_PER_S;
	struct json_out o;
	int r;

	buf_init(&b, LIST_MAX);
	json_out_init(&o, &b);
	if (older_than_s > now / NS_PER_S)
		age = now;
	if (removal_open(home, call, &rm, err) < 0 || list_unused(home, now - age, &u, err) < 0)
		return -err->code;
	json_put_object(&o, NULL);
	json_put_array(&o, "removed");
	r = dry_run ? what_would_go(&rm, &u, &o, err) : 0;
	for (size_t i = 0; !dry_run && r >= 0 && i < u.n; i++) {
		r = remove_one(&rm, &u.rows[i], err);
		if (r > 0)
			put_removed(&o, &u.rows[i]);
		if (r >= 0)
			r = cancel_check(call_cancel(call), err);
	}
	json_put_end(&o);
	if (r >= 0 && !dry_run)
		r = removal_sweep(&rm, call, err);
	if (r >= 0)
		r = prune_copies(&rm, now - age, dry_run, err);
	json_put_u64(&o, "bytes", rm.bytes);
	json_put_bool(&o, "dry_run", dry_run);
	json_put_end(&o);
	if (r < 0)
		return r;
	return json_out_end(&o) < 0 ? err_no_memory(err) : take_json(&b, ret_json, err);
}

/* ---- garbage collection --------------------------------------------------------------------- */

static int limit_of(struct home *home, uint64_t *ret_bytes, struct err *err)
{
	int r = 0;

	*ret_bytes = home->settings.max_size;
	if (!home->settings.max_size_set)
		r = image_space_default(home->store, ret_bytes);
	return r < 0 ? err_sys(err, -r, "looking at the file system of the images") : 0;
}

/* 1: it fits. */
static int fits(struct removal *rm, uint64_t limit, struct err *err)
{
	uint64_t bytes = 0;

	if (state_file_total(rm->home->state, &bytes, err) < 0)
		return -err->code;
	return limit == 0 || bytes <= limit;
}

static int drop_blobs_of(struct removal *rm, const struct state_image *row, struct err *err)
{
	AUTO(image_files_done) struct image_files files = { 0 };
	const char *kind = image_file_kind_name(IMAGE_BLOB);

	if (home_image_known(rm->home, row->manifest_digest, &files, err) < 0 ||
	    state_image_spare(rm->home->state, row->manifest_digest, kind, err) < 0)
		return -err->code;
	for (size_t i = 0; i < files.n; i++) {
		if (files.items[i].kind == IMAGE_BLOB &&
		    removal_drop_file(rm, files.items[i].name, err) < 0)
			return -err->code;
	}
	return 0;
}

/* Layers as they were transferred, kept for saving, go before any image. 1: it fits. */
static int drop_blobs(struct removal *rm, uint64_t limit, struct err *err)
{
	AUTO(image_rows_done) struct image_rows all = { 0 };
	int fit = 0;

	if (state_image_having(rm->home->state, image_file_kind_name(IMAGE_BLOB), take_image, &all,
			       err) < 0)
		return -err->code;
	for (size_t i = 0; fit == 0 && i < all.n; i++)
		fit = drop_blobs_of(rm, &all.rows[i], err) < 0 ? -1 : fits(rm, limit, err);
	return fit;
}

static int make_room(struct removal *rm, struct json_out *o, struct err *err)
{
	AUTO(image_rows_done) struct image_rows u = { 0 };
	uint64_t limit = 0;
	int fit;

	if (limit_of(rm->home, &limit, err) < 0)
		return -err->code;
	fit = fits(rm, limit, err);
	if (fit == 0)
		fit = drop_blobs(rm, limit, err);
	if (fit == 0 && list_unused(rm->home, UINT64_MAX, &u, err) < 0)
		return -err->code;
	for (size_t i = 0; fit == 0 && i < u.n; i++) {
		int r = remove_one(rm, &u.rows[i], err);

		if (r > 0)
			put_removed(o, &u.rows[i]);
		fit = r < 0 ? r : fits(rm, limit, err);
	}
	return fit < 0 ? fit : 0;
}

int home_image_gc(struct home *home, const struct call *call, struct json_out *o, struct err *err)
{
	AUTO(removal_close) struct removal rm = { 0 };
	struct err later = ERR_INIT;

	if (removal_open(home, call, &rm, err) < 0)
		return -err->code;
	json_put_array(o, "removed");
	/* The new image is here and recorded; what fails now, the next collection does. */
	if (make_room(&rm, o, &later) == 0)
		IGNORE_RESULT(removal_sweep(&rm, call, &later));
	json_put_end(o);
	json_put_u64(o, "removed_bytes", rm.bytes);
	return 0;
}
