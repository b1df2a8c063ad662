/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/image_remove.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

/*
 * DOC: how an image goes
 *
 * Whoever removes an image owns it: nobody starts, loads or pulls it.  One transaction looks again
 * whether a sandbox keeps it, and forgets it.  Then each of its files that no other image needs goes,
 * under the lock of its object; one that somebody holds stays for the next sweep.  A kill in
 * between leaves files without a record, which is what a sweep removes.
 */
int removal_open(struct home *home, const struct call *call, struct removal *ret, struct err *err)
{
	*ret = (struct removal){ .home = home };
	return store_run_open(home->store, call_cancel(call), &ret->run, err);
}

void removal_close(struct removal *rm)
{
	store_run_close(rm->run);
	rm->run = NULL;
}

int removal_drop_file(struct removal *rm, const char *name, struct err *err)
{
	bool needed = true;
	uint64_t bytes = 0;
	int r = image_file_own(rm->run, name);

	if (r == -EAGAIN)
		return 0;
	if (r < 0)
		return err_sys(err, -r, "removing images/%s", name);
	if (state_file_forget(rm->home->state, name, &needed, err) < 0) {
		image_file_disown(rm->run, name);
		return -err->code;
	}
	if (!needed)
		r = image_file_delete(rm->run, name, &bytes);
	image_file_disown(rm->run, name);
	rm->bytes += bytes;
	return r < 0 ? err_sys(err, -r, "removing images/%s", name) : 0;
}

static int drop_files(struct removal *rm, const struct image_files *files, struct err *err)
{
	/* The last come first: while a data file is there, so is its tree. */
	for (size_t i = files->n; i-- > 0;) {
		if (removal_drop_file(rm, files->items[i].name, err) < 0)
			return -err->code;
	}
	return 0;
}

int removal_image(struct removal *rm, const char *digest, const char *reference, bool patient,
		  bool *ret_gone, struct err *err)
{
	AUTO(image_files_done) struct image_files files = { 0 };
	bool gone = false;
	int r;

	if (image_own(rm->run, digest, patient, err) < 0)
		return -err->code;
	r = home_image_known(rm->home, digest, &files, err);
	if (r == 0)
		r = state_image_remove(rm->home->state, digest, reference, false, &gone, err);
	image_disown(rm->run, digest);
	if (r == 0 && gone)
		r = drop_files(rm, &files, err);
	if (r == 0)
		*ret_gone = gone;
	return r;
}

/* ---- image rm ----------------------------------------------------------------------------- */

struct users {
	size_t n;
	char names[320]; /* "a, b, c"; cut with "..." */
};

static int add_user(void *user, const char *name)
{
	struct users *u = user;
	size_t len = strlen(u->names);

	u->n++;
	if (len + strlen(name) + sizeof(", ...") < sizeof(u->names))
		(void)snprintf(u->names + len, sizeof(u->names) - len, "%s%s", len ? ", " : "",
			       name);
	else if (len >= 3 && strcmp(u->names + len - 3, "...") != 0)
		(void)snprintf(u->names + len, sizeof(u->names) - len, ", ...");
	return 0;
}

static int in_use(struct home *home, const char *text, const char *digest, struct err *err)
{
	struct err ignored = ERR_INIT;
	struct users u = { 0 };

	IGNORE_RESULT(state_image_users(home->state, digest, add_user, &u, &ignored));
	err_set(err, ERR_BUSY,
		"image %s is used by %zu sandbox%s: %s\n"
		"remove %s first, or only the name: msb image rm -f %s",
		text, u.n, u.n == 1 ? "" : "es", u.names, u.n == 1 ? "it" : "them", text);
	return err_detail(err, ERR_NR_IMAGE_IN_USE, text);
}

static int count_text(void *user, const char *text)
{
	size_t *n = user;

	(void)text;
	(*n)++;
	return 0;
}

int home_image_remove(struct home *home, const char *text, bool force, const struct call *call,
		      struct err *err)
{
	AUTO(removal_close) struct removal rm = { 0 };
	AUTO(state_image_done) struct state_image row = { 0 };
	const char *reference;
	size_t n_names = 0;
	bool gone = false;
	int r = home_image_find(home, text, &row, err);

