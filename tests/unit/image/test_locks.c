/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <pthread.h>
#include <sys/stat.h>

#include "../remove_tree.h"
#include "../tap.h"
#include "base/cancel.h"
#include "base/io.h"
#include "image/store.h"

struct fixture {
	char dir[32];
	int home;
	struct store *store;
	struct store_run *a, *b;
	struct cancel *cancel; /* of b */
	struct err err;
};

static const uint8_t one[SHA256_BYTES] = { 1, 2, 3 },
		     two[SHA256_BYTES] = { 1, 2, 3, 0, 0, 0, 0, 9 };

static void set_up(struct fixture *f)
{
	*f = (struct fixture){ .dir = "/tmp/test_locks_XXXXXX", .err = ERR_INIT };
	ASSERT(mkdtemp(f->dir) != NULL);
	f->home = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT(f->home >= 0);
	ASSERT_EQ(cancel_new(&f->cancel), 0);
	ASSERT_EQ(store_open(f->home, NULL, &f->store, &f->err), 0);
	ASSERT_EQ(store_run_open(f->store, NULL, &f->a, &f->err), 0);
	ASSERT_EQ(store_run_open(f->store, f->cancel, &f->b, &f->err), 0);
}

static void tear_down(struct fixture *f)
{
	store_run_close(f->a);
	store_run_close(f->b);
	cancel_free(f->cancel);
	store_close(f->store);
	remove_tree(AT_FDCWD, f->dir);
	(void)close(f->home);
}

TEST(what_is_held_is_not_removed)
{
	struct fixture f;

	set_up(&f);
	ASSERT_EQ(store_hold(f.a, one, &f.err), 0);
	ASSERT_EQ(store_hold(f.a, one, &f.err), 0);
	ASSERT_EQ(store_hold(f.b, one, &f.err), 0);
	ASSERT_EQ(store_remove_try(f.b, one), -EAGAIN);
	ASSERT_EQ(store_remove_try(f.b, two), 0);
	store_remove_end(f.b, two);
	store_run_close(f.a);
	f.a = NULL;
	ASSERT_EQ(store_remove_try(f.b, one), 0);
	tear_down(&f);
}

TEST(one_maker_at_a_time)
{
	struct fixture f;

	set_up(&f);
	ASSERT_EQ(store_hold(f.a, one, &f.err), 0);
	ASSERT_EQ(store_hold(f.b, one, &f.err), 0);
	ASSERT_EQ(store_make_try(f.a, one), 0);
	ASSERT_EQ(store_make_try(f.a, one), -EAGAIN); /* another thread of the same run */
	ASSERT_EQ(store_make_try(f.b, one), -EAGAIN);
	ASSERT_EQ(store_make_try(f.b, two), 0);
	store_make_end(f.a, one);
	ASSERT_EQ(store_make_try(f.b, one), 0);
	store_make_end(f.b, one);
	store_make_end(f.b, two);
	ASSERT_EQ(store_make_try(f.a, two), 0);
	ASSERT_EQ(store_remove_try(f.a, one), -EAGAIN);
	tear_down(&f);
}

TEST(waiting_ends_by_cancel)
{
	struct fixture f;

	set_up(&f);
	ASSERT_EQ(store_make_try(f.a, one), 0);
	ASSERT_EQ(store_remove_try(f.a, two), 0);
	cancel_fire(f.cancel);
	ASSERT(store_make_begin(f.b, one, &f.err) < 0);
	ASSERT_EQ(f.err.code, ERR_CANCELLED);
	f.err = ERR_INIT;
	ASSERT(store_hold(f.b, two, &f.err) < 0);
	ASSERT_EQ(f.err.code, ERR_CANCELLED);
	tear_down(&f);
}

#define THREADS 8
#define ROUNDS	50

struct worker {
	struct fixture *f;
	struct store_run *run;
	atomic_int *makers, *made;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	struct err err = ERR_INIT;

	for (int i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(store_make_begin(w->run, one, &err), 0);
		ASSERT_EQ(atomic_fetch_add(w->makers, 1), 0);
		atomic_fetch_add(w->made, 1);
		atomic_fetch_sub(w->makers, 1);
		store_make_end(w->run, one);
		ASSERT_EQ(store_hold(w->run, two, &err), 0);
	}
	return NULL;
}

