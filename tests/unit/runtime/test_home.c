/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "remove_tree.h"
#include "runtime/internal.h"

static char dir[64], path[128];

static const char *in_home(const char *name)
{
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static struct home *open_home(void)
{
	struct home_options o = { .home = dir, .path = "/nonexistent" };
	struct err err = ERR_INIT;
	struct home *home = NULL;

	if (home_open(&o, &home, &err) < 0)
		TAP_FAIL("%s", err.msg);
	return home;
}

static void make_dir(void)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/msb-home-XXXXXX");
	ASSERT(mkdtemp(dir));
}

static int mode_of(const char *name)
{
	struct stat st;

	ASSERT_EQ(stat(in_home(name), &st), 0);
	return (int)(st.st_mode & 07777);
}

TEST(modes_are_made_and_repaired)
{
	(void)umask(0);
	make_dir();
	ASSERT_EQ(chmod(dir, 0755), 0);
	home_close(open_home());
	ASSERT_EQ(mode_of("."), 0700);
	ASSERT_EQ(mode_of("run"), 0700);
	ASSERT_EQ(mode_of("sandboxes"), 0700);
	ASSERT_EQ(mode_of("db"), 0600);
	ASSERT_EQ(chmod(in_home("run"), 0777), 0);
	home_close(open_home());
	ASSERT_EQ(mode_of("run"), 0700);
	remove_tree(AT_FDCWD, dir);
}

static void add_sandbox(struct home *home, char *id, char *name, bool ephemeral)
{
	char spec[] = "{}", running[] = "running";
	struct state_sandbox sb = { .id = id,
				    .name = name,
				    .spec = spec,
				    .status = running,
				    .ephemeral = ephemeral,
				    .exit_code = -1 };
	struct err err = ERR_INIT;

	ASSERT_EQ(state_sandbox_add(home->state, &sb, &err), 0);
}

