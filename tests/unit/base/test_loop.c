/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/loop.h"
#include "base/work.h"

struct ctx {
	struct loop *loop;
	loop_id a, b;
	int fds[2];
	int n_a, n_b, n_posts, n_done;
};

static void remove_both(void *user, uint32_t events)
{
	struct ctx *c = user;

	c->n_a++;
	loop_remove(c->loop, &c->a);
	loop_remove(c->loop, &c->b);
	loop_stop(c->loop);
}

TEST(a_source_removed_in_the_batch_gets_no_event)
{
	struct ctx c = { 0 };
	int other[2];

	ASSERT_EQ(loop_new(&c.loop), 0);
	ASSERT(pipe(c.fds) == 0 && pipe(other) == 0);
	ASSERT(write(c.fds[1], "x", 1) == 1 && write(other[1], "x", 1) == 1);
	/* Both are ready in one batch; whoever comes first removes the other. */
	ASSERT_EQ(loop_add_fd(c.loop, c.fds[0], EPOLLIN, remove_both, &c, &c.a), 0);
	ASSERT_EQ(loop_add_fd(c.loop, other[0], EPOLLIN, remove_both, &c, &c.b), 0);
	ASSERT_EQ(loop_run(c.loop), 0);
	ASSERT_EQ(c.n_a, 1);
	loop_free(c.loop);
}

static void on_post(void *user)
{
	struct ctx *c = user;

	if (++c->n_posts == 1000)
		loop_stop(c->loop);
}

static void *poster(void *user)
{
	struct ctx *c = user;

	for (int i = 0; i < 500; i++)
		ASSERT_EQ(loop_post(c->loop, on_post, c), 0);
	return NULL;
}

TEST(posts_from_other_threads_all_arrive)
{
	struct ctx c = { 0 };
	pthread_t t[2];

	ASSERT_EQ(loop_new(&c.loop), 0);
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, poster, &c), 0);
	ASSERT_EQ(loop_run(c.loop), 0);
	ASSERT_EQ(c.n_posts, 1000);
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(pthread_join(t[i], NULL), 0);
	loop_free(c.loop);
}

static void never(void *user)
{
	ASSERT(!"a removed timer ran");
}

static void stop(void *user)
{
	loop_stop(user);
}

TEST(timers_run_once_and_can_be_removed)
{
	struct loop *loop;
	loop_id early, late;
	uint64_t now = clock_now_ns();

	ASSERT_EQ(loop_new(&loop), 0);
	ASSERT_EQ(loop_add_timer(loop, now + NS_PER_MS, never, NULL, &early), 0);
	ASSERT_EQ(loop_add_timer(loop, now + 5 * NS_PER_MS, stop, loop, &late), 0);
	loop_remove(loop, &early);
	loop_remove(loop, &early); /* harmless */
	ASSERT_EQ(loop_run(loop), 0);
	ASSERT(clock_now_ns() - now >= 5 * NS_PER_MS);
	loop_free(loop);
}

static void job(void *arg)
{
	struct ctx *c = arg;

	__atomic_add_fetch(&c->n_a, 1, __ATOMIC_RELAXED);
}

static void job_done(void *arg)
{
	struct ctx *c = arg;

	if (++c->n_done == 100)
		loop_stop(c->loop);
}

TEST(jobs_run_on_workers_and_end_on_the_loop)
{
	struct ctx c = { 0 };
	struct work_pool *pool;

	ASSERT_EQ(loop_new(&c.loop), 0);
	ASSERT_EQ(work_pool_new(c.loop, 3, &pool), 0);
	for (int i = 0; i < 100; i++)
		ASSERT_EQ(work_submit(pool, &c, job, job_done), 0);
	ASSERT_EQ(loop_run(c.loop), 0);
	ASSERT_EQ(c.n_a, 100);
	work_pool_free(pool);
	loop_free(c.loop);
}

TAP_MAIN()
