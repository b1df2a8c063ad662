/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/internal.h"

struct nearest {
	const char *wanted;
	char found[IMAGE_NAME_SHOWN];
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

bool home_image_nearest(struct home *home, const char *full, char ret_name[IMAGE_NAME_SHOWN])
{
	struct nearest n = { .wanted = full };
	struct err ignored = ERR_INIT;

	IGNORE_RESULT(state_image_list(home->state, look_near, &n, &ignored));
	(void)snprintf(ret_name, IMAGE_NAME_SHOWN, "%s", n.found);
	return n.found[0];
}

static int no_image(struct home *home, const char *text, const char *full, struct err *err)
{
	char found[IMAGE_NAME_SHOWN];

	if (home_image_nearest(home, full, found))
		err_set(err, ERR_NOT_FOUND, "no image '%s'; did you mean '%s'?", text, found);
	else
		err_set(err, ERR_NOT_FOUND, "no image '%s'", text);
	return err_detail(err, ERR_NR_IMAGE_NOT_FOUND, text);
}

/*
 * An image that is delivered with the program: images/NAME.tar beside msb-sandbox stands for
 * docker.io/library/NAME:latest until something else has that name.
 * Return: 1 if it was brought in, 0 if there is none, negative with *err set.
 */
static int load_builtin(struct home *home, const char *full, const struct call *call,
			struct err *err)
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
	return home_image_load(home, fd, path, full, call, &json, err) < 0 ? -(int)err->code : 1;
}

/* ---- what a text means ------------------------------------------------------------------- */

#define DIGEST_PREFIX "sha256:"
#define DIGEST_DIGITS 64 /* of a whole one */
#define SHORT_DIGITS  12 /* at least, of a shortened one */
#define LISTED_MAX    4	 /* images that an error names */

struct matches {
	struct state_image first; /* owned */
	size_t n;
	char names[320]; /* ", sha256:... (python:3.12)" of the first ones */
};

static int take_match(void *user, const struct state_image *image)
{
	struct matches *m = user;
	AUTO_FREE char *name = image->reference ? image_ref_short(image->reference) : NULL;
	size_t len = strlen(m->names);

	if (m->n++ < LISTED_MAX)
		(void)snprintf(m->names + len, sizeof(m->names) - len, "%s%.*s%s%.40s%s",
			       len ? ", " : "", (int)strlen(DIGEST_PREFIX) + 20,
			       image->manifest_digest, name ? " (" : "", name ? name : "",
			       name ? ")" : "");
	if (m->n > 1)
		return 0;
	return state_image_copy(image, &m->first);
}

static int find_by_digest(struct home *home, const char *text, struct state_image *ret_image,
			  struct err *err)
{
	const char *hex = text + strlen(DIGEST_PREFIX);
	size_t n = strlen(hex);
	struct matches m = { 0 };
	int r;

	if (n < SHORT_DIGITS || n > DIGEST_DIGITS || strspn(hex, "0123456789abcdef") != n) {
		err_set(err, ERR_INVALID,
			"'%s' is no digest; write sha256: and at least %d of its %d digits", text,
			SHORT_DIGITS, DIGEST_DIGITS);
		return err_detail(err, ERR_NR_NONE, text);
	}
	r = state_image_find(home->state, text, take_match, &m, err);
	if (r == 0 && m.n == 0)
		r = no_image(home, text, text, err);
	if (r == 0 && m.n > 1) {
		err_set(err, ERR_INVALID, "'%s' stands for %zu images: %s%s", text, m.n, m.names,
			m.n > LISTED_MAX ? ", ..." : "");
		r = err_detail(err, ERR_NR_NONE, text);
	}
	if (r < 0) {
		state_image_done(&m.first);
		return r;
	}
	*ret_image = m.first;
	return 0;
}

bool home_image_is_digest(const char *text)
{
	return strncmp(text, DIGEST_PREFIX, strlen(DIGEST_PREFIX)) == 0;
}

