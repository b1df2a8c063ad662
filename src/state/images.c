/* SPDX-License-Identifier: Apache-2.0 */
#include "state/internal.h"
#include "state/state.h"

void state_image_done(struct state_image *image)
{
	free(image->reference);
	free(image->manifest_digest);
	free(image->config_digest);
	free(image->created);
	free(image->platform);
	*image = (struct state_image){ 0 };
}

static char *copy(const char *text, bool *failed)
{
	char *c = text ? strdup(text) : NULL;

	*failed |= text && !c;
	return c;
}

int state_image_copy(const struct state_image *image, struct state_image *ret_copy)
{
	struct state_image c = *image;
	bool failed = false;

	c.reference = copy(image->reference, &failed);
	c.manifest_digest = copy(image->manifest_digest, &failed);
	c.config_digest = copy(image->config_digest, &failed);
	c.created = copy(image->created, &failed);
	c.platform = copy(image->platform, &failed);
	if (failed) {
		state_image_done(&c);
		return -ENOMEM;
	}
	*ret_copy = c;
	return 0;
}

/* ---- recording ------------------------------------------------------------------------ */

static int put_image(struct state *state, const struct state_image *image, struct err *err)
{
	AUTO(stmt_close) struct stmt st;

	stmt_open(&st, state,
		  "INSERT INTO images (manifest_digest, config_digest, created, platform, size,"
		  " loaded_at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (manifest_digest) DO UPDATE"
		  " SET config_digest = excluded.config_digest, created = excluded.created,"
		  " platform = excluded.platform, size = excluded.size,"
		  " loaded_at = excluded.loaded_at");
	stmt_text(&st, image->manifest_digest);
	stmt_text(&st, image->config_digest);
	stmt_text(&st, image->created);
	stmt_text(&st, image->platform);
	stmt_int(&st, (int64_t)image->size);
	stmt_int(&st, (int64_t)image->loaded_at);
	return stmt_run(&st, "record image", err);
}

static int forget_needs(struct state *state, const char *manifest_digest, struct err *err)
{
	AUTO(stmt_close) struct stmt st;

	stmt_open(&st, state, "DELETE FROM image_files WHERE manifest_digest = ?");
	stmt_text(&st, manifest_digest);
	return stmt_run(&st, "record files of image", err);
}

static int put_file(struct stmt *st, const struct state_file *f, int64_t *ret_id, struct err *err)
{
	int r;

	stmt_text(st, f->name);
	stmt_text(st, f->digest);
	stmt_int(st, (int64_t)f->size);
	stmt_int(st, (int64_t)f->disk);
	stmt_int(st, (int64_t)f->inode);
	stmt_int(st, f->mtime);
	r = stmt_step(st);
	if (r == 1) {
		*ret_id = sqlite3_column_int64(st->s, 0);
		r = stmt_step(st);
	}
	return r == 0 ? 0 : stmt_fail(st, "record file of image", err);
}

static int put_files(struct state *state, const char *manifest_digest,
		     const struct state_file *files, size_t n_files, struct err *err)
{
	AUTO(stmt_close) struct stmt file;
	AUTO(stmt_close) struct stmt need;

	stmt_open(&file, state,
		  "INSERT INTO files (name, digest, size, disk, inode, mtime)"
		  " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
		  " digest = excluded.digest, size = excluded.size, disk = excluded.disk,"
		  " inode = excluded.inode, mtime = excluded.mtime RETURNING id");
	stmt_open(&need, state,
		  "INSERT INTO image_files (manifest_digest, position, kind, file)"
		  " VALUES (?, ?, ?, ?)");
	for (size_t i = 0; i < n_files; i++) {
		int64_t id = 0;

		stmt_again(&file);
		stmt_again(&need);
		if (put_file(&file, &files[i], &id, err) < 0)
			return -err->code;
		stmt_text(&need, manifest_digest);
		stmt_int(&need, (int64_t)i);
		stmt_text(&need, files[i].kind);
		stmt_int(&need, id);
		if (stmt_run(&need, "record files of image", err) < 0)
			return -err->code;
	}
	return 0;
}

static int put_ref(struct state *state, const char *reference, const char *manifest_digest,
		   struct err *err)
{
	AUTO(stmt_close) struct stmt st;

