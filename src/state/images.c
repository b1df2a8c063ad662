/* SPDX-License-Identifier: Apache-2.0 */
#include "state/internal.h"
#include "state/state.h"

void state_image_done(struct state_image *image)
{
	free(image->reference);
	free(image->manifest_digest);
	free(image->config_digest);
	free(image->created);
	*image = (struct state_image){ 0 };
}

int state_image_put(struct state *state, const struct state_image *image, struct err *err)
{
	AUTO(stmt_close) struct stmt st;

	stmt_open(&st, state,
		  "INSERT INTO images (manifest_digest, config_digest, created, size, loaded_at)"
		  " VALUES (?, ?, ?, ?, ?) ON CONFLICT (manifest_digest) DO UPDATE SET"
		  " config_digest = excluded.config_digest, created = excluded.created,"
		  " size = excluded.size, loaded_at = excluded.loaded_at");
	stmt_text(&st, image->manifest_digest);
	stmt_text(&st, image->config_digest);
	stmt_text(&st, image->created);
	stmt_int(&st, (int64_t)image->size);
	stmt_int(&st, (int64_t)image->loaded_at);
	return stmt_run(&st, "record image", err);
}

int state_ref_put(struct state *state, const char *reference, const char *manifest_digest,
		  struct err *err)
{
	AUTO(stmt_close) struct stmt st;

	stmt_open(&st, state,
		  "INSERT INTO refs (reference, manifest_digest) VALUES (?, ?)"
		  " ON CONFLICT (reference) DO UPDATE SET"
		  " manifest_digest = excluded.manifest_digest");
	stmt_text(&st, reference);
	stmt_text(&st, manifest_digest);
	return stmt_run(&st, "record image name", err);
}

/* Columns: reference, manifest_digest, config_digest, created, size, loaded_at. */
static int take_row(struct stmt *st, struct state_image *image)
{
	image->reference = stmt_column(st, 0);
	image->manifest_digest = stmt_column(st, 1);
	image->config_digest = stmt_column(st, 2);
	image->created = stmt_column(st, 3);
	image->size = (uint64_t)sqlite3_column_int64(st->s, 4);
	image->loaded_at = (uint64_t)sqlite3_column_int64(st->s, 5);
	return st->rc == SQLITE_OK ? 0 : -1;
}

int state_ref_get(struct state *state, const char *reference, struct state_image *ret_image,
		  struct err *err)
{
	AUTO(stmt_close) struct stmt st;
	struct state_image image = { 0 };
	int r;

	stmt_open(&st, state,
		  "SELECT r.reference, i.manifest_digest, i.config_digest, i.created, i.size,"
		  " i.loaded_at FROM refs r JOIN images i USING (manifest_digest)"
		  " WHERE r.reference = ?");
	stmt_text(&st, reference);
	r = stmt_step(&st);
	if (r == 0)
		return err_set(err, ERR_NOT_FOUND, "no image '%s'", reference);
	if (r < 0 || take_row(&st, &image) < 0) {
		state_image_done(&image);
		return stmt_fail(&st, "look up image", err);
	}
	*ret_image = image;
	return 0;
}

int state_image_list(struct state *state, state_image_fn fn, void *user, struct err *err)
{
	AUTO(stmt_close) struct stmt st;
	int r, answer;

	stmt_open(&st, state,
		  "SELECT r.reference, i.manifest_digest, i.config_digest, i.created, i.size,"
		  " i.loaded_at FROM images i LEFT JOIN refs r USING (manifest_digest)"
		  " ORDER BY r.reference IS NULL, r.reference, i.manifest_digest");
	while ((r = stmt_step(&st)) == 1) {
		struct state_image image = { 0 };

		if (take_row(&st, &image) < 0) {
			state_image_done(&image);
			break;
		}
		answer = fn(user, &image);
		state_image_done(&image);
		if (answer < 0)
			return err_sys(err, -answer, "list images");
	}
	return r == 0 ? 0 : stmt_fail(&st, "list images", err);
}