TEST(threads_of_two_runs)
{
	struct worker w[THREADS];
	pthread_t threads[THREADS];
	atomic_int makers = 0, made = 0;
	struct fixture f;

	set_up(&f);
	for (int i = 0; i < THREADS; i++) {
		w[i] = (struct worker){ &f, i % 2 ? f.a : f.b, &makers, &made };
		ASSERT_EQ(pthread_create(&threads[i], NULL, work, &w[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(pthread_join(threads[i], NULL), 0);
	ASSERT_EQ(made, THREADS * ROUNDS);
	tear_down(&f);
}

static int count_tmp(struct fixture *f)
{
	int fd = openat(f->store->dir_fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC), n = 0;
	DIR *dir = fdopendir(fd);

	ASSERT(dir != NULL);
	while (readdir(dir))
		n++;
	(void)closedir(dir);
	return n - 2;
}

/* A run that is killed leaves files, and no lock: the next run takes the files away. */
TEST(what_a_killed_run_leaves)
{
	char name[STORE_NAME_MAX];
	struct fixture f;
	int ready[2], fd = -1, status;
	char byte;
	pid_t pid;

	set_up(&f);
	ASSERT_EQ(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	ASSERT(pid >= 0);
	if (pid == 0) {
		struct store_run *run = NULL;

		if (store_run_open(f.store, NULL, &run, &f.err) < 0 ||
		    store_run_file(run, name, &fd) < 0 || store_hold(run, one, &f.err) < 0 ||
		    store_make_try(run, one) < 0 || io_write_full(ready[1], "x", 1) < 0)
			_exit(1);
		for (;;)
			(void)pause();
	}
	ASSERT_EQ(io_read_full(ready[0], &byte, 1), 1);
	ASSERT_EQ(store_run_file(f.a, name, &fd), 0);
	(void)close(fd);
	ASSERT_EQ(store_make_try(f.a, one), -EAGAIN);
	ASSERT_EQ(store_remove_try(f.a, one), -EAGAIN);
	store_run_close(f.b);
	ASSERT_EQ(store_run_open(f.store, f.cancel, &f.b, &f.err), 0);
	ASSERT_EQ(count_tmp(&f), 2); /* both live */
	ASSERT_EQ(kill(pid, SIGKILL), 0);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	ASSERT_EQ(store_make_begin(f.a, one, &f.err), 0);
	ASSERT_EQ(store_remove_try(f.a, one), 0);
	store_run_close(f.b);
	ASSERT_EQ(store_run_open(f.store, f.cancel, &f.b, &f.err), 0);
	ASSERT_EQ(count_tmp(&f), 1);
	store_run_close(f.a);
	f.a = NULL;
	ASSERT_EQ(count_tmp(&f), 0);
	(void)close(ready[0]);
	(void)close(ready[1]);
	tear_down(&f);
}

/* A document that was damaged on disk is written anew. */
TEST(blobs_heal)
{
	uint8_t sha[SHA256_BYTES];
	char name[STORE_NAME_MAX];
	AUTO(buf_done) struct buf b = { 0 };
	struct fixture f;
	int fd;

	set_up(&f);
	ASSERT_EQ(store_put_blob(f.a, "{\"a\":1}", 7, sha, &f.err), 0);
	ASSERT_EQ(store_remove_try(f.b, sha), -EAGAIN);
	store_blob_name(sha, name);
	fd = openat(f.store->dir_fd, name, O_WRONLY | O_CLOEXEC);
	ASSERT_EQ(io_pwrite_full(fd, "2", 1, 5), 0);
	(void)close(fd);
	ASSERT(store_get_blob(f.store, sha, 100, &b, &f.err) < 0);
	ASSERT_EQ(f.err.code, ERR_IO);
	ASSERT_EQ(store_put_blob(f.b, "{\"a\":1}", 7, sha, &f.err), 0);
	ASSERT_EQ(store_get_blob(f.store, sha, 100, &b, &f.err), 0);
	ASSERT_EQ(b.len, 7);
	tear_down(&f);
}

TAP_MAIN()
