/* SPDX-License-Identifier: Apache-2.0 */
#include "state/internal.h"
#include "state/state.h"

/*
 * DOC: what images need
 *
 * files has one row for each file of the store that an image was recorded with, image_files says
 * which image needs it.  A row of files that no image needs any more is of no use; it goes with
 * its file.
 */
static bool take_file(struct stmt *st, struct state_file *f)
{
	f->kind = (const char *)sqlite3_column_text(st->s, 0);
	f->name = (const char *)sqlite3_column_text(st->s, 1);
	f->digest = (const char *)sqlite3_column_text(st->s, 2);
	f->size = (uint64_t)sqlite3_column_int64(st->s, 3);
	f->disk = (uint64_t)sqlite3_column_int64(st->s, 4);
	f->inode = (uint64_t)sqlite3_column_int64(st->s, 5);
	f->mtime = sqlite3_column_int64(st->s, 6);
	return f->kind && f->name && f->digest; /* none is null: out of memory then */
}

int state_image_files(struct state *state, const char *manifest_digest, state_file_fn fn,
		      void *user, struct err *err)
{
	AUTO(stmt_close) struct stmt st;
	int r, answer;

	stmt_open(&st, state,
		  "SELECT n.kind, f.name, f.digest, f.size, f.disk, f.inode, f.mtime"
		  " FROM image_files n JOIN files f ON f.id = n.file WHERE n.manifest_digest = ?"
		  " ORDER BY n.position");
	stmt_text(&st, manifest_digest);
	while ((r = stmt_step(&st)) == 1) {
		struct state_file f = { 0 };

		answer = take_file(&st, &f) ? fn(user, &f) : -ENOMEM;
		if (answer < 0)
			return err_sys(err, -answer, "list files of image");
	}
	return r == 0 ? 0 : stmt_fail(&st, "list files of image", err);
}

int state_layer_list(struct state *state, const char *kind, state_layer_fn fn, void *user,
		     struct err *err)
{
	AUTO(stmt_close) struct stmt st;
	int r, answer;

	stmt_open(&st, state,
		  "SELECT n.manifest_digest, f.digest, f.size, EXISTS"
		  " (SELECT 1 FROM image_files o WHERE o.file = n.file"
		  "  AND o.manifest_digest <> n.manifest_digest)"
		  " FROM image_files n JOIN files f ON f.id = n.file WHERE n.kind = ?"
		  " ORDER BY n.manifest_digest, n.position");
	stmt_text(&st, kind);
	while ((r = stmt_step(&st)) == 1) {
		struct state_layer l = {
			.manifest_digest = (const char *)sqlite3_column_text(st.s, 0),
			.digest = (const char *)sqlite3_column_text(st.s, 1),
			.size = (uint64_t)sqlite3_column_int64(st.s, 2),
			.shared = sqlite3_column_int(st.s, 3) != 0,
		};

		answer = l.manifest_digest && l.digest ? fn(user, &l) : -ENOMEM;
		if (answer < 0)
			return err_sys(err, -answer, "list layers");
	}
	return r == 0 ? 0 : stmt_fail(&st, "list layers", err);
}

int state_file_total(struct state *state, uint64_t *ret_bytes, struct err *err)
{
	AUTO(stmt_close) struct stmt st;

	stmt_open(&st, state,
		  "SELECT coalesce(sum(disk), 0) FROM files"
		  " WHERE id IN (SELECT file FROM image_files)");
	if (stmt_step(&st) != 1)
		return stmt_fail(&st, "count files of images", err);
	*ret_bytes = (uint64_t)sqlite3_column_int64(st.s, 0);
	return 0;
}

/* ---- removal -------------------------------------------------------------------------- */

/* One statement with up to two texts; *ret_n is the number of rows that it changed or found. */
static int run(struct state *state, const char *sql, const char *a, const char *b, int *ret_n,
	       struct err *err)
{
	AUTO(stmt_close) struct stmt st;
	int r;

	stmt_open(&st, state, sql);
	stmt_text(&st, a);
	if (b)
		stmt_text(&st, b);
	r = stmt_step(&st);
	if (r < 0)
		return stmt_fail(&st, "remove image", err);
	if (ret_n)
		*ret_n = r == 1 ? 1 : sqlite3_changes(state->db);
	return 0;
}

