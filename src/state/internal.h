/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STATE_INTERNAL_H
#define STATE_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>

#include "base/defer.h"
#include "base/err.h"

struct state {
	sqlite3 *db; /* owned */
	/* One statement or transaction at a time, so that sqlite3_errmsg() is ours; recursive. */
	pthread_mutex_t lock;
};

/*
 * A prepared statement.  stmt_open() takes the lock, stmt_close() gives it back; bind and step
 * remember the first failure, which stmt_fail() turns into the error.
 */
struct stmt {
	struct state *state; /* borrowed */
	sqlite3_stmt *s;     /* owned */
	int rc;		     /* first SQLite result that was a failure */
	int next;	     /* parameter to bind */
};

void stmt_open(struct stmt *st, struct state *state, const char *sql);
void stmt_close(struct stmt *st);
static inline void stmt_close_auto(struct stmt *st)
{
	stmt_close(st);
}

void stmt_text(struct stmt *st, const char *text); /* NULL: null */
void stmt_int(struct stmt *st, int64_t n);
/* For the next values, after a step that gave no more rows. */
void stmt_again(struct stmt *st);
/* 1 = a row, 0 = done, -1 = failed: stmt_fail(). */
int stmt_step(struct stmt *st);
/* Step a statement that yields no rows: 0, or the error. */
MUST_CHECK int stmt_run(struct stmt *st, const char *what, struct err *err);
int stmt_fail(struct stmt *st, const char *what, struct err *err);
/* Copy of a text column, NULL for null; a failed copy is remembered. */
char *stmt_column(struct stmt *st, int column);

/*
 * A transaction that writes: no other thread or process writes between begin and commit.  What was
 * not committed is undone at the end.
 */
struct tx {
	struct state *state; /* borrowed; NULL: not begun */
	bool open, durable;
};
MUST_CHECK int tx_begin(struct tx *tx, struct state *state, struct err *err);
/* The same, but once committed it outlives a loss of power: for what is deleted after it. */
MUST_CHECK int tx_begin_durable(struct tx *tx, struct state *state, struct err *err);
MUST_CHECK int tx_commit(struct tx *tx, struct err *err);
void tx_end(struct tx *tx);
static inline void tx_end_auto(struct tx *tx)
{
	tx_end(tx);
}

#endif /* STATE_INTERNAL_H */
