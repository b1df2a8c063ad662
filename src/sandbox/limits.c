/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/limits.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define LOOKS	      4	       /* in one idle time-out */
#define LOOK_EVERY_NS NS_PER_S /* at most */

bool limits_active(const struct limits_usage *before, const struct limits_usage *now,
		   uint64_t elapsed_ns)
{
	return now->attached || now->io_ns != before->io_ns ||
	       (now->cpu_ns - before->cpu_ns) * 100 > elapsed_ns * IDLE_CPU_PERCENT;
}

static void look(void *user);

static void look_later(struct limits *l)
{
	uint64_t every = l->idle_ns / LOOKS;

	if (every < LOOK_EVERY_NS)
		every = LOOK_EVERY_NS;
	if (loop_add_timer(l->loop, l->looked_ns + every, look, l, &l->idle_id) < 0)
		log_error("out of memory: the idle time-out is not kept");
}

static void look(void *user)
{
	struct limits *l = user;
	uint64_t now = clock_now_ns();
	struct limits_usage usage = l->events->usage(l->user);

	l->idle_id = 0;
	if (limits_active(&l->last, &usage, now - l->looked_ns))
		l->active_ns = now;
	l->last = usage;
	l->looked_ns = now;
	if (now - l->active_ns >= l->idle_ns)
		l->events->due(l->user, EVENT_IDLE);
	else
		look_later(l);
}

static void max_due(void *user, uint32_t events)
{
	struct limits *l = user;

	loop_remove(l->loop, &l->max_id);
	l->events->due(l->user, EVENT_MAX_DURATION);
}

/* Time that the host sleeps counts, and setting its clock does not. */
static int start_max(struct limits *l, uint64_t ms)
{
	struct itimerspec at = { .it_value = { .tv_sec = (time_t)(ms / 1000),
					       .tv_nsec = (long)(ms % 1000 * NS_PER_MS) } };

	l->max_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (l->max_fd < 0 || timerfd_settime(l->max_fd, 0, &at, NULL) < 0)
		return -errno;
	return loop_add_fd(l->loop, l->max_fd, EPOLLIN, max_due, l, &l->max_id);
}

static void linger_due(void *user)
{
	struct limits *l = user;

	l->linger_id = 0;
	if (!l->has_session)
		l->events->due(l->user, EVENT_IDLE);
}

static void linger(struct limits *l)
{
	uint64_t ns = l->linger_ns;

	if (!l->had_session && ns < LINGER_FIRST_MS * NS_PER_MS)
		ns = LINGER_FIRST_MS * NS_PER_MS;
	loop_remove(l->loop, &l->linger_id);
	if (l->has_session || !l->linger_ns)
		return;
	if (loop_add_timer(l->loop, clock_now_ns() + ns, linger_due, l, &l->linger_id) < 0)
		log_error("out of memory: the sandbox lingers on");
}

int limits_start(struct limits *l, struct loop *loop, const struct launch_spec *spec,
		 const struct limits_events *events, void *user)
{
	*l = (struct limits){
		.loop = loop,
		.events = events,
		.user = user,
		.idle_ns = spec->idle_timeout_ms * NS_PER_MS,
		.linger_ns = spec->linger_ms * NS_PER_MS,
		.max_fd = -1,
	};
	if (l->idle_ns) {
		l->last = events->usage(user);
		l->looked_ns = l->active_ns = clock_now_ns();
		look_later(l);
	}
	linger(l);
	return spec->max_duration_ms ? start_max(l, spec->max_duration_ms) : 0;
}

void limits_sessions(struct limits *l, unsigned n_live)
{
	if (!l->loop)
		return;
	l->has_session = n_live > 0;
	l->had_session = true;
	limits_touch(l);
	linger(l);
}

void limits_touch(struct limits *l)
{
	l->active_ns = clock_now_ns();
}

void limits_done(struct limits *l)
{
	if (!l->loop)
		return;
	loop_remove(l->loop, &l->max_id);
	loop_remove(l->loop, &l->idle_id);
	loop_remove(l->loop, &l->linger_id);
	if (l->max_fd >= 0)
		(void)close(l->max_fd);
	*l = (struct limits){ .max_fd = -1 };
}
