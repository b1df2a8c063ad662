/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/ending.h"

#include <assert.h>

#include "base/clock.h"

static const char *const reason_names[] = {
	[REASON_NONE] = "none",
	[REASON_MAIN_EXITED] = "main-exited",
	[REASON_STOP_REQUESTED] = "stop-requested",
	[REASON_KILLED] = "killed",
	[REASON_GUEST_POWEROFF] = "guest-poweroff",
	[REASON_PARENT_EXITED] = "parent-exited",
	[REASON_HOST_SIGNAL] = "host-signal",
	[REASON_BOOT_FAILED] = "boot-failed",
	[REASON_GUEST_PANIC] = "guest-panic",
	[REASON_AGENT_LOST] = "agent-lost",
	[REASON_ENGINE_FAILED] = "engine-failed",
	[REASON_DRAINED] = "drained",
	[REASON_MAX_DURATION] = "max-duration",
	[REASON_IDLE] = "idle",
};
static_assert(sizeof(reason_names) / sizeof(reason_names[0]) == REASON_MAX, "a name for each");

const char *end_reason_name(enum end_reason reason)
{
	return reason_names[reason];
}

void ending_init(struct ending *e, bool flush, uint32_t stop_grace_ms)
{
	*e = (struct ending){ .state = END_STARTING,
			      .flush = flush,
			      .stop_grace_ms = stop_grace_ms };
}

static unsigned cut(struct ending *e, enum end_reason reason)
{
	if (e->reason == REASON_NONE)
		e->reason = reason;
	e->state = END_CUT;
	return END_DO_CUT;
}

/* All is done in the guest: the power is cut once clients have their last bytes. */
static unsigned drain(struct ending *e, enum end_reason reason, uint64_t now_ns)
{
	uint64_t deadline_ns = now_ns + END_DRAIN_MS * NS_PER_MS;

	if (!e->streams)
		return cut(e, reason);
	e->reason = reason;
	if (e->state != END_ASKED || e->deadline_ns > deadline_ns)
		e->deadline_ns = deadline_ns;
	e->state = END_DRAINING;
	return END_DO_TIMER;
}

/* Ask the agent to end everything. Nobody needs asking when there is nothing to lose. */
static unsigned ask(struct ending *e, enum end_reason reason, uint32_t grace_ms, uint32_t flush_ms,
		    uint64_t now_ns)
{
	uint64_t deadline_ns;

	if (e->state == END_STARTING)
		return cut(e, reason);
	if (!e->flush && !e->sessions)
		return drain(e, reason, now_ns);
	if (grace_ms > END_GRACE_MAX_MS)
		grace_ms = END_GRACE_MAX_MS;
	deadline_ns = now_ns + ((uint64_t)grace_ms + END_KILL_MS + flush_ms) * NS_PER_MS;
	if (e->state != END_ASKED || deadline_ns < e->deadline_ns)
		e->deadline_ns = deadline_ns;
	e->reason = reason;
	e->state = END_ASKED;
	e->grace_ms = grace_ms;
	return END_DO_SHUTDOWN | END_DO_TIMER;
}

/* All sessions have ended, or the time that they had is over. */
static unsigned refused_enough(struct ending *e, uint64_t now_ns)
{
	return ask(e, REASON_DRAINED, e->stop_grace_ms, END_FLUSH_MS, now_ns);
}

/* Let the sessions end by themselves. A second wish may shorten the time. */
static unsigned refuse(struct ending *e, uint32_t limit_ms, uint64_t now_ns)
{
	uint64_t deadline_ns = limit_ms ? now_ns + limit_ms * NS_PER_MS : 0;

	if (e->state == END_STARTING || !e->sessions)
		return refused_enough(e, now_ns);
	if (e->state != END_REFUSING)
		e->deadline_ns = 0;
	e->state = END_REFUSING;
	if (!deadline_ns || (e->deadline_ns && e->deadline_ns <= deadline_ns))
		return END_DO_REFUSE;
	e->deadline_ns = deadline_ns;
	return END_DO_REFUSE | END_DO_TIMER;
}

/* What nobody waits for: limits of the spec, the end of the client, of main, of the host. */
static unsigned own_cause(struct ending *e, enum end_event event, uint64_t now_ns)
{
	if (event == EVENT_MAIN_EXITED && e->state == END_REFUSING)
		return e->sessions ? 0 : refused_enough(e, now_ns);
	if (event == EVENT_MAIN_EXITED)
		return ask(e, REASON_MAIN_EXITED, END_GRACE_MAIN_MS, END_FLUSH_MS, now_ns);
	if (event == EVENT_MAX_DURATION)
		return ask(e, REASON_MAX_DURATION, END_GRACE_LIMIT_MS, END_FLUSH_MS, now_ns);
	if (event == EVENT_IDLE)
		return ask(e, REASON_IDLE, END_GRACE_LIMIT_MS, END_FLUSH_MS, now_ns);
	return ask(e, event == EVENT_PARENT_EXITED ? REASON_PARENT_EXITED : REASON_HOST_SIGNAL,
		   END_GRACE_HOST_MS, END_FLUSH_MS, now_ns);
}