	if (r == 0)
		r = state_image_refs(home->state, row.manifest_digest, count_text, &n_names, err);
	if (r == 0)
		r = removal_open(home, call, &rm, err);
	if (r != 0)
		return r;
	reference = home_image_is_digest(text) ? NULL : row.reference;
	if (reference && n_names > 1) /* the image stays, so it may be in use */
		return state_image_remove(home->state, row.manifest_digest, reference, true, &gone,
					  err);
	r = removal_image(&rm, row.manifest_digest, reference, true, &gone, err);
	if (r == 0 || (err->code != ERR_BUSY))
		return r;
	if (force)
		return state_image_remove(home->state, row.manifest_digest, reference, true, &gone,
					  err);
	return err->number == ERR_NR_IMAGE_IN_USE ? in_use(home, text, row.manifest_digest, err)
						  : err_detail(err, ERR_NR_BUSY, text);
}

/* ---- sweep --------------------------------------------------------------------------------- */

#define PARTIAL_AGE_S (7ull * 24 * 3600) /* nobody goes on with a download that is older */

struct sweep {
	struct str_list needed; /* sorted */
	struct str_list found;	/* files that no record needs */
};

static void sweep_done_auto(struct sweep *s)
{
	str_list_done(&s->needed);
	str_list_done(&s->found);
}

static int take_needed(void *user, const char *name)
{
	return str_list_add(&((struct sweep *)user)->needed, name);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int take_found(void *user, const char *name)
{
	struct sweep *s = user;

	if (s->needed.n > 0 &&
	    bsearch(&name, s->needed.items, s->needed.n, sizeof(*s->needed.items), compare))
		return 0;
	return str_list_add(&s->found, name);
}

static int find_loose(struct removal *rm, struct sweep *s, struct err *err)
{
	int r = state_file_list(rm->home->state, take_needed, s, err);

	if (r < 0)
		return r;
	r = image_each_file(rm->run, take_found, s);
	return r < 0 ? err_sys(err, -r, "listing the image store") : 0;
}

struct unknown {
	struct state_image *rows; /* owned */
	size_t n;
};

static int take_unknown(void *user, const struct state_image *image)
{
	struct unknown *u = user;
	struct state_image *p = reallocarray(u->rows, u->n + 1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	u->rows = p;
	return state_image_copy(image, &p[u->n]) < 0 ? -ENOMEM : (u->n++, 0);
}

/* Of images that an older version recorded it is not known what they need. */
static int record_unknown(struct removal *rm, const struct call *call, struct err *err)
{
	AUTO(store_run_close) struct store_run *run = NULL;
	struct image_files none = { 0 };
	struct unknown u = { 0 };
	int r = state_image_unknown(rm->home->state, take_unknown, &u, err);

	if (r == 0 && u.n > 0)
		r = store_run_open(rm->home->store, call_cancel(call), &run, err);
	for (size_t i = 0; r == 0 && i < u.n; i++) {
		struct err broken = ERR_INIT;

		/* One that is not whole needs nothing. */
		if (home_image_record_again(rm->home, run, &u.rows[i], &none, &broken) < 0 &&
		    broken.code == ERR_CANCELLED) {
			*err = broken;
			r = -err->code;
		}
	}
	for (size_t i = 0; i < u.n; i++)
		state_image_done(&u.rows[i]);
	free(u.rows);
	return r;
}

int removal_sweep(struct removal *rm, const struct call *call, struct err *err)
{
	AUTO(sweep_done) struct sweep s = { 0 };
	uint64_t bytes = 0;
	int r = record_unknown(rm, call, err);

	if (r == 0)
		r = find_loose(rm, &s, err);
	for (size_t i = 0; r == 0 && i < s.found.n; i++)
		r = removal_drop_file(rm, s.found.items[i], err);
	if (r == 0)
		r = image_clean_old(rm->run, PARTIAL_AGE_S, &bytes, err);
	rm->bytes += bytes;
	return r;
}

int removal_loose_bytes(struct removal *rm, uint64_t *ret_bytes, struct err *err)
{
	AUTO(sweep_done) struct sweep s = { 0 };
	int r = find_loose(rm, &s, err);

	*ret_bytes = 0;
	for (size_t i = 0; r == 0 && i < s.found.n; i++)
		*ret_bytes += image_file_disk(rm->run, s.found.items[i]);
	return r;
}
