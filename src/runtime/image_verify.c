/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "runtime/internal.h"

/* The image that @text names, held by @run. */
static int hold(struct home *home, struct store_run *run, const char *text, struct state_image *row,
		struct err *err)
{
	int r = home_image_find(home, text, row, err);

	if (r == 0)
		r = image_hold(run, row->manifest_digest, err);
	return r < 0 ? r : home_image_still_there(home, text, row, err);
}

int home_image_tag(struct home *home, const char *text, const char *name, struct err *err)
{
	AUTO(store_run_close) struct store_run *run = NULL;
	AUTO(state_image_done) struct state_image row = { 0 };
	AUTO_FREE char *full = NULL;
	int r = image_ref_parse(name, &full, err);

	if (r < 0)
		return err_detail(err, err->number, name);
	if (strchr(full, '@')) {
		err_set(err, ERR_INVALID, "'%s' has a digest, which no name can change", name);
		return err_detail(err, ERR_NR_NONE, name);
	}
	r = store_run_open(home->store, NULL, &run, err);
	if (r == 0)
		r = hold(home, run, text, &row, err);
	return r < 0 ? r : state_ref_put(home->state, full, row.manifest_digest, err);
}

static const char *const pieces[] = {
	[PIECE_GOOD] = "good",
	[PIECE_REBUILT] = "rebuilt",
	[PIECE_BAD] = "bad",
	[PIECE_MISSING] = "missing",
};
static_assert(sizeof(pieces) / sizeof(pieces[0]) == PIECE_MAX, "pieces[]");

struct report {
	struct json_out *o;
	bool good, rebuilt;
};

static void put_piece(void *user, const struct image_file *f, enum image_piece piece)
{
	struct report *report = user;
	struct json_out *o = report->o;

	json_put_object(o, NULL);
	json_put_str(o, "kind", image_file_kind_name(f->kind));
	json_put_str(o, "file", f->name);
	json_put_str(o, "digest", f->digest);
	json_put_u64(o, "size_bytes", f->size);
	json_put_str(o, "state", pieces[piece]);
	json_put_end(o);
	report->good &= piece == PIECE_GOOD || piece == PIECE_REBUILT;
	report->rebuilt |= piece == PIECE_REBUILT;
}

static int verify(struct home *home, struct store_run *run, struct state_image *row,
		  struct report *report, struct err *err)
{
	AUTO(image_files_done) struct image_files known = { 0 };
	int r = home_image_known(home, row->manifest_digest, &known, err);

	if (r == 0)
		r = image_verify(run, row->manifest_digest, known.n > 0 ? &known : NULL, put_piece,
				 report, err);
	/* Times and inode numbers of what is good, too: a home may have been copied. */
	if (r == 0 && report->good)
		r = home_image_record_again(home, run, row, &known, err);
	return r;
}

int home_image_verify(struct home *home, const char *text, const struct call *call, char **ret_json,
		      struct err *err)
{
	AUTO(store_run_close) struct store_run *run = NULL;
	AUTO(state_image_done) struct state_image row = { 0 };
	AUTO(buf_done) struct buf b = { 0 };
	struct json_out o;
	struct report report = { .o = &o, .good = true };
	int r = store_run_open(home->store, call_cancel(call), &run, err);

	if (r == 0)
		r = hold(home, run, text, &row, err);
	if (r < 0)
		return r;
	buf_init(&b, LIST_MAX);
	json_out_init(&o, &b);
	json_put_object(&o, NULL);
	json_put_str(&o, "reference", row.reference);
	json_put_str(&o, "digest", row.manifest_digest);
	json_put_array(&o, "files");
	r = verify(home, run, &row, &report, err);
	json_put_end(&o);
	json_put_bool(&o, "good", report.good);
	json_put_end(&o);
	if (r < 0)
		return r;
	return json_out_end(&o) < 0 ? err_no_memory(err) : take_json(&b, ret_json, err);
}
