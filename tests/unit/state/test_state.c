/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <sys/stat.h>

#include "state/state.h"

static char dir[64];

static struct state *fresh(void)
{
	struct err err = ERR_INIT;
	struct state *state = NULL;

	(void)snprintf(dir, sizeof(dir), "/tmp/msb-state-XXXXXX");
	ASSERT(mkdtemp(dir));
	if (state_open(dir, &state, &err) < 0)
		TAP_FAIL("%s", err.msg);
	return state;
}

static void drop(struct state *state)
{
	static const char *const files[] = { "db", "db-wal", "db-shm" };
	char path[96];

	state_close(state);
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		(void)unlink(path);
	}
	ASSERT_EQ(rmdir(dir), 0);
}

#define OK(call)                                                                                   \
	do {                                                                                       \
		if ((call) < 0)                                                                    \
			TAP_FAIL("%s", err.msg);                                                   \
	} while (0)

static struct state_sandbox row(char *id, char *name)
{
	static char spec[] = "{}", starting[] = "starting";

	return (struct state_sandbox){ .id = id,
				       .name = name,
				       .spec = spec,
				       .status = starting,
				       .exit_code = -1,
				       .created_at = 7 };
}

TEST(file_is_private_whatever_the_umask)
{
	struct state *state;
	struct stat st;
	char path[96];

	(void)umask(0);
	state = fresh();
	(void)snprintf(path, sizeof(path), "%s/db", dir);
	ASSERT_EQ(stat(path, &st), 0);
	ASSERT_EQ(st.st_mode & 07777, 0600);
	(void)snprintf(path, sizeof(path), "%s/db-wal", dir);
	ASSERT_EQ(stat(path, &st), 0);
	ASSERT_EQ(st.st_mode & 07777, 0600);
	drop(state);
}

TEST(sandbox_names_are_unique)
{
	char id1[] = "1111111111111111", id2[] = "2222222222222222", name[] = "box";
	struct state *state = fresh();
	struct state_sandbox sb = row(id1, name), got = { 0 };
	struct err err = ERR_INIT;

	OK(state_sandbox_add(state, &sb, &err));
	sb.id = id2;
	ASSERT_EQ(state_sandbox_add(state, &sb, &err), -ERR_EXISTS);
	OK(state_sandbox_by_id(state, id1, &got, &err));
	ASSERT_STR(got.name, name);
	ASSERT_EQ(got.exit_code, -1);
	state_sandbox_done(&got);
	OK(state_sandbox_remove(state, id1, &err));
	OK(state_sandbox_remove(state, id1, &err));
	ASSERT_EQ(state_sandbox_by_name(state, name, &got, &err), -ERR_NOT_FOUND);
	OK(state_sandbox_add(state, &sb, &err));
	drop(state);
}

TEST(a_name_may_look_like_an_id)
{
	char id1[] = "1111111111111111", id2[] = "2222222222222222", name[] = "box";
	struct state *state = fresh();
	struct state_sandbox sb = row(id1, name), got = { 0 };
	struct err err = ERR_INIT;

	OK(state_sandbox_add(state, &sb, &err));
	sb = row(id2, id1);
	OK(state_sandbox_add(state, &sb, &err));
	OK(state_sandbox_by_id(state, id1, &got, &err));
	ASSERT_STR(got.name, name);
	state_sandbox_done(&got);
	OK(state_sandbox_by_name(state, id1, &got, &err));
	ASSERT_STR(got.id, id2);
	state_sandbox_done(&got);
	ASSERT_EQ(state_sandbox_by_name(state, id2, &got, &err), -ERR_NOT_FOUND);
	OK(state_sandbox_find(state, id1, &got, &err));
	ASSERT_STR(got.id, id2);
	state_sandbox_done(&got);
	OK(state_sandbox_find(state, id2, &got, &err));
	ASSERT_STR(got.id, id2);
	state_sandbox_done(&got);
	drop(state);
}

TEST(only_one_claims_an_ended_sandbox)
{
	char id[] = "1111111111111111", name[] = "box", stopped[] = "stopped", why[] = "killed",
	     late[] = "monitor-killed";
	struct state *state = fresh();
	struct state_sandbox sb = row(id, name), got = { 0 };
	struct err err = ERR_INIT;

	OK(state_sandbox_add(state, &sb, &err));
	ASSERT_EQ(state_sandbox_claim(state, id, 7, &err), -ERR_BUSY);
	OK(state_sandbox_set_status(state, id, "running", &err));
	sb.status = stopped;
	sb.reason = why;
	OK(state_sandbox_set_end(state, &sb, &err));
	sb.reason = late;
	OK(state_sandbox_set_end(state, &sb, &err)); /* the first counts */
	OK(state_sandbox_by_id(state, id, &got, &err));
	ASSERT_STR(got.reason, why);
	state_sandbox_done(&got);
	OK(state_sandbox_claim(state, id, 7, &err));
	ASSERT_EQ(state_sandbox_claim(state, id, 7, &err), -ERR_BUSY);
	ASSERT_EQ(state_sandbox_set_status(state, "none", "running", &err), -ERR_NOT_FOUND);
	sb.started_at = 6; /* the boot before */
	OK(state_sandbox_set_end(state, &sb, &err));
	OK(state_sandbox_by_id(state, id, &got, &err));
	ASSERT_STR(got.status, "starting");
	ASSERT_EQ(got.started_at, 7);
	state_sandbox_done(&got);
	drop(state);
}

