/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "proto/launch.h"
#include "remove_tree.h"
#include "runtime/identity.h"
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
	char spec[] = "{\"image\":\"x\"}", running[] = "running";
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

/* What is dead is settled, what lives is left alone, and a late word does not touch the next boot. */
TEST(settles_one_sandbox)
{
	char id[] = "1111111111111111", name[] = "a";
	struct state_sandbox row = { 0 };
	struct exit_record end = { .reason = "killed", .code = -1 };
	struct sandbox *sb = NULL;
	struct err err = ERR_INIT;
	struct home *home;
	char *json = NULL;
	int lock;

	make_dir();
	home = open_home();
	ASSERT_EQ(home_settle(home, id, &err), 0); /* there is none */
	add_sandbox(home, id, name, false);
	add_run_folder(id, NULL);
	lock = open(in_home("run/1111111111111111/lock"), O_RDWR | O_CLOEXEC);
	ASSERT_EQ(flock(lock, LOCK_EX | LOCK_NB), 0);
	ASSERT_EQ(home_settle(home, id, &err), 1);
	(void)close(lock);
	ASSERT_EQ(home_settle(home, id, &err), 0);
	ASSERT_EQ(access(in_home("run/1111111111111111"), F_OK), -1);
	ASSERT_EQ(sandbox_get(home, name, &sb, &err), 0);
	ASSERT_EQ(sandbox_wait(sb, NULL, &json, &err), 0);
	ASSERT(strstr(json, "\"crashed\"") && strstr(json, "\"monitor-killed\""));
	free(json);
	ASSERT_EQ(state_sandbox_claim(home->state, id, 5, &err), 0);
	add_run_folder(id, NULL);
	lock = open(in_home("run/1111111111111111/lock"), O_RDWR | O_CLOEXEC);
	ASSERT_EQ(flock(lock, LOCK_EX | LOCK_NB), 0);
	ASSERT_EQ(home_settle(home, id, &err), 1);
	ASSERT_EQ(state_sandbox_by_name(home->state, name, &row, &err), 0);
	ASSERT_STR(row.status, "starting");
	state_sandbox_done(&row);
	(void)close(lock);
	ASSERT_EQ(home_record_end(home, id, false, &end, &err), 0);
	ASSERT_EQ(sandbox_wait(sb, NULL, &json, &err), 0);
	ASSERT(strstr(json, "\"killed\""));
	free(json);
	sandbox_close(sb);
	home_close(home);
	remove_tree(AT_FDCWD, dir);
}

TEST(a_folder_of_an_earlier_boot_of_the_host)
{
	char id[] = "1111111111111111", name[] = "a";
	static const char other[] = "17 4711 01234567-89ab-cdef-0123-456789abcdef\n";
	struct state_sandbox row = { 0 };
	struct err err = ERR_INIT;
	struct home *home;
	int lock;

	make_dir();
	home = open_home();
	add_sandbox(home, id, name, false);
	add_run_folder(id, NULL);
	lock = open(in_home("run/1111111111111111/lock"), O_RDWR | O_CLOEXEC);
	ASSERT_EQ(write(lock, other, sizeof(other) - 1), (ssize_t)sizeof(other) - 1);
	(void)close(lock);
	ASSERT_EQ(home_settle(home, id, &err), 0);
	ASSERT_EQ(state_sandbox_by_name(home->state, name, &row, &err), 0);
	ASSERT_STR(row.status, "crashed");
	ASSERT_STR(row.reason, "host-rebooted");
	state_sandbox_done(&row);
	home_close(home);
	remove_tree(AT_FDCWD, dir);
}

/* A process that lives, but is not the one that the lock names. */
TEST(a_number_alone_is_not_signalled)
{
	struct monitor_identity me = { 0 };
	struct err err = ERR_INIT;
	char text[MONITOR_IDENTITY_MAX];
	int run_dir, lock;
	pid_t child;

	make_dir();
	child = fork();
	if (child == 0) {
		(void)pause();
		_exit(0);
	}
	run_dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	lock = openat(run_dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_EQ(flock(lock, LOCK_EX), 0);
	ASSERT_EQ(monitor_boot_id(me.boot), 0);
	ASSERT_EQ(monitor_start_time(child, &me.start), 0);
	(void)snprintf(text, sizeof(text), "%d %llu %s\n", child, (unsigned long long)me.start + 1,
		       me.boot);
	ASSERT_EQ(pwrite(lock, text, strlen(text), 0), (ssize_t)strlen(text));
	ASSERT_EQ(identity_kill(run_dir, &err), -ERR_DENIED);
	ASSERT_EQ(identity_pid(run_dir), 0);
	ASSERT_EQ(kill(child, 0), 0);
	(void)snprintf(text, sizeof(text), "%d %llu %s\n", child, (unsigned long long)me.start,
		       me.boot);
	ASSERT_EQ(ftruncate(lock, 0), 0);
	ASSERT_EQ(pwrite(lock, text, strlen(text), 0), (ssize_t)strlen(text));
	ASSERT_EQ(identity_pid(run_dir), child);
	ASSERT_EQ(identity_kill(run_dir, &err), 0);
	ASSERT_EQ(waitpid(child, NULL, 0), child);
	(void)close(lock);
	(void)close(run_dir);
	remove_tree(AT_FDCWD, dir);
}

TEST(logs_of_what_failed_are_kept_for_a_while)
{
	struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	struct home *home;
	char id[32];

	make_dir();
	home = open_home();
	for (int i = 0; i < 25; i++) {
		(void)snprintf(id, sizeof(id), "%016x", i);
		ASSERT_EQ(mkdirat(home->logs_fd, id, 0700), 0);
		kept_logs_keep(home, id);
		ASSERT(kept_logs_there(home, id));
	}
	ASSERT(!kept_logs_there(home, "0000000000000004"));
	ASSERT(kept_logs_there(home, "0000000000000005"));
	ASSERT_EQ(utimensat(home->logs_fd, "0000000000000005", old, 0), 0);
	ASSERT(!kept_logs_there(home, "0000000000000005"));
	kept_logs_keep(home, id);
	ASSERT_EQ(faccessat(home->logs_fd, "0000000000000005", F_OK, 0), -1);
	ASSERT(!kept_logs_there(home, "../run"));
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
		ASSERT(sandbox_create(home, c->spec, 0, NULL, &sb, &err) < 0);
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
