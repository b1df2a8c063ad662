/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: what ended without us
 *
 * A run folder is made under the name ".new-ID", with its lock taken, and renamed to ID: so a
 * folder with a name of 16 digits always has a lock, and a free lock means that the monitor and
 * all its children are gone.  The taker of such a lock takes the end over (exit record, row,
 * disk) and deletes the folder while it holds the lock; who finds no lock in the folder, or one
 * without a name, comes after it.  What is left of ".new-" folders is deleted once it is a minute
 * old.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/dir.h"
#include "runtime/internal.h"

#define MAX_PER_CALL  64	       /* run folders taken over in one call */
#define MAX_BUDGET_NS (20 * NS_PER_MS) /* of one call, whatever is left over */
#define NEW_FOLDER_S  60	       /* a start is between mkdir and rename for microseconds */

static int record_row(struct home *home, const char *id, const struct exit_record *end,
		      struct err *err)
{
	struct state_sandbox sb = { 0 };
	AUTO_FREE char *id_copy = strdup(id);
	AUTO_FREE char *status = strdup(exit_reason_status(end->reason));
	AUTO_FREE char *reason = strdup(end->reason);

	if (!id_copy || !status || !reason)
		return err_no_memory(err);
	sb.id = id_copy;
	sb.status = status;
	sb.reason = reason;
	sb.exit_code = end->code;
	sb.exit_signal = end->signal;
	sb.flushed = end->flushed;
	sb.ended_at = end->ended_at;
	return state_sandbox_set_end(home->state, &sb, err);
}

/* Row and disk. */
static int record_end(struct home *home, const char *id, bool ephemeral,
		      const struct exit_record *end, struct err *err)
{
	int r;

	if (!ephemeral)
		return record_row(home, id, end, err);
	r = state_sandbox_remove(home->state, id, err);
	if (r == 0)
		remove_folder(home->sandboxes_fd, id);
	return r;
}

int home_record_end(struct home *home, const char *id, bool ephemeral,
		    const struct exit_record *end, struct err *err)
{
	AUTO_CLOSE int run_dir = -1;
	struct exit_record own = { 0 }; /* that of an ephemeral one is not looked at */
	int r;

	if (!end && !ephemeral) {
		run_dir = openat(home->run_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		exit_record_take(run_dir, id, &own);
	}
	r = record_end(home, id, ephemeral, end ? end : &own, err);
	if (r == 0)
		remove_folder(home->run_fd, id);
	return r;
}

int run_folder_lock(int run_dir, int how)
{
	AUTO_CLOSE int lock = openat(run_dir, "lock", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (lock < 0)
		return -errno;
	while (flock(lock, how) < 0)
		if (errno != EINTR)
			return -errno;
	if (fstat(lock, &st) < 0)
		return -errno;
	return st.st_nlink == 0 ? -ENOENT : TAKE_FD(lock);
}

int run_folder_remains(struct home *home, const char *id, int run_dir)
{
	int r = dir_clear(run_dir); /* through its descriptor: the name may be another's by now */

	if (r < 0 && r != -ENOENT)
		return r;
	if (unlinkat(home->run_fd, id, AT_REMOVEDIR) < 0 && errno != ENOENT && errno != EEXIST &&
	    errno != ENOTEMPTY)
		return -errno;
	return 0;
}

static bool is_id(const char *name)
{
	return strlen(name) == SANDBOX_ID_LEN && strspn(name, "0123456789abcdef") == SANDBOX_ID_LEN;
}

/* true: it was taken over. */
static bool reconcile_folder(struct home *home, const char *id)
{
	AUTO_CLOSE int run_dir =
		openat(home->run_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	AUTO_CLOSE int lock = run_dir < 0 ? -1 : run_folder_lock(run_dir, LOCK_EX | LOCK_NB);
	struct state_sandbox sb = { 0 };
	struct err err = ERR_INIT;
	bool ephemeral;

	if (lock == -ENOENT)
		IGNORE_RESULT(run_folder_remains(home, id, run_dir));
	if (lock < 0)
		return false;
	ephemeral = state_sandbox_by_id(home->state, id, &sb, &err) < 0 || sb.ephemeral;
	/* A lookup that failed for another reason than "no such row" must delete nothing. */
	if (err.code == ERR_NONE || err.code == ERR_NOT_FOUND)
		IGNORE_RESULT(home_record_end(home, id, ephemeral, NULL, &err));
	state_sandbox_done(&sb);
	return true;
}

static bool reconcile_new_folder(struct home *home, const char *name)
{
	struct stat st;

	if (fstatat(home->run_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    st.st_mtime + NEW_FOLDER_S >= time(NULL))
		return false;
	remove_folder(home->run_fd, name);
	return true;
}

struct wrong_rows {
	struct home *home;	/* borrowed */
	struct str_list ids[2]; /* by `ephemeral` */
};

/* Rows that say "alive" without a run folder: the machine lost the folder, or a start died. */
static int find_wrong_row(void *user, const struct state_sandbox *sb)
{
	struct wrong_rows *w = user;
	struct stat st;

	if (fstatat(w->home->run_fd, sb->id, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
		return 0;
	return str_list_add(&w->ids[sb->ephemeral], sb->id);
}

static int correct_rows(struct home *home, struct err *err)
{
	struct exit_record lost = { .reason = "monitor-killed",
				    .code = -1,
				    .ended_at = clock_wall_ns() };
	struct wrong_rows w = { .home = home };
	int r = state_sandbox_list_up(home->state, find_wrong_row, &w, err);

	for (int ephemeral = 0; ephemeral < 2; ephemeral++) {
		const struct str_list *ids = &w.ids[ephemeral];

		for (size_t i = 0; r == 0 && i < ids->n; i++)
			r = record_end(home, ids->items[i], ephemeral, &lost, err);
		str_list_done(&w.ids[ephemeral]);
	}
	return r;
}

int home_reconcile(struct home *home, struct err *err)
{
	uint64_t deadline = clock_now_ns() + MAX_BUDGET_NS;
	AUTO(closedir) DIR *dir = NULL;
	struct dirent *e;
	int n = 0, r = dir_open(home->run_fd, ".", &dir);

	if (r < 0)
		return err_sys(err, -r, "read the folder '%s/run'", home->path);
	while (n < MAX_PER_CALL && clock_now_ns() < deadline && (e = readdir(dir))) {
		if (is_id(e->d_name))
			n += reconcile_folder(home, e->d_name);
		else if (strncmp(e->d_name, ".new-", 5) == 0)
			n += reconcile_new_folder(home, e->d_name);
	}
	return correct_rows(home, err);
}
