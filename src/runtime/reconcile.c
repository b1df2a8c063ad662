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

/* @started_at: the boot that has ended; 0: the one that is recorded. */
static int record_row(struct home *home, const char *id, uint64_t started_at,
		      const struct exit_record *end, struct err *err)
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
	sb.started_at = started_at;
	sb.ended_at = end->ended_at;
	return state_sandbox_set_end(home->state, &sb, err);
}

/* Row and disk. @started_at: 0 if the run folder is there, and so what it says is true. */
static int record_end(struct home *home, const char *id, uint64_t started_at, bool ephemeral,
		      const struct exit_record *end, struct err *err)
{
	int r;

	if (!ephemeral)
		return record_row(home, id, started_at, end, err);
	r = state_sandbox_remove(home->state, id, err);
	if (r == 0) {
		remove_folder(home->sandboxes_fd, id);
		if (started_at == 0 && strcmp(exit_reason_status(end->reason), "crashed") == 0)
			kept_logs_keep(home, id);
		else
			remove_folder(home->logs_fd, id);
	}
	return r;
}

int home_record_end(struct home *home, const char *id, bool ephemeral,
		    const struct exit_record *end, struct err *err)
{
	AUTO_CLOSE int run_dir = -1;
	struct exit_record own = { 0 };
	int r;

	if (!end) {
		run_dir = openat(home->run_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		exit_record_take(run_dir, id, &own);
	}
	r = record_end(home, id, 0, ephemeral, end ? end : &own, err);
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

bool sandbox_id_valid(const char *name)
{
	return strlen(name) == SANDBOX_ID_LEN && strspn(name, "0123456789abcdef") == SANDBOX_ID_LEN;
}

/* The lock is ours. */
static int take_over(struct home *home, const char *id, struct err *err)
{
	struct state_sandbox sb = { 0 };
	int r = state_sandbox_by_id(home->state, id, &sb, err);
	bool ephemeral;

	/* A lookup that failed for another reason than "no such row" must delete nothing. */
	if (r < 0 && err->code != ERR_NOT_FOUND)
		return r;
	/* One that was never started stays, whatever it is. */
	ephemeral = r < 0 || (sb.ephemeral && strcmp(sb.status, "created") != 0);
	*err = ERR_INIT;
	r = home_record_end(home, id, ephemeral, NULL, err);
	state_sandbox_done(&sb);
	return r;
}

/* true: it was taken over. */
static bool reconcile_folder(struct home *home, const char *id)
{
	AUTO_CLOSE int run_dir =
		openat(home->run_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	AUTO_CLOSE int lock = run_dir < 0 ? -1 : run_folder_lock(run_dir, LOCK_EX | LOCK_NB);
	struct err ignored = ERR_INIT;

	if (lock == -ENOENT)
		IGNORE_RESULT(run_folder_remains(home, id, run_dir));
	if (lock < 0)
		return false;
	IGNORE_RESULT(take_over(home, id, &ignored));
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

/* A row says "alive" without a run folder: the machine lost the folder, or a start died. */
static int correct_row(struct home *home, const struct state_sandbox *sb, struct err *err)
{
	struct exit_record lost = { .reason = "monitor-killed",
				    .code = -1,
				    .ended_at = clock_wall_ns() };
	struct stat st;

	/* The row first, then the folder, which is made before the row and goes after it. */
	if (strcmp(sb->status, "starting") != 0 && strcmp(sb->status, "running") != 0)
		return 0;
	if (fstatat(home->run_fd, sb->id, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
		return 0;
	return record_end(home, sb->id, sb->started_at, sb->ephemeral, &lost, err);
}

static int add_id(void *user, const struct state_sandbox *sb)
{
	struct str_list *ids = user;

	return str_list_add(ids, sb->id);
}

static int correct_by_id(struct home *home, const char *id, struct err *err)
{
	struct state_sandbox sb = { 0 };
	int r = state_sandbox_by_id(home->state, id, &sb, err);

	if (r < 0 && err->code == ERR_NOT_FOUND) {
		*err = ERR_INIT;
		return 0;
	}
	if (r == 0)
		r = correct_row(home, &sb, err);
	state_sandbox_done(&sb);
	return r;
}

static int correct_rows(struct home *home, struct err *err)
{
	struct str_list up = { 0 };
	int r = state_sandbox_list_up(home->state, add_id, &up, err);

	for (size_t i = 0; r == 0 && i < up.n; i++) {
		struct stat st;

		if (fstatat(home->run_fd, up.items[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
			r = correct_by_id(home, up.items[i], err);
	}
	str_list_done(&up);
	return r;
}

int home_settle(struct home *home, const char *id, struct err *err)
{
	AUTO_CLOSE int run_dir = -1;
	AUTO_CLOSE int lock = -1;
	int r = correct_by_id(home, id, err);

	if (r < 0)
		return r;
	run_dir = openat(home->run_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (run_dir < 0)
		return errno == ENOENT ? 0 : err_sys(err, errno, "open the folder of '%s'", id);
	lock = run_folder_lock(run_dir, LOCK_EX | LOCK_NB);
	if (lock == -EWOULDBLOCK)
		return 1;
	if (lock == -ENOENT) {
		r = run_folder_remains(home, id, run_dir);
		return r < 0 ? err_sys(err, -r, "remove the folder of '%s'", id) : 0;
	}
	if (lock < 0)
		return err_sys(err, -lock, "lock the folder of '%s'", id);
	return take_over(home, id, err);
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
		if (sandbox_id_valid(e->d_name))
			n += reconcile_folder(home, e->d_name);
		else if (strncmp(e->d_name, ".new-", 5) == 0)
			n += reconcile_new_folder(home, e->d_name);
	}
	return correct_rows(home, err);
}
