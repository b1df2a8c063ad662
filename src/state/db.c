/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: the database
 *
 * One file, MSB_HOME/db, in WAL mode: readers never wait for a writer.  PRAGMA user_version is
 * the number of migrations that were applied; each is applied in one transaction.  Statements
 * are always prepared and values always bound.
 *
 * A close moves nothing from the log (db-wal) into the database, so that a short-lived process does
 * not wait for the disk and the next one does not begin a new log.  The writer that makes the log
 * longer than WAL_MAX_PAGES moves it, so the files db-wal and db-shm stay.
 */
#include <stdio.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "state/internal.h"
#include "state/state.h"

#define WAL_MAX_PAGES	100 /* of 4 KiB; read again by the first process that opens the home */
#define BUSY_PAUSE_MS	10
#define BUSY_TIMEOUT_MS 30000 /* for writers of other processes: SQLite wakes them in no order */

static const char *const migrations[] = {
	"CREATE TABLE images ("
	"  manifest_digest TEXT PRIMARY KEY, config_digest TEXT NOT NULL, created TEXT,"
	"  size INTEGER NOT NULL, loaded_at INTEGER NOT NULL) STRICT;"
	"CREATE TABLE refs ("
	"  reference TEXT PRIMARY KEY,"
	"  manifest_digest TEXT NOT NULL REFERENCES images (manifest_digest)) STRICT;"
	"CREATE INDEX refs_by_image ON refs (manifest_digest);"
	"CREATE TABLE sandboxes ("
	"  id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, spec TEXT NOT NULL,"
	"  status TEXT NOT NULL, reason TEXT, ephemeral INTEGER NOT NULL,"
	"  flushed INTEGER NOT NULL, exit_code INTEGER NOT NULL, exit_signal INTEGER NOT NULL,"
	"  created_at INTEGER NOT NULL, started_at INTEGER NOT NULL,"
	"  ended_at INTEGER NOT NULL) STRICT;",
	/* What each image needs of the store; a sandbox keeps the image it was created with. */
	"ALTER TABLE images ADD COLUMN platform TEXT;"
	"ALTER TABLE images ADD COLUMN used_at INTEGER NOT NULL DEFAULT 0;"
	"CREATE INDEX images_by_config ON images (config_digest);"
	"CREATE TABLE files ("
	"  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, digest TEXT NOT NULL,"
	"  size INTEGER NOT NULL, disk INTEGER NOT NULL, inode INTEGER NOT NULL,"
	"  mtime INTEGER NOT NULL) STRICT;"
	"CREATE TABLE image_files ("
	"  manifest_digest TEXT NOT NULL REFERENCES images (manifest_digest) ON DELETE CASCADE,"
	"  position INTEGER NOT NULL, kind TEXT NOT NULL,"
	"  file INTEGER NOT NULL REFERENCES files (id),"
	"  PRIMARY KEY (manifest_digest, position)) STRICT, WITHOUT ROWID;"
	"CREATE INDEX image_files_by_file ON image_files (file);"
	"ALTER TABLE sandboxes ADD COLUMN image_digest TEXT REFERENCES images (manifest_digest);"
	"CREATE INDEX sandboxes_by_image ON sandboxes (image_digest);",
};
#define N_MIGRATIONS ((int)(sizeof(migrations) / sizeof(migrations[0])))

void stmt_open(struct stmt *st, struct state *state, const char *sql)
{
	*st = (struct stmt){ .state = state, .next = 1 };
	(void)pthread_mutex_lock(&state->lock);
	st->rc = sqlite3_prepare_v2(state->db, sql, -1, &st->s, NULL);
}

void stmt_close(struct stmt *st)
{
	if (!st->state)
		return;
	(void)sqlite3_finalize(st->s);
	(void)pthread_mutex_unlock(&st->state->lock);
	st->state = NULL;
}

