/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include "base/clock.h"
#include "sandbox/ending.h"

#define NOW    (1000 * NS_PER_S)
#define MS(ms) (NOW + (ms)*NS_PER_MS)
#define ASK    (END_DO_SHUTDOWN | END_DO_TIMER)

/* One event in a state, and what must come out. */
static const struct {
	const char *name;
	enum end_state from;
	bool flush, sessions, streams;
	enum end_event event;
	uint32_t grace_ms;
	unsigned todo;
	enum end_state to;
	enum end_reason reason;
	uint32_t ask_ms;      /* with END_DO_SHUTDOWN */
	uint64_t deadline_ns; /* with END_DO_TIMER */
} cases[] = {
	{ "ready", END_STARTING, 1, 0, 0, EVENT_READY, 0, 0, END_RUNNING, REASON_NONE, 0, 0 },
	{ "stop while it starts", END_STARTING, 1, 0, 0, EVENT_STOP, 9, END_DO_CUT, END_CUT,
	  REASON_STOP_REQUESTED, 0, 0 },
	{ "time-out of the start", END_STARTING, 1, 0, 0, EVENT_TIMEOUT, 0, END_DO_CUT, END_CUT,
	  REASON_BOOT_FAILED, 0, 0 },
	{ "the agent cannot boot", END_STARTING, 1, 0, 0, EVENT_BOOT_FAILED, 0, END_DO_CUT, END_CUT,
	  REASON_BOOT_FAILED, 0, 0 },
	{ "the agent is lost at boot", END_STARTING, 1, 0, 0, EVENT_AGENT_LOST, 0, END_DO_CUT,
	  END_CUT, REASON_BOOT_FAILED, 0, 0 },
	{ "the guest goes down at boot", END_STARTING, 1, 0, 0, EVENT_ENGINE_ENDED, 0,
	  END_DO_FINISH, END_GONE, REASON_BOOT_FAILED, 0, 0 },
	{ "a panic at boot", END_STARTING, 1, 0, 0, EVENT_ENGINE_PANIC, 0, END_DO_FINISH, END_GONE,
	  REASON_BOOT_FAILED, 0, 0 },

	{ "stop", END_RUNNING, 1, 1, 0, EVENT_STOP, 10000, ASK, END_ASKED, REASON_STOP_REQUESTED,
	  10000, MS(15300) },
	{ "stop for ever", END_RUNNING, 1, 1, 0, EVENT_STOP, UINT32_MAX, ASK, END_ASKED,
	  REASON_STOP_REQUESTED, END_GRACE_MAX_MS, MS(3605300) },
	{ "kill", END_RUNNING, 1, 1, 0, EVENT_KILL, 10000, ASK, END_ASKED, REASON_KILLED, 0,
	  MS(2300) },
	{ "cut", END_RUNNING, 1, 1, 1, EVENT_CUT, 0, END_DO_CUT, END_CUT, REASON_KILLED, 0, 0 },
	{ "parent died", END_RUNNING, 1, 1, 0, EVENT_PARENT_EXITED, 0, ASK, END_ASKED,
	  REASON_PARENT_EXITED, 5000, MS(10300) },
	{ "signal", END_RUNNING, 1, 0, 0, EVENT_HOST_SIGNAL, 0, ASK, END_ASKED, REASON_HOST_SIGNAL,
	  5000, MS(10300) },
	{ "main ended", END_RUNNING, 1, 0, 1, EVENT_MAIN_EXITED, 0, ASK, END_ASKED,
	  REASON_MAIN_EXITED, 2000, MS(7300) },
	{ "main ended, nothing to keep", END_RUNNING, 0, 0, 0, EVENT_MAIN_EXITED, 0, END_DO_CUT,
	  END_CUT, REASON_MAIN_EXITED, 0, 0 },
	{ "main ended, a client reads", END_RUNNING, 0, 0, 1, EVENT_MAIN_EXITED, 0, END_DO_TIMER,
	  END_DRAINING, REASON_MAIN_EXITED, 0, MS(1000) },
	{ "main ended, others live", END_RUNNING, 0, 1, 1, EVENT_MAIN_EXITED, 0, ASK, END_ASKED,
	  REASON_MAIN_EXITED, 2000, MS(7300) },
	{ "a session ended", END_RUNNING, 1, 0, 0, EVENT_QUIET, 0, 0, END_RUNNING, REASON_NONE, 0,
	  0 },
	{ "the guest halts", END_RUNNING, 1, 0, 0, EVENT_ENGINE_ENDED, 0, END_DO_FINISH, END_GONE,
	  REASON_GUEST_POWEROFF, 0, 0 },
	{ "the guest stops its CPUs", END_RUNNING, 1, 0, 0, EVENT_HALTED, 0, END_DO_CUT, END_CUT,
	  REASON_GUEST_POWEROFF, 0, 0 },
	{ "CPUs stop when asked", END_ASKED, 1, 0, 0, EVENT_HALTED, 0, END_DO_CUT, END_CUT,
	  REASON_STOP_REQUESTED, 0, 0 },
	{ "panic", END_RUNNING, 1, 0, 0, EVENT_ENGINE_PANIC, 0, END_DO_FINISH, END_GONE,
	  REASON_GUEST_PANIC, 0, 0 },
	{ "QEMU died", END_RUNNING, 1, 0, 0, EVENT_ENGINE_FAILED, 0, END_DO_FINISH, END_GONE,
	  REASON_ENGINE_FAILED, 0, 0 },
	{ "the agent is lost", END_RUNNING, 1, 0, 0, EVENT_AGENT_LOST, 0, END_DO_TIMER, END_LOST,
	  REASON_NONE, 0, MS(1000) },

	{ "max duration", END_RUNNING, 1, 1, 1, EVENT_MAX_DURATION, 0, ASK, END_ASKED,
	  REASON_MAX_DURATION, 10000, MS(15300) },
	{ "idle", END_RUNNING, 1, 1, 0, EVENT_IDLE, 0, ASK, END_ASKED, REASON_IDLE, 10000,
	  MS(15300) },
	{ "drain", END_RUNNING, 1, 1, 0, EVENT_DRAIN, 0, END_DO_REFUSE, END_REFUSING, REASON_NONE,
	  0, 0 },
	{ "drain, but not for long", END_RUNNING, 1, 1, 0, EVENT_DRAIN, 500,
	  END_DO_REFUSE | END_DO_TIMER, END_REFUSING, REASON_NONE, 0, MS(500) },
	{ "drain without sessions", END_RUNNING, 1, 0, 0, EVENT_DRAIN, 0, ASK, END_ASKED,
	  REASON_DRAINED, 9000, MS(14300) },
	{ "drain while it starts", END_STARTING, 1, 0, 0, EVENT_DRAIN, 0, END_DO_CUT, END_CUT,
	  REASON_DRAINED, 0, 0 },
	{ "drain while it stops", END_ASKED, 1, 1, 0, EVENT_DRAIN, 0, 0, END_ASKED,
	  REASON_STOP_REQUESTED, 0, 0 },
	{ "one session less", END_REFUSING, 1, 1, 0, EVENT_QUIET, 0, 0, END_REFUSING, REASON_NONE,
	  0, 0 },
	{ "all sessions ended", END_REFUSING, 1, 0, 0, EVENT_QUIET, 0, ASK, END_ASKED,
	  REASON_DRAINED, 9000, MS(14300) },
	{ "main ended, the others drain", END_REFUSING, 1, 1, 0, EVENT_MAIN_EXITED, 0, 0,
	  END_REFUSING, REASON_NONE, 0, 0 },
	{ "main was the last", END_REFUSING, 1, 0, 0, EVENT_MAIN_EXITED, 0, ASK, END_ASKED,
	  REASON_DRAINED, 9000, MS(14300) },
	{ "drained long enough", END_REFUSING, 1, 1, 0, EVENT_TIMEOUT, 0, ASK, END_ASKED,
	  REASON_DRAINED, 9000, MS(14300) },
	{ "a stop overtakes a drain", END_REFUSING, 1, 1, 0, EVENT_STOP, 100, ASK, END_ASKED,
	  REASON_STOP_REQUESTED, 100, MS(5400) },
	{ "a kill overtakes a drain", END_REFUSING, 1, 1, 0, EVENT_KILL, 0, ASK, END_ASKED,
	  REASON_KILLED, 0, MS(2300) },
	{ "max duration while it drains", END_REFUSING, 1, 1, 0, EVENT_MAX_DURATION, 0, ASK,
	  END_ASKED, REASON_MAX_DURATION, 10000, MS(15300) },
	{ "the guest halts while it drains", END_REFUSING, 1, 1, 0, EVENT_HALTED, 0, END_DO_CUT,
	  END_CUT, REASON_GUEST_POWEROFF, 0, 0 },

	{ "flushed", END_ASKED, 1, 0, 0, EVENT_FLUSHED, 0, END_DO_CUT, END_CUT,
	  REASON_STOP_REQUESTED, 0, 0 },
	{ "flushed, a client reads", END_ASKED, 1, 0, 1, EVENT_FLUSHED, 0, END_DO_TIMER,
	  END_DRAINING, REASON_STOP_REQUESTED, 0, MS(1000) },
	{ "a second stop", END_ASKED, 1, 1, 0, EVENT_STOP, 99, 0, END_ASKED, REASON_STOP_REQUESTED,
	  0, 0 },
	{ "a kill overtakes", END_ASKED, 1, 1, 0, EVENT_KILL, 0, ASK, END_ASKED, REASON_KILLED, 0,
	  MS(2300) },
	{ "a cut overtakes", END_ASKED, 1, 1, 0, EVENT_CUT, 0, END_DO_CUT, END_CUT, REASON_KILLED,
	  0, 0 },
	{ "nothing to flush, all ended", END_ASKED, 0, 0, 0, EVENT_QUIET, 0, END_DO_CUT, END_CUT,
	  REASON_STOP_REQUESTED, 0, 0 },
	{ "all ended, but to flush", END_ASKED, 1, 0, 0, EVENT_QUIET, 0, 0, END_ASKED,
	  REASON_STOP_REQUESTED, 0, 0 },
	{ "no answer", END_ASKED, 1, 1, 0, EVENT_TIMEOUT, 0, END_DO_CUT, END_CUT,
	  REASON_STOP_REQUESTED, 0, 0 },
	{ "down by itself", END_ASKED, 1, 1, 0, EVENT_ENGINE_ENDED, 0, END_DO_FINISH, END_GONE,
	  REASON_STOP_REQUESTED, 0, 0 },

	{ "drained", END_DRAINING, 1, 0, 0, EVENT_QUIET, 0, END_DO_CUT, END_CUT, REASON_MAIN_EXITED,
	  0, 0 },
	{ "not yet drained", END_DRAINING, 1, 0, 1, EVENT_QUIET, 0, 0, END_DRAINING,
	  REASON_MAIN_EXITED, 0, 0 },
	{ "a client does not read", END_DRAINING, 1, 0, 1, EVENT_TIMEOUT, 0, END_DO_CUT, END_CUT,
	  REASON_MAIN_EXITED, 0, 0 },
	{ "kill while draining", END_DRAINING, 1, 0, 1, EVENT_KILL, 0, END_DO_CUT, END_CUT,
	  REASON_KILLED, 0, 0 },

	{ "lost, still there", END_LOST, 1, 0, 0, EVENT_TIMEOUT, 0, END_DO_CUT, END_CUT,
	  REASON_AGENT_LOST, 0, 0 },
	{ "lost, then down", END_LOST, 1, 0, 0, EVENT_ENGINE_ENDED, 0, END_DO_FINISH, END_GONE,
	  REASON_GUEST_POWEROFF, 0, 0 },
	{ "stop after the cut", END_CUT, 1, 0, 0, EVENT_STOP, 0, 0, END_CUT, REASON_KILLED, 0, 0 },
	{ "gone after the cut", END_CUT, 1, 0, 0, EVENT_ENGINE_ENDED, 0, END_DO_FINISH, END_GONE,
	  REASON_KILLED, 0, 0 },
	{ "gone twice", END_GONE, 1, 0, 0, EVENT_ENGINE_ENDED, 0, 0, END_GONE, REASON_KILLED, 0,
	  0 },
};

