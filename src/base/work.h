/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_WORK_H
#define BASE_WORK_H

#include "base/defer.h"
#include "base/err.h"
#include "base/loop.h"

/*
 * A pool of threads for calls that block.  A job is handed over whole: until done() runs,
 * nobody else touches it.
 */
struct work_pool;

/**
 * work_pool_new() - Start @n_threads threads, all signals but SIGXFSZ blocked in them
 * @loop:	Where done() runs; borrowed; NULL: done() runs on the worker
 */
MUST_CHECK int work_pool_new(struct loop *loop, unsigned n_threads, struct work_pool **ret_pool);

/* Finish all jobs that were submitted, then end the threads. */
void work_pool_free(struct work_pool *pool);
DEFINE_AUTO(struct work_pool *, work_pool_free);

/**
 * work_submit() - Run @fn(@job) on a worker, then @done(@job)
 * @done:	May be NULL
 * Any thread. Return: 0 or -ENOMEM.
 */
MUST_CHECK int work_submit(struct work_pool *pool, void *job, void (*fn)(void *job),
			   void (*done)(void *job));

#endif /* BASE_WORK_H */