static void add_run_folder(const char *id, const char *record)
{
	char name[64];
	int fd;

	(void)snprintf(name, sizeof(name), "run/%s", id);
	ASSERT_EQ(mkdir(in_home(name), 0700), 0);
	(void)snprintf(name, sizeof(name), "run/%s/lock", id);
	fd = open(in_home(name), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT(fd >= 0);
	(void)close(fd);
	if (!record)
		return;
	(void)snprintf(name, sizeof(name), "run/%s/exit.json", id);
	fd = open(in_home(name), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_EQ(write(fd, record, strlen(record)), strlen(record));
	(void)close(fd);
}

TEST(leftovers_are_taken_over)
{
	char killed[] = "1111111111111111", ended[] = "2222222222222222",
	     gone[] = "3333333333333333";
	char lost[] = "4444444444444444", a[] = "a", b[] = "b", c[] = "c", d[] = "d";
	struct state_sandbox sb = { 0 };
	struct err err = ERR_INIT;
	struct home *home;

	make_dir();
	home = open_home();
	add_sandbox(home, killed, a, false);
	add_run_folder(killed, NULL);
	add_sandbox(home, ended, b, false);
	add_run_folder(ended, "{\"v\":1,\"id\":\"2222222222222222\",\"reason\":\"main-exited\","
			      "\"main\":{\"code\":5,\"signal\":0},\"flushed\":true}");
	add_sandbox(home, gone, c, true);
	add_run_folder(gone, NULL);
	add_sandbox(home, lost, d, false); /* no folder at all */
	home_close(home);
	home = open_home();
	ASSERT_EQ(state_sandbox_by_name(home->state, a, &sb, &err), 0);
	ASSERT_STR(sb.status, "crashed");
	ASSERT_STR(sb.reason, "monitor-killed");
	state_sandbox_done(&sb);
	ASSERT_EQ(state_sandbox_by_name(home->state, b, &sb, &err), 0);
	ASSERT_STR(sb.status, "stopped");
	ASSERT_EQ(sb.exit_code, 5);
	ASSERT(sb.flushed);
	state_sandbox_done(&sb);
	ASSERT_EQ(state_sandbox_by_name(home->state, c, &sb, &err), -ERR_NOT_FOUND);
	ASSERT_EQ(state_sandbox_by_name(home->state, d, &sb, &err), 0);
	ASSERT_STR(sb.status, "crashed");
	state_sandbox_done(&sb);
	ASSERT_EQ(access(in_home("run/1111111111111111"), F_OK), -1);
	ASSERT_EQ(access(in_home("run/2222222222222222"), F_OK), -1);
	ASSERT_EQ(access(in_home("run/3333333333333333"), F_OK), -1);
	home_close(home);
	remove_tree(AT_FDCWD, dir);
}

TEST(an_id_that_is_another_s_name_is_an_id)
{
	char kept[] = "1111111111111111", other[] = "2222222222222222", name[] = "a";
	struct state_sandbox sb = { 0 };
	struct err err = ERR_INIT;
	struct home *home;

	make_dir();
	home = open_home();
	add_sandbox(home, kept, name, false);
	add_run_folder(kept, NULL);
	add_sandbox(home, other, kept, true);
	add_run_folder(other, NULL);
	ASSERT_EQ(home_reconcile(home, &err), 0);
	ASSERT_EQ(state_sandbox_by_name(home->state, name, &sb, &err), 0);
	ASSERT_STR(sb.status, "crashed");
	state_sandbox_done(&sb);
	home_close(home);
	remove_tree(AT_FDCWD, dir);
}

TEST(what_lives_is_left_alone)
{
	char id[] = "1111111111111111", name[] = "a";
	struct state_sandbox sb = { 0 };
	struct err err = ERR_INIT;
	struct home *home;
	int lock;

	make_dir();
	home = open_home();
	add_sandbox(home, id, name, false);
	add_run_folder(id, NULL);
	lock = open(in_home("run/1111111111111111/lock"), O_RDWR | O_CLOEXEC);
	ASSERT_EQ(flock(lock, LOCK_EX | LOCK_NB), 0);
	home_close(home);
	home = open_home();
	ASSERT_EQ(state_sandbox_by_name(home->state, name, &sb, &err), 0);
	ASSERT_STR(sb.status, "running");
	state_sandbox_done(&sb);
	ASSERT(home_sandbox_remove(home, name, false, NULL, &err) < 0);
	ASSERT_EQ(err.number, ERR_NR_STILL_RUNNING);
	(void)close(lock);
	ASSERT_EQ(home_sandbox_remove(home, name, false, NULL, &err), 0);
	ASSERT(home_sandbox_remove(home, name, false, NULL, &err) < 0);
	ASSERT_EQ(err.number, ERR_NR_SANDBOX_NOT_FOUND);
	home_close(home);
	remove_tree(AT_FDCWD, dir);
}

/* A handle of a sandbox whose monitor is gone, as sandbox_create() makes them. */
static struct sandbox ended_sandbox(struct home *home, const char *id)
{
	struct sandbox sb = { .home = home, .pidfd = -1 };
	char name[64];
	int ends[2];

	(void)snprintf(sb.id, sizeof(sb.id), "%s", id);
	(void)snprintf(name, sizeof(name), "run/%s", id);
	sb.run_dir = open(in_home(name), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT(sb.run_dir >= 0);
	ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
	ASSERT_EQ(write(ends[1], "", 1), 1); /* readable, as a pidfd is */
	sb.pidfd = ends[0];
	(void)pthread_mutex_init(&sb.lock, NULL);
	return sb;
}

TEST(a_late_end_leaves_the_next_boot_alone)
{
	char id[] = "1111111111111111", name[] = "a";
	struct state_sandbox row = { 0 };
	struct err err = ERR_INIT;
	struct sandbox sb;
	struct home *home;
	int lock, monitor[2], watchdog[2];
	struct pollfd hangup = { 0 };

	make_dir();
	home = open_home();
	add_sandbox(home, id, name, false);
	add_run_folder(id, NULL);
	sb = ended_sandbox(home, id);
	/* The end is taken over and the sandbox booted again, by another process or by this one. */
	ASSERT_EQ(home_reconcile(home, &err), 0);
	ASSERT_EQ(access(in_home("run/1111111111111111"), F_OK), -1);
	ASSERT_EQ(state_sandbox_claim(home->state, id, &err), 0);
	add_run_folder(id, NULL);
	lock = open(in_home("run/1111111111111111/lock"), O_RDWR | O_CLOEXEC);
	ASSERT_EQ(flock(lock, LOCK_EX | LOCK_NB), 0);
	ASSERT_EQ(pipe2(monitor, O_CLOEXEC), 0);
	ASSERT_EQ(pipe2(watchdog, O_CLOEXEC), 0);
	ASSERT_EQ(home_attach(home, monitor[0], watchdog[1], &err), 0);
	hangup.fd = watchdog[0];
	ASSERT_EQ(sandbox_wait(&sb, NULL, NULL, &err), 0);
	ASSERT_EQ(poll(&hangup, 1, 0), 0);
	ASSERT_EQ(access(in_home("run/1111111111111111/lock"), F_OK), 0);
	ASSERT_EQ(state_sandbox_by_name(home->state, name, &row, &err), 0);
	ASSERT_STR(row.status, "starting");
	state_sandbox_done(&row);
	(void)close(lock);
	(void)close(sb.run_dir);
	(void)close(sb.pidfd);
	(void)close(monitor[1]);
	(void)close(watchdog[0]);
	home_close(home);
	remove_tree(AT_FDCWD, dir);
}

TEST(a_removal_that_was_cut_off_is_finished)
{
	char id[] = "1111111111111111", name[] = "a";
	struct err err = ERR_INIT;
	struct home *home;

	make_dir();
	home = open_home();
	add_sandbox(home, id, name, false);
	for (int i = 0; i < 2; i++) {
		add_run_folder(id, "{}");
		ASSERT_EQ(unlink(in_home("run/1111111111111111/lock")), 0);
		if (i == 0)
			ASSERT_EQ(home_reconcile(home, &err), 0);
		else
			ASSERT_EQ(home_sandbox_remove(home, name, false, NULL, &err), 0);
		ASSERT_EQ(access(in_home("run/1111111111111111"), F_OK), -1);
	}
	home_close(home);
	remove_tree(AT_FDCWD, dir);
}

TEST(leftovers_are_found_among_many_that_live)
{
	enum { N_LIVE = 200, N_DEAD = 8 };
	int locks[N_LIVE], left = N_DEAD;
	struct err err = ERR_INIT;
	char id[17], name[64];
	struct home *home;

	make_dir();
	home = open_home();
	for (int i = 0; i < N_LIVE + N_DEAD; i++) {
		(void)snprintf(id, sizeof(id), "%016x", i);
		add_run_folder(id, NULL);
		if (i < N_DEAD)
			continue;
		(void)snprintf(name, sizeof(name), "run/%s/lock", id);
		locks[i - N_DEAD] = open(in_home(name), O_RDWR | O_CLOEXEC);
		ASSERT_EQ(flock(locks[i - N_DEAD], LOCK_EX | LOCK_NB), 0);
	}
	/* Once is enough, unless the machine is so busy that the time of a call runs out. */
	for (int tries = 0; tries < 100 && left > 0; tries++) {
		ASSERT_EQ(home_reconcile(home, &err), 0);
		left = 0;
		for (int i = 0; i < N_DEAD; i++) {
			(void)snprintf(name, sizeof(name), "run/%016x", i);
			left += access(in_home(name), F_OK) == 0;
		}
	}
	ASSERT_EQ(left, 0);
	for (int i = 0; i < N_LIVE; i++) {
		(void)snprintf(name, sizeof(name), "run/%016x/lock", i + N_DEAD);
		ASSERT_EQ(access(in_home(name), F_OK), 0);
		(void)close(locks[i]);
	}
	home_close(home);
	remove_tree(AT_FDCWD, dir);
}

TEST(a_create_that_fails_leaves_nothing)
{
	static const struct {
		const char *name, *spec;
		enum err_number number;
	} cases[] = {
		{ "no image", "{\"image\":\"nothing\",\"registry\":{\"pull\":\"never\"}}",
		  ERR_NR_IMAGE_NOT_FOUND },
		{ "no folder", "{\"image\":\"/nonexistent\"}", ERR_NR_PATH_NOT_FOUND },
		{ "no qemu", "{\"image\":\"/tmp\",\"name\":\"x\"}", ERR_NR_NO_ENGINE },
		{ "no kvm", "{\"image\":\"/tmp\",\"engine\":\"kvm\"}", ERR_NR_NO_ENGINE },
	};
	struct sandbox *sb = NULL;
	char *json = NULL;
	struct home *home;
	struct err err;

	make_dir();
	home = open_home();
	for_cases(c, cases) {
		err = ERR_INIT;
		ASSERT(sandbox_create(home, c->spec, NULL, &sb, &err) < 0);
		ASSERT_EQ(err.number, c->number);
	}
	err = ERR_INIT;
	ASSERT_EQ(home_sandbox_list(home, &json, &err), 0);
	ASSERT_STR(json, "[]");
	free(json);
	ASSERT_EQ(rmdir(in_home("run")), 0);
	home_close(home);
	remove_tree(AT_FDCWD, dir);
}

TAP_MAIN()