	stmt_open(&st, state,
		  "INSERT INTO refs (reference, manifest_digest) VALUES (?, ?)"
		  " ON CONFLICT (reference) DO UPDATE SET"
		  " manifest_digest = excluded.manifest_digest");
	stmt_text(&st, reference);
	stmt_text(&st, manifest_digest);
	if (stmt_step(&st) == 0)
		return 0;
	if (st.rc == SQLITE_CONSTRAINT)
		return err_set(err, ERR_NOT_FOUND, "no image %s", manifest_digest);
	return stmt_fail(&st, "record image name", err);
}

int state_image_put(struct state *state, const struct state_image *image,
		    const char *const *references, const struct state_file *files, size_t n_files,
		    struct err *err)
{
	AUTO(tx_end) struct tx tx = { 0 };

	if (tx_begin(&tx, state, err) < 0 || put_image(state, image, err) < 0 ||
	    forget_needs(state, image->manifest_digest, err) < 0 ||
	    put_files(state, image->manifest_digest, files, n_files, err) < 0)
		return -err->code;
	for (; references && *references; references++) {
		if (put_ref(state, *references, image->manifest_digest, err) < 0)
			return -err->code;
	}
	return tx_commit(&tx, err);
}

int state_ref_put(struct state *state, const char *reference, const char *manifest_digest,
		  struct err *err)
{
	return put_ref(state, reference, manifest_digest, err);
}

int state_image_used(struct state *state, const char *manifest_digest, uint64_t at, struct err *err)
{
	AUTO(stmt_close) struct stmt st;

	stmt_open(&st, state, "UPDATE images SET used_at = ? WHERE manifest_digest = ?");
	stmt_int(&st, (int64_t)at);
	stmt_text(&st, manifest_digest);
	return stmt_run(&st, "record use of image", err);
}

/* ---- looking up ----------------------------------------------------------------------- */

#define COLUMNS                                                                                    \
	"i.manifest_digest, i.config_digest, i.created, i.platform, i.size, i.loaded_at,"          \
	" i.used_at,"                                                                              \
	" (SELECT count(*) FROM sandboxes s WHERE s.image_digest = i.manifest_digest)"
#define FIRST_NAME                                                                                 \
	"(SELECT min(n.reference) FROM refs n WHERE n.manifest_digest = i.manifest_digest)"

static int take_row(struct stmt *st, struct state_image *image)
{
	image->reference = stmt_column(st, 0);
	image->manifest_digest = stmt_column(st, 1);
	image->config_digest = stmt_column(st, 2);
	image->created = stmt_column(st, 3);
	image->platform = stmt_column(st, 4);
	image->size = (uint64_t)sqlite3_column_int64(st->s, 5);
	image->loaded_at = (uint64_t)sqlite3_column_int64(st->s, 6);
	image->used_at = (uint64_t)sqlite3_column_int64(st->s, 7);
	image->used_by = (unsigned)sqlite3_column_int64(st->s, 8);
	return st->rc == SQLITE_OK ? 0 : -1;
}

static int get(struct state *state, const char *sql, const char *key, struct state_image *ret_image,
	       struct err *err)
{
	AUTO(stmt_close) struct stmt st;
	struct state_image image = { 0 };
	int r;

	stmt_open(&st, state, sql);
	stmt_text(&st, key);
	r = stmt_step(&st);
	if (r == 0)
		return err_set(err, ERR_NOT_FOUND, "no image '%s'", key);
	if (r < 0 || take_row(&st, &image) < 0) {
		state_image_done(&image);
		return stmt_fail(&st, "look up image", err);
	}
	*ret_image = image;
	return 0;
}

int state_ref_get(struct state *state, const char *reference, struct state_image *ret_image,
		  struct err *err)
{
	return get(state,
		   "SELECT r.reference, " COLUMNS
		   " FROM refs r JOIN images i USING (manifest_digest) WHERE r.reference = ?",
		   reference, ret_image, err);
}

int state_image_get(struct state *state, const char *manifest_digest, struct state_image *ret_image,
		    struct err *err)
{
	return get(state,
		   "SELECT " FIRST_NAME ", " COLUMNS " FROM images i WHERE i.manifest_digest = ?",
		   manifest_digest, ret_image, err);
}

static int each_image(struct stmt *st, state_image_fn fn, void *user, struct err *err)
{
	int r, answer;

	while ((r = stmt_step(st)) == 1) {
		struct state_image image = { 0 };

		if (take_row(st, &image) < 0) {
			state_image_done(&image);
			break;
		}
		answer = fn(user, &image);
		state_image_done(&image);
		if (answer < 0)
			return err_sys(err, -answer, "list images");
	}
	return r == 0 ? 0 : stmt_fail(st, "list images", err);
}

