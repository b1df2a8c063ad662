/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: logs of what is gone
 *
 * A sandbox whose boot failed, or an ephemeral one that crashed, leaves no record, but its logs stay
 * for a day, so that one can look why: those of the last twenty.  The age is that of the folder.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/dir.h"
#include "runtime/internal.h"

#define KEPT_MAX 20
#define KEPT_NS	 (24ull * 3600 * NS_PER_S)

struct kept {
	char id[SANDBOX_ID_LEN + 1];
	uint64_t at_ns; /* wall clock */
};

/* When the logs of a sandbox without a record were put aside; 0: there are none. */
static uint64_t kept_at(struct home *home, const char *id)
{
	struct state_sandbox row = { 0 };
	struct err missing = ERR_INIT;
	struct stat st;
	int r;

	if (!sandbox_id_valid(id))
		return 0;
	r = state_sandbox_by_id(home->state, id, &row, &missing);
	state_sandbox_done(&row);
	if (r == 0 || missing.code != ERR_NOT_FOUND ||
	    fstatat(home->logs_fd, id, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	return (uint64_t)st.st_mtim.tv_sec * NS_PER_S + (uint64_t)st.st_mtim.tv_nsec;
}

bool kept_logs_there(struct home *home, const char *id)
{
	uint64_t at = kept_at(home, id);

	return at && at + KEPT_NS > clock_wall_ns();
}

/* Into the list, which has the newest first; what falls out of it is deleted. */
static void add(struct home *home, struct kept *list, size_t *n, const struct kept *one)
{
	size_t i = *n;

	if (*n == KEPT_MAX && list[*n - 1].at_ns >= one->at_ns) {
		remove_folder(home->logs_fd, one->id);
		return;
	}
	if (*n == KEPT_MAX)
		remove_folder(home->logs_fd, list[--i].id);
	else
		++*n;
	for (; i > 0 && list[i - 1].at_ns < one->at_ns; i--)
		list[i] = list[i - 1];
	list[i] = *one;
}

void kept_logs_keep(struct home *home, const char *id)
{
	struct kept list[KEPT_MAX];
	uint64_t now = clock_wall_ns();
	AUTO(closedir) DIR *dir = NULL;
	struct dirent *e;
	size_t n = 0;

	(void)utimensat(home->logs_fd, id, NULL, AT_SYMLINK_NOFOLLOW);
	if (dir_open(home->logs_fd, ".", &dir) < 0)
		return;
	while ((e = readdir(dir))) {
		struct kept one = { .at_ns = kept_at(home, e->d_name) };

		if (!one.at_ns)
			continue;
		memcpy(one.id, e->d_name, sizeof(one.id));
		if (one.at_ns + KEPT_NS <= now)
			remove_folder(home->logs_fd, one.id);
		else
			add(home, list, &n, &one);
	}
}