void stmt_text(struct stmt *st, const char *text)
{
	if (st->rc == SQLITE_OK)
		st->rc = sqlite3_bind_text(st->s, st->next++, text, -1, SQLITE_STATIC);
}

void stmt_int(struct stmt *st, int64_t n)
{
	if (st->rc == SQLITE_OK)
		st->rc = sqlite3_bind_int64(st->s, st->next++, n);
}

int stmt_step(struct stmt *st)
{
	int rc;

	if (st->rc != SQLITE_OK)
		return -1;
	rc = sqlite3_step(st->s);
	if (rc == SQLITE_ROW)
		return 1;
	if (rc == SQLITE_DONE)
		return 0;
	st->rc = rc;
	return -1;
}

void stmt_again(struct stmt *st)
{
	if (st->s)
		(void)sqlite3_reset(st->s);
	st->next = 1;
}

int stmt_fail(struct stmt *st, const char *what, struct err *err)
{
	if (st->rc == SQLITE_NOMEM)
		return err_set(err, ERR_UNAVAILABLE, "%s: out of memory", what);
	if (st->rc == SQLITE_FULL) {
		err_set(err, ERR_UNAVAILABLE, "%s: no space left for the state database", what);
		return err_detail(err, ERR_NR_NO_SPACE, NULL);
	}
	err_set(err, ERR_IO, "%s: state database: %s", what, sqlite3_errmsg(st->state->db));
	return err_detail(err, ERR_NR_DATABASE, NULL);
}

int stmt_run(struct stmt *st, const char *what, struct err *err)
{
	return stmt_step(st) < 0 ? stmt_fail(st, what, err) : 0;
}

char *stmt_column(struct stmt *st, int column)
{
	const char *text = (const char *)sqlite3_column_text(st->s, column);
	char *copy;

	if (!text)
		return NULL;
	copy = strdup(text);
	if (!copy)
		st->rc = SQLITE_NOMEM;
	return copy;
}

/*
 * Statements of ours that take no values and may be repeated.  SQLite does not wait in all cases
 * (sqlite.org/wal.html, "Sometimes Queries Return SQLITE_BUSY In WAL Mode"): so we do.
 */
static int db_exec(struct state *state, const char *sql, struct err *err)
{
	uint64_t deadline = clock_now_ns() + BUSY_TIMEOUT_MS * NS_PER_MS;
	int rc;

	while ((rc = sqlite3_exec(state->db, sql, NULL, NULL, NULL)) == SQLITE_BUSY &&
	       clock_now_ns() < deadline)
		(void)sqlite3_sleep(BUSY_PAUSE_MS);
	if (rc != SQLITE_OK)
		return err_set(err, ERR_IO, "state database: %s", sqlite3_errmsg(state->db));
	return 0;
}

int tx_begin(struct tx *tx, struct state *state, struct err *err)
{
	*tx = (struct tx){ .state = state };
	(void)pthread_mutex_lock(&state->lock);
	tx->open = db_exec(state, "BEGIN IMMEDIATE", err) == 0;
	return tx->open ? 0 : -err->code;
}

int tx_begin_durable(struct tx *tx, struct state *state, struct err *err)
{
	*tx = (struct tx){ .state = state, .durable = true };
	(void)pthread_mutex_lock(&state->lock);
	tx->open = db_exec(state, "PRAGMA synchronous = FULL; BEGIN IMMEDIATE", err) == 0;
	return tx->open ? 0 : -err->code;
}

int tx_commit(struct tx *tx, struct err *err)
{
	if (db_exec(tx->state, "COMMIT", err) < 0)
		return -err->code;
	tx->open = false;
	return 0;
}

void tx_end(struct tx *tx)
{
	struct err ignored = ERR_INIT;

	if (!tx->state)
		return;
	if (tx->open) /* the first error counts */
		IGNORE_RESULT(db_exec(tx->state, "ROLLBACK", &ignored));
	if (tx->durable)
		IGNORE_RESULT(db_exec(tx->state, "PRAGMA synchronous = NORMAL", &ignored));
	(void)pthread_mutex_unlock(&tx->state->lock);
	tx->state = NULL;
}

