/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/thread.h"

#include <signal.h>

#include "base/clock.h"
#include "base/log.h"

int loop_thread_init(struct loop_thread *t, const char *name)
{
	*t = (struct loop_thread){ .name = name };
	return loop_new(&t->loop);
}

static void *thread_main(void *arg)
{
	struct loop_thread *t = arg;
	int r;

	(void)pthread_setname_np(pthread_self(), t->name);
	r = loop_run(t->loop);
	if (r < 0)
		log_error("the loop of thread '%s' failed: error %d", t->name, -r);
	return NULL;
}

int loop_thread_start(struct loop_thread *t)
{
	sigset_t all, old;
	int r;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&t->thread, NULL, thread_main, t);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	t->running = r == 0;
	return -r;
}

uint64_t loop_thread_cpu_ns(const struct loop_thread *t)
{
	struct timespec at = { 0 };
	clockid_t clock;

	if (!t->running || pthread_getcpuclockid(t->thread, &clock) != 0 ||
	    clock_gettime(clock, &at) < 0)
		return 0;
	return (uint64_t)at.tv_sec * NS_PER_S + (uint64_t)at.tv_nsec;
}

void loop_thread_stop(struct loop_thread *t)
{
	if (!t->running)
		return;
	loop_stop(t->loop);
	(void)pthread_join(t->thread, NULL);
	t->running = false;
}

void loop_thread_done(struct loop_thread *t)
{
	loop_free(t->loop);
	t->loop = NULL;
}