TEST(renames_what_is_down)
{
	char id[] = "1111111111111111", name[] = "box", stopped[] = "stopped", why[] = "killed",
	     other_id[] = "2222222222222222", other[] = "other";
	struct state *state = fresh();
	struct state_sandbox sb = row(id, name), second = row(other_id, other), got = { 0 };
	struct err err = ERR_INIT;

	OK(state_sandbox_add(state, &sb, &err));
	OK(state_sandbox_add(state, &second, &err));
	ASSERT_EQ(state_sandbox_rename(state, id, "new", "{}", &err), -ERR_BUSY);
	sb.status = stopped;
	sb.reason = why;
	OK(state_sandbox_set_end(state, &sb, &err));
	OK(state_sandbox_set_status(state, id, "running", &err)); /* an end stays an end */
	ASSERT_EQ(state_sandbox_rename(state, id, other, "{}", &err), -ERR_EXISTS);
	OK(state_sandbox_rename(state, id, "new", "{\"name\":\"new\"}", &err));
	OK(state_sandbox_by_name(state, "new", &got, &err));
	ASSERT_STR(got.id, id);
	ASSERT_STR(got.status, "stopped");
	ASSERT_STR(got.spec, "{\"name\":\"new\"}");
	state_sandbox_done(&got);
	ASSERT_EQ(state_sandbox_rename(state, "none", "x", "{}", &err), -ERR_NOT_FOUND);
	drop(state);
}

TEST(reopens_what_it_wrote_and_text_is_only_text)
{
	char id[] = "1111111111111111", name[] = "'); DROP TABLE sandboxes; --";
	struct state *state = fresh(), *second = NULL;
	struct state_sandbox sb = row(id, name), got = { 0 };
	struct err err = ERR_INIT;

	OK(state_sandbox_add(state, &sb, &err));
	OK(state_open(dir, &second, &err));
	OK(state_sandbox_by_name(second, name, &got, &err));
	ASSERT_STR(got.id, id);
	state_sandbox_done(&got);
	state_close(second);
	drop(state);
}

static int64_t size_of(const char *name)
{
	char path[96];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return stat(path, &st) < 0 ? -1 : st.st_size;
}

TEST(a_close_leaves_the_log_and_its_length_is_bounded)
{
	char id[] = "1111111111111111", name[] = "box";
	struct state *state = fresh();
	struct state_sandbox sb = row(id, name), got = { 0 };
	struct err err = ERR_INIT;

	OK(state_sandbox_add(state, &sb, &err));
	state_close(state);
	ASSERT(size_of("db-wal") > 0);
	OK(state_open(dir, &state, &err));
	OK(state_sandbox_by_id(state, id, &got, &err));
	state_sandbox_done(&got);
	for (int i = 0; i < 500; i++)
		OK(state_sandbox_set_status(state, id, i % 2 ? "running" : "starting", &err));
	ASSERT(size_of("db-wal") < 150 * 4200);
	drop(state);
}

/* Of which process a lock is on the database, as another process sees it; 0: none. */
static pid_t locked_by(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[96];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/db", dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fcntl(fd, F_GETLK, &lock) < 0)
		return -1;
	return lock.l_type == F_UNLCK ? 0 : lock.l_pid;
}

TEST(a_second_open_leaves_the_locks_of_the_first)
{
	struct state *state = fresh(), *second = NULL;
	struct err err = ERR_INIT;
	int status;
	pid_t pid;

	for (int i = 0; i < 2; i++) { /* while both are open, then after one is closed */
		if (i == 0)
			OK(state_open(dir, &second, &err));
		else
			state_close(second);
		pid = fork();
		if (pid == 0)
			_exit(locked_by() == getppid() ? 0 : 1);
		ASSERT_EQ(waitpid(pid, &status, 0), pid);
		ASSERT_EQ(status, 0);
	}
	drop(state);
}

TEST(only_a_file_is_opened)
{
	struct err err = ERR_INIT;
	struct state *state = NULL;
	char path[96], target[96];

	(void)snprintf(dir, sizeof(dir), "/tmp/msb-state-XXXXXX");
	ASSERT(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/db", dir);
	(void)snprintf(target, sizeof(target), "%s/elsewhere", dir);
	ASSERT_EQ(symlink(target, path), 0);
	ASSERT_EQ(state_open(dir, &state, &err), -ERR_IO);
	ASSERT_EQ(access(target, F_OK), -1);
	ASSERT_EQ(unlink(path), 0);
	ASSERT_EQ(rmdir(dir), 0);
}

TAP_MAIN()