static int db_version(struct state *state, int *ret_version, struct err *err)
{
	AUTO(stmt_close) struct stmt st;

	stmt_open(&st, state, "PRAGMA user_version");
	if (stmt_step(&st) != 1)
		return stmt_fail(&st, "open", err);
	*ret_version = sqlite3_column_int(st.s, 0);
	return 0;
}

static int migrate_in_transaction(struct state *state, struct err *err)
{
	char pragma[64];
	int version = 0, r;

	r = db_version(state, &version, err); /* again: another process may have been faster */
	for (; r == 0 && version < N_MIGRATIONS; version++) {
		r = db_exec(state, migrations[version], err);
		(void)snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %d", version + 1);
		if (r == 0)
			r = db_exec(state, pragma, err);
	}
	return r;
}

static int migrate(struct state *state, struct err *err)
{
	AUTO(tx_end) struct tx tx = { 0 };
	int version = 0, r;

	r = db_version(state, &version, err);
	if (r < 0 || version == N_MIGRATIONS)
		return r;
	if (version > N_MIGRATIONS)
		return err_set(err, ERR_UNAVAILABLE,
			       "state database: written by a newer version of microsandbox (%d, "
			       "this one knows %d)",
			       version, N_MIGRATIONS);
	r = tx_begin(&tx, state, err);
	if (r == 0)
		r = migrate_in_transaction(state, err);
	return r < 0 ? r : tx_commit(&tx, err);
}

/*
 * The file is never opened here: a close() of it, by any thread, would drop the locks that the
 * process's other connections hold on it (fcntl(2)).  SQLite knows that of its own descriptors.
 * It gives its other files the mode of this one.
 */
static int make_file(const char *path, struct err *err)
{
	struct stat st;

	if (mknod(path, S_IFREG | 0600, 0) < 0 && errno != EEXIST)
		return err_sys(err, errno, "make '%s'", path);
	if (lstat(path, &st) < 0)
		return err_sys(err, errno, "look at '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_IO, "'%s' is no file", path);
	if ((st.st_mode & 07777) != 0600 && chmod(path, 0600) < 0)
		return err_sys(err, errno, "set the mode of '%s'", path);
	return 0;
}

int state_open(const char *home, struct state **ret_state, struct err *err)
{
	AUTO(state_close) struct state *state = calloc(1, sizeof(*state));
	AUTO_FREE char *path = NULL;
	pthread_mutexattr_t recursive;
	int r;

	if (!state || asprintf(&path, "%s/db", home) < 0) {
		path = NULL;
		return err_set(err, ERR_UNAVAILABLE, "out of memory");
	}
	if (pthread_mutexattr_init(&recursive) != 0)
		return err_no_memory(err);
	(void)pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	(void)pthread_mutex_init(&state->lock, &recursive);
	(void)pthread_mutexattr_destroy(&recursive);
	r = make_file(path, err);
	if (r < 0)
		return r;
	if (sqlite3_open_v2(path, &state->db,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_NOFOLLOW,
			    NULL) != SQLITE_OK)
		return err_set(err, ERR_IO, "open '%s': %s", path,
			       state->db ? sqlite3_errmsg(state->db) : "out of memory");
	(void)sqlite3_busy_timeout(state->db, BUSY_TIMEOUT_MS);
	(void)sqlite3_db_config(state->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	(void)sqlite3_wal_autocheckpoint(state->db, WAL_MAX_PAGES);
	r = db_exec(state,
		    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
		    "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;",
		    err);
	if (r == 0)
		r = migrate(state, err);
	if (r < 0)
		return r;
	*ret_state = TAKE_PTR(state);
	return 0;
}

void state_close(struct state *state)
{
	if (!state)
		return;
	(void)sqlite3_close(state->db);
	(void)pthread_mutex_destroy(&state->lock);
	free(state);
}