int state_image_list(struct state *state, state_image_fn fn, void *user, struct err *err)
{
	AUTO(stmt_close) struct stmt st;

	stmt_open(&st, state,
		  "SELECT r.reference, " COLUMNS
		  " FROM images i LEFT JOIN refs r USING (manifest_digest)"
		  " ORDER BY r.reference IS NULL, r.reference, i.manifest_digest");
	return each_image(&st, fn, user, err);
}

int state_image_find(struct state *state, const char *prefix, state_image_fn fn, void *user,
		     struct err *err)
{
	AUTO(stmt_close) struct stmt st;

	/* 'g' comes after all hex digits; the ranges use the indexes. */
	stmt_open(&st, state,
		  "SELECT " FIRST_NAME ", " COLUMNS
		  " FROM images i WHERE (i.manifest_digest >= ?1 AND i.manifest_digest < ?1 || 'g')"
		  " OR (i.config_digest >= ?1 AND i.config_digest < ?1 || 'g')"
		  " ORDER BY i.manifest_digest");
	stmt_text(&st, prefix);
	return each_image(&st, fn, user, err);
}

int state_image_unused(struct state *state, state_image_fn fn, void *user, struct err *err)
{
	AUTO(stmt_close) struct stmt st;

	stmt_open(&st, state,
		  "SELECT " FIRST_NAME ", " COLUMNS " FROM images i WHERE NOT EXISTS"
		  " (SELECT 1 FROM sandboxes s WHERE s.image_digest = i.manifest_digest)"
		  " ORDER BY max(i.used_at, i.loaded_at), i.manifest_digest");
	return each_image(&st, fn, user, err);
}

int state_image_having(struct state *state, const char *kind, state_image_fn fn, void *user,
		       struct err *err)
{
	AUTO(stmt_close) struct stmt st;

	stmt_open(&st, state,
		  "SELECT " FIRST_NAME ", " COLUMNS " FROM images i WHERE EXISTS"
		  " (SELECT 1 FROM image_files f WHERE f.manifest_digest = i.manifest_digest"
		  "  AND f.kind = ?) ORDER BY max(i.used_at, i.loaded_at), i.manifest_digest");
	stmt_text(&st, kind);
	return each_image(&st, fn, user, err);
}

int state_image_unknown(struct state *state, state_image_fn fn, void *user, struct err *err)
{
	AUTO(stmt_close) struct stmt st;

	stmt_open(&st, state,
		  "SELECT NULL, " COLUMNS " FROM images i WHERE NOT EXISTS"
		  " (SELECT 1 FROM image_files f WHERE f.manifest_digest = i.manifest_digest)");
	return each_image(&st, fn, user, err);
}

static int each_text(struct stmt *st, state_text_fn fn, void *user, const char *what,
		     struct err *err)
{
	int r, answer;

	while ((r = stmt_step(st)) == 1) {
		const char *text = (const char *)sqlite3_column_text(st->s, 0);

		answer = text ? fn(user, text) : -ENOMEM;
		if (answer < 0)
			return err_sys(err, -answer, "%s", what);
	}
	return r == 0 ? 0 : stmt_fail(st, what, err);
}

int state_image_refs(struct state *state, const char *manifest_digest, state_text_fn fn, void *user,
		     struct err *err)
{
	AUTO(stmt_close) struct stmt st;

	stmt_open(&st, state,
		  "SELECT reference FROM refs WHERE manifest_digest = ? ORDER BY reference");
	stmt_text(&st, manifest_digest);
	return each_text(&st, fn, user, "list names of image", err);
}

int state_image_users(struct state *state, const char *manifest_digest, state_text_fn fn,
		      void *user, struct err *err)
{
	AUTO(stmt_close) struct stmt st;

	stmt_open(&st, state, "SELECT name FROM sandboxes WHERE image_digest = ? ORDER BY name");
	stmt_text(&st, manifest_digest);
	return each_text(&st, fn, user, "list users of image", err);
}

int state_file_list(struct state *state, state_text_fn fn, void *user, struct err *err)
{
	AUTO(stmt_close) struct stmt st;

	stmt_open(&st, state,
		  "SELECT name FROM files WHERE id IN (SELECT file FROM image_files)"
		  " ORDER BY name");
	return each_text(&st, fn, user, "list files of images", err);
}