int home_image_find(struct home *home, const char *text, struct state_image *ret_image,
		    struct err *err)
{
	AUTO_FREE char *full = NULL;
	int r;

	if (home_image_is_digest(text))
		return find_by_digest(home, text, ret_image, err);
	r = image_ref_parse(text, &full, err);
	if (r < 0)
		return err_detail(err, err->number, text);
	r = state_ref_get(home->state, full, ret_image, err);
	if (r < 0 && err->code == ERR_NOT_FOUND)
		return no_image(home, text, full, err);
	return r;
}

/* ---- for a start -------------------------------------------------------------------------- */

#define USE_INTERVAL_NS (3600 * NS_PER_S) /* between two notes of use, which cost a write */

int home_image_find_or_load(struct home *home, const char *text, const struct call *call,
			    struct state_image *ret_row, struct err *err)
{
	struct err loading = ERR_INIT;
	AUTO_FREE char *full = NULL;
	int r = home_image_find(home, text, ret_row, err);

	if (r == 0 || err->number != ERR_NR_IMAGE_NOT_FOUND ||
	    image_ref_parse(text, &full, &loading) < 0)
		return r;
	r = load_builtin(home, full, call, &loading);
	if (r == 0)
		return -(int)err->code;
	*err = loading;
	return r < 0 ? r : home_image_find(home, text, ret_row, err);
}

int home_image_still_there(struct home *home, const char *text, struct state_image *row,
			   struct err *err)
{
	AUTO_FREE char *digest = TAKE_PTR(row->manifest_digest);
	int r;

	state_image_done(row);
	r = state_image_get(home->state, digest, row, err);
	return r < 0 && err->code == ERR_NOT_FOUND ? no_image(home, text, text, err) : r;
}

static int open_recorded(struct home *home, struct store_run *run, struct state_image *row,
			 struct image **ret_image, struct err *err)
{
	AUTO(image_files_done) struct image_files known = { 0 };
	AUTO(image_free) struct image *image = NULL;
	uint64_t now = clock_wall_ns();
	int r = home_image_known(home, row->manifest_digest, &known, err);

	if (r == 0)
		r = image_open(run, row->manifest_digest, known.n > 0 ? &known : NULL, &image, err);
	if (r == 0 && (image->renewed || known.n == 0))
		r = home_image_record_again(home, run, row, &known, err);
	if (r == 0 && now - row->used_at > USE_INTERVAL_NS)
		r = state_image_used(home->state, row->manifest_digest, now, err);
	if (r == 0)
		*ret_image = TAKE_PTR(image);
	return r;
}

static int cannot_open(const char *text, struct err *err)
{
	size_t len;

	err_wrap(err, "image '%s'", text);
	len = strlen(err->msg);
	if (strcmp(err->reason, "image-corrupt") == 0)
		(void)snprintf(err->msg + len, sizeof(err->msg) - len,
			       "\nbring it in again: msb pull -f %s, or msb load -i FILE", text);
	return err_detail(err, err->number ? err->number : ERR_NR_IMAGE, text);
}

int home_image_open(struct home *home, struct store_run *run, const char *text,
		    const struct pull_how *how, const struct call *call, struct image **ret_image,
		    char **ret_digest, struct err *err)
{
	AUTO_FREE char *imported = NULL;
	struct state_image row = { 0 };
	int r = import_image(home, run, text, &imported, err);

	if (r > 0)
		r = home_image_find(home, imported, &row, err);
	else if (r == 0)
		r = home_image_get(home, text, how, call, &row, NULL, err);
	if (r == 0)
		r = image_hold(run, row.manifest_digest, err);
	if (r == 0)
		r = home_image_still_there(home, text, &row, err);
	if (r == 0) {
		r = open_recorded(home, run, &row, ret_image, err);
		if (r < 0)
			r = cannot_open(text, err);
	}
	if (r == 0)
		*ret_digest = TAKE_PTR(row.manifest_digest);
	state_image_done(&row);
	return r;
}