/* The reason that stands when a row begins. */
static enum end_reason reason_in(enum end_state state)
{
	static const enum end_reason reasons[END_STATE_MAX] = {
		[END_ASKED] = REASON_STOP_REQUESTED,
		[END_DRAINING] = REASON_MAIN_EXITED,
		[END_CUT] = REASON_KILLED,
		[END_GONE] = REASON_KILLED,
	};

	return reasons[state];
}

TEST(events)
{
	for_cases(c, cases) {
		struct ending e;

		ending_init(&e, c->flush, 9000);
		e.state = c->from;
		e.reason = reason_in(c->from);
		e.sessions = c->sessions;
		e.streams = c->streams;
		e.deadline_ns = MS(60000);
		ASSERT_EQ(ending_event(&e, c->event, c->grace_ms, NOW), c->todo);
		ASSERT_EQ(e.state, c->to);
		ASSERT_EQ(e.reason, c->reason);
		if (c->todo & END_DO_SHUTDOWN)
			ASSERT_EQ(e.grace_ms, c->ask_ms);
		if (c->todo & END_DO_TIMER)
			ASSERT_EQ(e.deadline_ns, c->deadline_ns);
		ASSERT_EQ(e.flushed, c->event == EVENT_FLUSHED);
	}
}

/* Whatever comes in whatever order: it ends, and only once. */
TEST(any_order_ends)
{
	uint32_t seed = 1;

	for (int round = 0; round < 20000; round++) {
		struct ending e;
		int finished = 0;

		ending_init(&e, round & 1, 9000);
		for (int i = 0; i < 30; i++) {
			seed = seed * 1664525 + 1013904223;
			e.sessions = seed >> 30 & 1;
			e.streams = seed >> 29 & 1;
			finished += (ending_event(&e, (seed >> 16) % EVENT_MAX, seed & 0xfff, NOW) &
				     END_DO_FINISH) != 0;
		}
		(void)ending_event(&e, EVENT_CUT, 0, NOW);
		finished += ending_event(&e, EVENT_ENGINE_ENDED, 0, NOW) & END_DO_FINISH ? 1 : 0;
		ASSERT_EQ(finished, 1);
		ASSERT(e.reason != REASON_NONE);
	}
}

