/* SPDX-License-Identifier: Apache-2.0 */
#include "base/work.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

struct job {
	struct job *next;
	void *arg;
	void (*fn)(void *);
	void (*done)(void *);
};

struct work_pool {
	struct loop *loop; /* borrowed; may be NULL */
	pthread_t *threads;
	unsigned n_threads;

	/* under lock */
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct job *jobs, **tail;
	bool ending;
};

static void finish(struct work_pool *pool, struct job *j)
{
	if (!j->done)
		return;
	/* Out of memory: better on this thread than never. */
	if (!pool->loop || loop_post(pool->loop, j->done, j->arg) < 0)
		j->done(j->arg);
}

static void *worker(void *arg)
{
	struct work_pool *pool = arg;

	(void)pthread_mutex_lock(&pool->lock);
	for (;;) {
		struct job *j = pool->jobs;

		if (!j && pool->ending)
			break;
		if (!j) {
			(void)pthread_cond_wait(&pool->more, &pool->lock);
			continue;
		}
		pool->jobs = j->next;
		if (!pool->jobs)
			pool->tail = &pool->jobs;
		(void)pthread_mutex_unlock(&pool->lock);
		j->fn(j->arg);
		finish(pool, j);
		free(j);
		(void)pthread_mutex_lock(&pool->lock);
	}
	(void)pthread_mutex_unlock(&pool->lock);
	return NULL;
}

int work_pool_new(struct loop *loop, unsigned n_threads, struct work_pool **ret_pool)
{
	AUTO(work_pool_free) struct work_pool *pool = calloc(1, sizeof(*pool));
	sigset_t all, old;
	int r = 0;

	if (!pool)
		return -ENOMEM;
	pool->loop = loop;
	pool->tail = &pool->jobs;
	(void)pthread_mutex_init(&pool->lock, NULL);
	(void)pthread_cond_init(&pool->more, NULL);
	pool->threads = calloc(n_threads, sizeof(*pool->threads));
	if (!pool->threads)
		return -ENOMEM;
	(void)sigfillset(&all);
	(void)sigdelset(&all, SIGXFSZ); /* goes to the thread that writes, and means the process */
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	while (r == 0 && pool->n_threads < n_threads) {
		r = pthread_create(&pool->threads[pool->n_threads], NULL, worker, pool);
		pool->n_threads += r == 0;
	}
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r != 0)
		return -r;
	*ret_pool = TAKE_PTR(pool);
	return 0;
}

void work_pool_free(struct work_pool *pool)
{
	if (!pool)
		return;
	(void)pthread_mutex_lock(&pool->lock);
	pool->ending = true;
	(void)pthread_cond_broadcast(&pool->more);
	(void)pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->n_threads; i++)
		(void)pthread_join(pool->threads[i], NULL);
	(void)pthread_cond_destroy(&pool->more);
	(void)pthread_mutex_destroy(&pool->lock);
	free(pool->threads);
	free(pool);
}

int work_submit(struct work_pool *pool, void *job, void (*fn)(void *job), void (*done)(void *job))
{
	struct job *j = malloc(sizeof(*j));

	if (!j)
		return -ENOMEM;
	*j = (struct job){ .arg = job, .fn = fn, .done = done };
	(void)pthread_mutex_lock(&pool->lock);
	*pool->tail = j;
	pool->tail = &j->next;
	(void)pthread_cond_signal(&pool->more);
	(void)pthread_mutex_unlock(&pool->lock);
	return 0;
}
