/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include "base/clock.h"
#include "sandbox/limits.h"

TEST(what_counts_as_use)
{
	static const struct {
		const char *name;
		struct limits_usage before, now;
		bool active;
	} cases[] = {
		{ "nothing", { 0, 100, 5 }, { 0, 100, 5 }, false },
		{ "a client", { 0, 100, 5 }, { 1, 100, 5 }, true },
		{ "a client that went", { 1, 100, 5 }, { 0, 100, 5 }, false },
		{ "a request of a disk", { 0, 100, 5 }, { 0, 100, 6 }, true },
		{ "a guest that ticks", { 0, 0, 5 }, { 0, 50 * NS_PER_MS, 5 }, false },
		{ "a guest that computes", { 0, 0, 5 }, { 0, 51 * NS_PER_MS, 5 }, true },
	};

	for_cases(c, cases)
		ASSERT_EQ(limits_active(&c->before, &c->now, NS_PER_S), c->active);
}

struct world {
	struct loop *loop;
	struct limits limits;
	struct limits_usage usage;
	enum end_event got;
	unsigned looks;
};

static struct limits_usage look_at(void *user)
{
	struct world *w = user;

	w->looks++;
	return w->usage;
}

static void due(void *user, enum end_event event)
{
	struct world *w = user;

	w->got = event;
	loop_stop(w->loop);
}

static const struct limits_events events = { .usage = look_at, .due = due };

static enum end_event first_of(const struct launch_spec *spec, int n_sessions, unsigned *ret_looks)
{
	struct world w = { .got = EVENT_MAX };

	ASSERT_EQ(loop_new(&w.loop), 0);
	ASSERT_EQ(limits_start(&w.limits, w.loop, spec, &events, &w), 0);
	for (; n_sessions >= 0; n_sessions--)
		limits_sessions(&w.limits, (unsigned)n_sessions);
	ASSERT_EQ(loop_run(w.loop), 0);
	limits_done(&w.limits);
	loop_free(w.loop);
	*ret_looks = w.looks;
	return w.got;
}

TEST(the_first_limit_that_is_due)
{
	unsigned looks;

	ASSERT_EQ(first_of(&(struct launch_spec){ .max_duration_ms = 1 }, -1, &looks),
		  EVENT_MAX_DURATION);
	ASSERT_EQ(looks, 0);
	ASSERT_EQ(first_of(&(struct launch_spec){ .linger_ms = 1 }, 1, &looks), EVENT_IDLE);
	ASSERT_EQ(looks, 0);
	ASSERT_EQ(first_of(&(struct launch_spec){ .idle_timeout_ms = 1 }, -1, &looks), EVENT_IDLE);
	ASSERT_EQ(looks, 2);
}

TEST(done_without_a_start)
{
	struct limits l = { 0 };

	limits_sessions(&l, 1);
	limits_touch(&l);
	limits_done(&l);
}

TAP_MAIN()