/* Is there a row? */
static int exists(struct state *state, const char *sql, const char *key, bool *ret, struct err *err)
{
	AUTO(stmt_close) struct stmt st;
	int r;

	stmt_open(&st, state, sql);
	stmt_text(&st, key);
	r = stmt_step(&st);
	*ret = r == 1;
	return r < 0 ? stmt_fail(&st, "remove image", err) : 0;
}

static int remove_names(struct state *state, const char *manifest_digest, const char *reference,
			bool *ret_named, struct err *err)
{
	int r = reference
			? run(state, "DELETE FROM refs WHERE manifest_digest = ? AND reference = ?",
			      manifest_digest, reference, NULL, err)
			: run(state, "DELETE FROM refs WHERE manifest_digest = ?", manifest_digest,
			      NULL, NULL, err);

	return r < 0 ? r
		     : exists(state, "SELECT 1 FROM refs WHERE manifest_digest = ?",
			      manifest_digest, ret_named, err);
}

static int remove_image(struct state *state, const char *manifest_digest, bool *ret_gone,
			struct err *err)
{
	bool used = false;
	int n = 0;

	if (exists(state, "SELECT 1 FROM sandboxes WHERE image_digest = ?", manifest_digest, &used,
		   err) < 0)
		return -err->code;
	if (used) {
		err_set(err, ERR_BUSY, "image %s is used by a sandbox", manifest_digest);
		return err_detail(err, ERR_NR_IMAGE_IN_USE, manifest_digest);
	}
	/* Its rows in image_files go with it. */
	if (run(state, "DELETE FROM images WHERE manifest_digest = ?", manifest_digest, NULL, &n,
		err) < 0)
		return -err->code;
	*ret_gone = n > 0;
	return 0;
}

int state_image_remove(struct state *state, const char *manifest_digest, const char *reference,
		       bool names_only, bool *ret_gone, struct err *err)
{
	AUTO(tx_end) struct tx tx = { 0 };
	bool named = false, gone = false;

	if (tx_begin_durable(&tx, state, err) < 0 ||
	    remove_names(state, manifest_digest, reference, &named, err) < 0)
		return -err->code;
	if (!named && !names_only && remove_image(state, manifest_digest, &gone, err) < 0)
		return -err->code;
	if (tx_commit(&tx, err) < 0)
		return -err->code;
	*ret_gone = gone;
	return 0;
}

int state_images_cost(struct state *state, const char *const *digests, size_t n,
		      uint64_t *ret_bytes, struct err *err)
{
	AUTO(tx_end) struct tx tx = { 0 }; /* nothing of it is kept */
	uint64_t with = 0, without = 0;

	if (tx_begin(&tx, state, err) < 0 || state_file_total(state, &with, err) < 0)
		return -err->code;
	for (size_t i = 0; i < n; i++) {
		if (run(state, "DELETE FROM image_files WHERE manifest_digest = ?", digests[i],
			NULL, NULL, err) < 0)
			return -err->code;
	}
	if (state_file_total(state, &without, err) < 0)
		return -err->code;
	*ret_bytes = with - without;
	return 0;
}

int state_image_spare(struct state *state, const char *manifest_digest, const char *kind,
		      struct err *err)
{
	return run(state, "DELETE FROM image_files WHERE manifest_digest = ? AND kind = ?",
		   manifest_digest, kind, NULL, err);
}

int state_file_forget(struct state *state, const char *name, bool *ret_needed, struct err *err)
{
	AUTO(tx_end) struct tx tx = { 0 };
	bool needed = false;

	if (tx_begin(&tx, state, err) < 0 ||
	    exists(state,
		   "SELECT 1 FROM image_files n JOIN files f ON f.id = n.file WHERE f.name = ?",
		   name, &needed, err) < 0)
		return -err->code;
	if (!needed && run(state, "DELETE FROM files WHERE name = ?", name, NULL, NULL, err) < 0)
		return -err->code;
	if (tx_commit(&tx, err) < 0)
		return -err->code;
	*ret_needed = needed;
	return 0;
}