TEST(a_second_drain_only_shortens)
{
	struct ending e;

	ending_init(&e, true, 9000);
	e.sessions = true;
	(void)ending_event(&e, EVENT_READY, 0, NOW);
	ASSERT_EQ(ending_event(&e, EVENT_DRAIN, 0, NOW), END_DO_REFUSE);
	ASSERT_EQ(ending_event(&e, EVENT_DRAIN, 700, NOW), END_DO_REFUSE | END_DO_TIMER);
	ASSERT_EQ(ending_event(&e, EVENT_DRAIN, 900, NOW), END_DO_REFUSE);
	ASSERT_EQ(ending_event(&e, EVENT_DRAIN, 0, NOW), END_DO_REFUSE);
	ASSERT_EQ(e.deadline_ns, MS(700));
}

/* Random events: the states follow each other only as runtime.md has it (section 1). */
TEST(no_other_edge)
{
	static const unsigned edges[END_STATE_MAX] = {
		[END_STARTING] = 1u << END_RUNNING | 1u << END_CUT | 1u << END_GONE,
		[END_RUNNING] = 1u << END_REFUSING | 1u << END_ASKED | 1u << END_DRAINING |
				1u << END_LOST | 1u << END_CUT | 1u << END_GONE,
		[END_REFUSING] = 1u << END_ASKED | 1u << END_DRAINING | 1u << END_LOST |
				 1u << END_CUT | 1u << END_GONE,
		[END_ASKED] = 1u << END_DRAINING | 1u << END_LOST | 1u << END_CUT | 1u << END_GONE,
		[END_DRAINING] = 1u << END_CUT | 1u << END_GONE,
		[END_LOST] = 1u << END_CUT | 1u << END_GONE,
		[END_CUT] = 1u << END_GONE,
	};
	uint32_t seed = 7;

	for (int round = 0; round < 20000; round++) {
		struct ending e;

		ending_init(&e, round & 1, 9000);
		for (int i = 0; i < 30; i++) {
			enum end_state before = e.state;
			unsigned todo;

			seed = seed * 1664525 + 1013904223;
			e.sessions = seed >> 30 & 1;
			e.streams = seed >> 29 & 1;
			todo = ending_event(&e, (seed >> 16) % EVENT_MAX, seed & 0xfff, NOW);
			ASSERT(e.state == before || edges[before] & 1u << e.state);
			/* What waits has a time, but for a drain without limit. */
			if (e.state == END_ASKED && e.state != before)
				ASSERT(todo & END_DO_TIMER);
			if (e.state == END_GONE)
				ASSERT(e.reason != REASON_NONE);
		}
	}
}

TEST(kills_do_not_put_off_the_end)
{
	struct ending e;

	ending_init(&e, true, 9000);
	(void)ending_event(&e, EVENT_READY, 0, NOW);
	(void)ending_event(&e, EVENT_KILL, 0, NOW);
	(void)ending_event(&e, EVENT_KILL, 0, MS(2000));
	ASSERT_EQ(e.deadline_ns, MS(2300));
}

TAP_MAIN()