/* The cause of an end that a client or the host wants. */
static unsigned cause(struct ending *e, enum end_event event, uint32_t grace_ms, uint64_t now_ns)
{
	bool asked = e->state == END_ASKED;

	if (e->state == END_CUT || e->state == END_GONE)
		return 0;
	if (event == EVENT_CUT ||
	    (event == EVENT_KILL && (e->state == END_LOST || e->state == END_DRAINING))) {
		e->reason = REASON_KILLED;
		return cut(e, REASON_KILLED);
	}
	if (e->state == END_LOST || e->state == END_DRAINING)
		return 0;
	if (event == EVENT_KILL)
		return ask(e, REASON_KILLED, 0, END_FLUSH_KILL_MS, now_ns);
	if (asked) /* it joins the first */
		return 0;
	if (event == EVENT_STOP)
		return ask(e, REASON_STOP_REQUESTED, grace_ms, END_FLUSH_MS, now_ns);
	if (event == EVENT_DRAIN)
		return refuse(e, grace_ms, now_ns);
	return own_cause(e, event, now_ns);
}

static unsigned agent_lost(struct ending *e, uint64_t now_ns)
{
	if (e->state == END_CUT || e->state == END_GONE || e->state == END_LOST ||
	    e->state == END_DRAINING)
		return 0;
	if (e->state == END_STARTING)
		return cut(e, REASON_BOOT_FAILED);
	e->state = END_LOST;
	e->deadline_ns = now_ns + END_LOST_MS * NS_PER_MS;
	return END_DO_TIMER;
}

static unsigned timeout(struct ending *e, uint64_t now_ns)
{
	switch (e->state) {
	case END_REFUSING:
		return refused_enough(e, now_ns);
	case END_STARTING:
		return cut(e, REASON_BOOT_FAILED);
	case END_ASKED:
	case END_DRAINING:
	case END_LOST:
		return cut(e, REASON_AGENT_LOST);
	case END_RUNNING:
	case END_CUT:
	case END_GONE:
	case END_STATE_MAX:
		break;
	}
	return 0;
}

static unsigned engine_gone(struct ending *e, enum end_event event)
{
	if (e->state == END_GONE)
		return 0;
	if (e->state == END_STARTING)
		e->reason = REASON_BOOT_FAILED;
	else if (e->reason == REASON_NONE && event == EVENT_ENGINE_FAILED)
		e->reason = REASON_ENGINE_FAILED;
	else if ((e->reason == REASON_NONE || e->reason == REASON_GUEST_POWEROFF) &&
		 event == EVENT_ENGINE_PANIC) /* a panic ends in a reset, which looks like one */
		e->reason = REASON_GUEST_PANIC;
	else if (e->reason == REASON_NONE)
		e->reason = REASON_GUEST_POWEROFF;
	e->state = END_GONE;
	return END_DO_FINISH;
}

static unsigned flushed(struct ending *e, uint64_t now_ns)
{
	if (e->state == END_STARTING || e->state == END_CUT || e->state == END_GONE)
		return 0;
	e->flushed = true;
	return e->state == END_ASKED ? drain(e, e->reason, now_ns)
				     : 0; /* else it halts by itself now */
}

static unsigned quiet(struct ending *e, uint64_t now_ns)
{
	if (e->state == END_REFUSING && !e->sessions)
		return refused_enough(e, now_ns);
	if (e->state == END_DRAINING && !e->streams)
		return cut(e, e->reason);
	if (e->state == END_ASKED && !e->flush && !e->sessions)
		return drain(e, e->reason, now_ns);
	return 0;
}

unsigned ending_event(struct ending *e, enum end_event event, uint32_t grace_ms, uint64_t now_ns)
{
	switch (event) {
	case EVENT_READY:
		if (e->state == END_STARTING)
			e->state = END_RUNNING;
		return 0;
	case EVENT_QUIET:
		return quiet(e, now_ns);
	case EVENT_MAIN_EXITED:
	case EVENT_STOP:
	case EVENT_KILL:
	case EVENT_CUT:
	case EVENT_DRAIN:
	case EVENT_MAX_DURATION:
	case EVENT_IDLE:
	case EVENT_PARENT_EXITED:
	case EVENT_HOST_SIGNAL:
		return cause(e, event, grace_ms, now_ns);
	case EVENT_FLUSHED:
		return flushed(e, now_ns);
	case EVENT_AGENT_LOST:
		return agent_lost(e, now_ns);
	case EVENT_HALTED:
		if (e->state == END_CUT || e->state == END_GONE)
			return 0;
		return cut(e,
			   e->state == END_STARTING ? REASON_BOOT_FAILED : REASON_GUEST_POWEROFF);
	case EVENT_BOOT_FAILED:
		return e->state == END_STARTING ? cut(e, REASON_BOOT_FAILED) : 0;
	case EVENT_TIMEOUT:
		return timeout(e, now_ns);
	case EVENT_ENGINE_ENDED:
	case EVENT_ENGINE_PANIC:
	case EVENT_ENGINE_FAILED:
		return engine_gone(e, event);
	case EVENT_MAX:
		break;
	}
	return 0;
}
