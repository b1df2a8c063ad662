/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: the loop
 *
 * Sources sit in an array of pointers; epoll's 64 bits hold slot and generation.  A removed
 * source is freed at once and its slot gets a new generation, so a stale event of the same
 * batch meets a different generation and is dropped.  Timers share the ids: they sit in a
 * second array, unsorted, since a process of ours has a handful of them; the nearest one
 * gives epoll_wait() its time-out.  Posts come through a list under a lock and an eventfd.
 */
#include "base/loop.h"

#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"

#define LOOP_BATCH 64 /* events of one epoll_wait() */

enum source_kind { SOURCE_FREE, SOURCE_FD, SOURCE_TIMER };

struct source {
	enum source_kind kind;
	uint32_t generation; /* never 0, so that no id is 0 */
	int fd;
	uint32_t events; /* as registered */
	uint64_t deadline_ns;
	loop_fd_fn fd_fn;
	loop_fn timer_fn;
	void *user;
};

struct post {
	struct post *next;
	loop_fn fn;
	void *user;
};

struct loop {
	/* loop thread only */
	int epoll_fd;		/* owned */
	int wake_fd;		/* owned; eventfd */
	struct source *sources; /* owned array; an element may move, ids do not */
	uint32_t n_sources;
	uint32_t n_timers;

	/* any thread */
	bool stopping; /* atomic; release by loop_stop(), acquire by loop_run() */

	/* under lock */
	pthread_mutex_t lock;
	struct post *posts, **posts_tail;
};

static loop_id id_of(uint32_t slot, uint32_t generation)
{
	return (uint64_t)generation << 32 | slot;
}

static struct source *find(struct loop *loop, loop_id id)
{
	uint32_t slot = (uint32_t)id;
	struct source *s;

	if (slot >= loop->n_sources)
		return NULL;
	s = &loop->sources[slot];
	return s->kind != SOURCE_FREE && s->generation == (uint32_t)(id >> 32) ? s : NULL;
}

static int take_slot(struct loop *loop, uint32_t *ret_slot)
{
	struct source *more;
	uint32_t n = loop->n_sources ? 2 * loop->n_sources : 16;

	for (uint32_t i = 0; i < loop->n_sources; i++) {
		if (loop->sources[i].kind == SOURCE_FREE) {
			*ret_slot = i;
			return 0;
		}
	}
	more = reallocarray(loop->sources, n, sizeof(*more));
	if (!more)
		return -ENOMEM;
	for (uint32_t i = loop->n_sources; i < n; i++)
		more[i] = (struct source){ .generation = 1 };
	*ret_slot = loop->n_sources;
	loop->sources = more;
	loop->n_sources = n;
	return 0;
}

static void release(struct loop *loop, struct source *s)
{
	if (s->kind == SOURCE_TIMER)
		loop->n_timers--;
	s->kind = SOURCE_FREE;
	if (++s->generation == 0)
		s->generation = 1;
}

int loop_new(struct loop **ret_loop)
{
	AUTO(loop_free) struct loop *loop = calloc(1, sizeof(*loop));
	struct epoll_event ev = { .events = EPOLLIN };

	if (!loop)
		return -ENOMEM;
	loop->epoll_fd = loop->wake_fd = -1;
	loop->posts_tail = &loop->posts;
	(void)pthread_mutex_init(&loop->lock, NULL); /* cannot fail without attributes */
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0)
		return -errno;
	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->wake_fd < 0)
		return -errno;
	ev.data.u64 = 0; /* no source has id 0 */
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &ev) < 0)
		return -errno;
	*ret_loop = TAKE_PTR(loop);
	return 0;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	while (loop->posts) {
		struct post *p = loop->posts;

		loop->posts = p->next;
		free(p);
	}
	if (loop->epoll_fd >= 0)
		(void)close(loop->epoll_fd);
	if (loop->wake_fd >= 0)
		(void)close(loop->wake_fd);
	(void)pthread_mutex_destroy(&loop->lock);
	free(loop->sources);
	free(loop);
}

int loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_fd_fn fn, void *user,
		loop_id *ret_id)
{
	struct epoll_event ev = { .events = events };
	uint32_t slot;
	struct source *s;
	int r = take_slot(loop, &slot);

	if (r < 0)
		return r;
	s = &loop->sources[slot];
	ev.data.u64 = id_of(slot, s->generation);
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;
	s->kind = SOURCE_FD;
	s->events = events;
	s->fd = fd;
	s->fd_fn = fn;
	s->user = user;
	*ret_id = ev.data.u64;
	return 0;
}

