/* SPDX-License-Identifier: Apache-2.0 */
#include "state/internal.h"
#include "state/state.h"

void state_sandbox_done(struct state_sandbox *sb)
{
	free(sb->id);
	free(sb->name);
	free(sb->spec);
	free(sb->status);
	free(sb->reason);
	free(sb->image_digest);
	*sb = (struct state_sandbox){ 0 };
}

int state_sandbox_add(struct state *state, const struct state_sandbox *sb, struct err *err)
{
	AUTO(stmt_close) struct stmt st;

	stmt_open(&st, state,
		  "INSERT INTO sandboxes (id, name, spec, status, reason, ephemeral, flushed,"
		  " exit_code, exit_signal, created_at, started_at, ended_at, image_digest)"
		  " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
	stmt_text(&st, sb->id);
	stmt_text(&st, sb->name);
	stmt_text(&st, sb->spec);
	stmt_text(&st, sb->status);
	stmt_text(&st, sb->reason);
	stmt_int(&st, sb->ephemeral);
	stmt_int(&st, sb->flushed);
	stmt_int(&st, sb->exit_code);
	stmt_int(&st, sb->exit_signal);
	stmt_int(&st, (int64_t)sb->created_at);
	stmt_int(&st, (int64_t)sb->started_at);
	stmt_int(&st, (int64_t)sb->ended_at);
	stmt_text(&st, sb->image_digest);
	if (stmt_step(&st) == 0)
		return 0;
	if (sqlite3_extended_errcode(state->db) == SQLITE_CONSTRAINT_FOREIGNKEY)
		return err_set(err, ERR_NOT_FOUND, "the image of '%s' was removed meanwhile",
			       sb->name);
	if (st.rc == SQLITE_CONSTRAINT)
		return err_set(err, ERR_EXISTS, "a sandbox named '%s' already exists", sb->name);
	return stmt_fail(&st, "record sandbox", err);
}

#define COLUMNS                                                                                    \
	"id, name, spec, status, reason, ephemeral, flushed, exit_code, exit_signal,"              \
	" created_at, started_at, ended_at, image_digest"

static int take_row(struct stmt *st, struct state_sandbox *sb)
{
	sb->id = stmt_column(st, 0);
	sb->name = stmt_column(st, 1);
	sb->spec = stmt_column(st, 2);
	sb->status = stmt_column(st, 3);
	sb->reason = stmt_column(st, 4);
	sb->ephemeral = sqlite3_column_int(st->s, 5) != 0;
	sb->flushed = sqlite3_column_int(st->s, 6) != 0;
	sb->exit_code = sqlite3_column_int(st->s, 7);
	sb->exit_signal = sqlite3_column_int(st->s, 8);
	sb->created_at = (uint64_t)sqlite3_column_int64(st->s, 9);
	sb->started_at = (uint64_t)sqlite3_column_int64(st->s, 10);
	sb->ended_at = (uint64_t)sqlite3_column_int64(st->s, 11);
	sb->image_digest = stmt_column(st, 12);
	return st->rc == SQLITE_OK ? 0 : -1;
}

static int get(struct state *state, const char *sql, const char *key, struct state_sandbox *ret_sb,
	       struct err *err)
{
	AUTO(stmt_close) struct stmt st;
	struct state_sandbox sb = { 0 };
	int r;

	stmt_open(&st, state, sql);
	stmt_text(&st, key);
	r = stmt_step(&st);
	if (r == 0)
		return err_set(err, ERR_NOT_FOUND, "no sandbox named '%s'", key);
	if (r < 0 || take_row(&st, &sb) < 0) {
		state_sandbox_done(&sb);
		return stmt_fail(&st, "look up sandbox", err);
	}
	*ret_sb = sb;
	return 0;
}

int state_sandbox_by_id(struct state *state, const char *id, struct state_sandbox *ret_sb,
			struct err *err)
{
	return get(state, "SELECT " COLUMNS " FROM sandboxes WHERE id = ?", id, ret_sb, err);
}

int state_sandbox_by_name(struct state *state, const char *name, struct state_sandbox *ret_sb,
			  struct err *err)
{
	return get(state, "SELECT " COLUMNS " FROM sandboxes WHERE name = ?", name, ret_sb, err);
}

int state_sandbox_find(struct state *state, const char *name_or_id, struct state_sandbox *ret_sb,
		       struct err *err)
{
	return get(state,
		   "SELECT " COLUMNS " FROM sandboxes WHERE name = ?1 OR id = ?1"
		   " ORDER BY name = ?1 DESC LIMIT 1",
		   name_or_id, ret_sb, err);
}

int state_sandbox_claim(struct state *state, const char *id, uint64_t now, struct err *err)
{
	AUTO(stmt_close) struct stmt st;

	stmt_open(&st, state,
		  "UPDATE sandboxes SET status = 'starting', reason = NULL, flushed = 0,"
		  " exit_code = -1, exit_signal = 0, started_at = ?, ended_at = 0"
		  " WHERE id = ? AND status IN ('created', 'stopped', 'crashed')");
	stmt_int(&st, (int64_t)now);
	stmt_text(&st, id);
	if (stmt_step(&st) < 0)
		return stmt_fail(&st, "claim sandbox", err);
	if (sqlite3_changes(state->db) == 1)
		return 0;
	return err_set(err, ERR_BUSY, "sandbox '%s' is running, being started or removed", id);
}

/* What keeps an update from finding its row: it is missing, or in another state. */
static int not_updated(struct state *state, const char *id, const char *busy, struct err *err)
{
	struct state_sandbox sb = { 0 };
	int r = state_sandbox_by_id(state, id, &sb, err);

	state_sandbox_done(&sb);
	if (r < 0 || !busy)
		return r;
	return err_set(err, ERR_BUSY, "sandbox '%s' %s", id, busy);
}

int state_sandbox_set_status(struct state *state, const char *id, const char *status,
			     struct err *err)
{
	AUTO(stmt_close) struct stmt st;

	stmt_open(&st, state,
		  "UPDATE sandboxes SET status = ? WHERE id = ?"
		  " AND status IN ('starting', 'running')");
	stmt_text(&st, status);
	stmt_text(&st, id);
	if (stmt_step(&st) < 0)
		return stmt_fail(&st, "record status", err);
	return sqlite3_changes(state->db) == 1 ? 0 : not_updated(state, id, NULL, err);
}

int state_sandbox_rename(struct state *state, const char *id, const char *name, const char *spec,
			 struct err *err)
{
	AUTO(stmt_close) struct stmt st;

	stmt_open(&st, state,
		  "UPDATE sandboxes SET name = ?, spec = ? WHERE id = ?"
		  " AND status NOT IN ('starting', 'running')");
	stmt_text(&st, name);
	stmt_text(&st, spec);
	stmt_text(&st, id);
	if (stmt_step(&st) < 0)
		return st.rc == SQLITE_CONSTRAINT
			       ? err_set(err, ERR_EXISTS, "a sandbox named '%s' already exists",
					 name)
			       : stmt_fail(&st, "rename sandbox", err);
	return sqlite3_changes(state->db) == 1 ? 0 : not_updated(state, id, "is running", err);
}

int state_sandbox_set_end(struct state *state, const struct state_sandbox *sb, struct err *err)
{
	AUTO(stmt_close) struct stmt st;

	stmt_open(&st, state,
		  "UPDATE sandboxes SET status = ?, reason = ?, flushed = ?, exit_code = ?,"
		  " exit_signal = ?, ended_at = ? WHERE id = ?"
		  " AND status IN ('starting', 'running') AND ? IN (0, started_at)");
	stmt_text(&st, sb->status);
	stmt_text(&st, sb->reason);
	stmt_int(&st, sb->flushed);
	stmt_int(&st, sb->exit_code);
	stmt_int(&st, sb->exit_signal);
	stmt_int(&st, (int64_t)sb->ended_at);
	stmt_text(&st, sb->id);
	stmt_int(&st, (int64_t)sb->started_at);
	return stmt_run(&st, "record end", err);
}

int state_sandbox_set_image(struct state *state, const char *id, const char *image_digest,
			    struct err *err)
{
	AUTO(stmt_close) struct stmt st;

	stmt_open(&st, state,
		  "UPDATE sandboxes SET image_digest = ? WHERE id = ? AND image_digest IS NULL");
	stmt_text(&st, image_digest);
	stmt_text(&st, id);
	return stmt_run(&st, "record image of sandbox", err);
}

int state_sandbox_remove(struct state *state, const char *id, struct err *err)
{
	AUTO(stmt_close) struct stmt st;

	stmt_open(&st, state, "DELETE FROM sandboxes WHERE id = ?");
	stmt_text(&st, id);
	return stmt_run(&st, "remove sandbox", err);
}

static int list(struct state *state, const char *sql, state_sandbox_fn fn, void *user,
		struct err *err)
{
	AUTO(stmt_close) struct stmt st;
	int r, answer;

	stmt_open(&st, state, sql);
	while ((r = stmt_step(&st)) == 1) {
		struct state_sandbox sb = { 0 };

		if (take_row(&st, &sb) < 0) {
			state_sandbox_done(&sb);
			break;
		}
		answer = fn(user, &sb);
		state_sandbox_done(&sb);
		if (answer < 0)
			return err_sys(err, -answer, "list sandboxes");
	}
	return r == 0 ? 0 : stmt_fail(&st, "list sandboxes", err);
}

int state_sandbox_list(struct state *state, state_sandbox_fn fn, void *user, struct err *err)
{
	return list(state, "SELECT " COLUMNS " FROM sandboxes ORDER BY name", fn, user, err);
}

int state_sandbox_list_up(struct state *state, state_sandbox_fn fn, void *user, struct err *err)
{
	return list(state,
		    "SELECT " COLUMNS " FROM sandboxes WHERE status IN ('starting', 'running')", fn,
		    user, err);
}