void loop_set_events(struct loop *loop, loop_id id, uint32_t events)
{
	struct source *s = find(loop, id);
	struct epoll_event ev = { .events = events, .data.u64 = id };

	/* The descriptor is registered, so this cannot fail but for want of kernel memory. */
	if (s && s->kind == SOURCE_FD && s->events != events &&
	    epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, s->fd, &ev) == 0)
		s->events = events;
}

int loop_add_timer(struct loop *loop, uint64_t deadline_ns, loop_fn fn, void *user, loop_id *ret_id)
{
	uint32_t slot;
	struct source *s;
	int r = take_slot(loop, &slot);

	if (r < 0)
		return r;
	s = &loop->sources[slot];
	s->kind = SOURCE_TIMER;
	s->deadline_ns = deadline_ns;
	s->timer_fn = fn;
	s->user = user;
	loop->n_timers++;
	*ret_id = id_of(slot, s->generation);
	return 0;
}

void loop_remove(struct loop *loop, loop_id *id)
{
	struct source *s = find(loop, *id);

	if (s && s->kind == SOURCE_FD)
		(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
	if (s)
		release(loop, s);
	*id = 0;
}

static void wake(struct loop *loop)
{
	uint64_t one = 1;

	/* It can only fail when the counter is full, and then the loop is awake anyway. */
	if (write(loop->wake_fd, &one, sizeof(one)) < 0)
		return;
}

int loop_post(struct loop *loop, loop_fn fn, void *user)
{
	struct post *p = malloc(sizeof(*p));

	if (!p)
		return -ENOMEM;
	*p = (struct post){ .fn = fn, .user = user };
	(void)pthread_mutex_lock(&loop->lock);
	*loop->posts_tail = p;
	loop->posts_tail = &p->next;
	(void)pthread_mutex_unlock(&loop->lock);
	wake(loop);
	return 0;
}

void loop_stop(struct loop *loop)
{
	__atomic_store_n(&loop->stopping, true, __ATOMIC_RELEASE);
	wake(loop);
}

static void run_posts(struct loop *loop)
{
	struct post *list;
	uint64_t count;

	if (read(loop->wake_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return;
	(void)pthread_mutex_lock(&loop->lock);
	list = loop->posts;
	loop->posts = NULL;
	loop->posts_tail = &loop->posts;
	(void)pthread_mutex_unlock(&loop->lock);
	while (list) {
		struct post p = *list;

		free(list);
		list = p.next;
		p.fn(p.user);
	}
}

/* Milliseconds until the nearest timer, rounded up; -1 without timers. */
static int wait_ms(const struct loop *loop)
{
	uint64_t nearest = UINT64_MAX, now;

	if (loop->n_timers == 0)
		return -1;
	for (uint32_t i = 0; i < loop->n_sources; i++)
		if (loop->sources[i].kind == SOURCE_TIMER && loop->sources[i].deadline_ns < nearest)
			nearest = loop->sources[i].deadline_ns;
	now = clock_now_ns();
	if (nearest <= now)
		return 0;
	nearest = (nearest - now + NS_PER_MS - 1) / NS_PER_MS;
	return nearest > 1000000 ? 1000000 : (int)nearest;
}

static void run_timers(struct loop *loop)
{
	uint64_t now;

	if (loop->n_timers == 0)
		return;
	now = clock_now_ns();
	for (uint32_t i = 0; i < loop->n_sources; i++) {
		struct source s = loop->sources[i];

		if (s.kind != SOURCE_TIMER || s.deadline_ns > now)
			continue;
		release(loop, &loop->sources[i]);
		s.timer_fn(s.user);
	}
}

int loop_run(struct loop *loop)
{
	struct epoll_event events[LOOP_BATCH];

	while (!__atomic_load_n(&loop->stopping, __ATOMIC_ACQUIRE)) {
		int n = epoll_wait(loop->epoll_fd, events, LOOP_BATCH, wait_ms(loop));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (int i = 0; i < n; i++) {
			const struct source *s;

			if (events[i].data.u64 == 0) {
				run_posts(loop);
				continue;
			}
			s = find(loop, events[i].data.u64);
			if (s)
				s->fd_fn(s->user, events[i].events);
		}
		run_timers(loop);
	}
	__atomic_store_n(&loop->stopping, false, __ATOMIC_RELAXED);
	return 0;
}
