/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_ENDING_H
#define SANDBOX_ENDING_H

#include <stdbool.h>
#include <stdint.h>

/*
 * How a sandbox ends: one sequence (refuse, ask, wait for the flush, cut), whatever the
 * cause.  Pure: events and times go in, what to do comes out.
 */
enum end_state {
	END_STARTING, /* the agent is not ready; nobody can be asked: an end is a cut */
	END_RUNNING,  /* ready, no end in sight */
	END_REFUSING, /* no new sessions; waits for the live ones, until deadline_ns if that is not 0 */
	END_ASKED,    /* the agent was told to shut down; waits for the flush, until deadline_ns */
	END_DRAINING, /* nothing runs any more; clients may take their last bytes, until deadline_ns */
	END_LOST,     /* the agent is gone; waits for the machine's own end, until deadline_ns */
	END_CUT,      /* the engine was told to stop; waits for its end */
	END_GONE,     /* the machine is gone */
	END_STATE_MAX,
};

enum end_reason {
	REASON_NONE,
	REASON_MAIN_EXITED,
	REASON_STOP_REQUESTED,
	REASON_KILLED,
	REASON_GUEST_POWEROFF,
	REASON_PARENT_EXITED,
	REASON_HOST_SIGNAL,
	REASON_BOOT_FAILED,
	REASON_GUEST_PANIC,
	REASON_AGENT_LOST,
	REASON_ENGINE_FAILED,
	REASON_DRAINED,
	REASON_MAX_DURATION,
	REASON_IDLE,
	REASON_MAX,
};

enum end_event {
	EVENT_READY,
	EVENT_MAIN_EXITED,
	EVENT_QUIET, /* the last live session or the last stream of a client ended */
	EVENT_STOP,  /* a client asks; with its grace */
	EVENT_KILL,  /* the same with grace 0 */
	EVENT_CUT,   /* a client wants the power cut */
	EVENT_DRAIN, /* a client asks for an end once all sessions have ended, or after grace_ms */
	EVENT_MAX_DURATION,
	EVENT_IDLE,
	EVENT_PARENT_EXITED,
	EVENT_HOST_SIGNAL,
	EVENT_FLUSHED,	     /* the agent: disks are clean */
	EVENT_AGENT_LOST,    /* its stream ended, or it broke the protocol */
	EVENT_HALTED,	     /* the guest stopped its CPUs for good */
	EVENT_BOOT_FAILED,   /* the agent says so */
	EVENT_TIMEOUT,	     /* deadline_ns, or the start deadline, is past */
	EVENT_ENGINE_ENDED,  /* the guest rebooted, or was cut */
	EVENT_ENGINE_PANIC,  /* the same, and its console shows a panic */
	EVENT_ENGINE_FAILED, /* QEMU died */
	EVENT_MAX,
};

/* What to do, or-ed. */
#define END_DO_SHUTDOWN 1  /* tell the agent, with grace_ms */
#define END_DO_TIMER	2  /* EVENT_TIMEOUT at deadline_ns; instead of the last one */
#define END_DO_CUT	4  /* stop the engine */
#define END_DO_FINISH	8  /* the machine is gone: write the record and leave */
#define END_DO_REFUSE	16 /* tell the agent to take no new sessions */

struct ending {
	enum end_state state;
	enum end_reason reason; /* set with the first cause; a kill overrides a stop */
	bool flush;		/* what the guest wrote matters after the end */
	bool flushed;
	bool sessions;		/* there are live ones; set by the owner, before the event */
	bool streams;		/* clients have open streams; the same */
	uint32_t stop_grace_ms; /* of the stop after a drain */
	uint32_t grace_ms;	/* of END_DO_SHUTDOWN */
	uint64_t deadline_ns;	/* of END_DO_TIMER */
};

#define END_GRACE_MAIN_MS  2000	 /* for the other sessions when main has ended */
#define END_GRACE_HOST_MS  5000	 /* parent died, TERM or INT */
#define END_GRACE_LIMIT_MS 10000 /* max duration, idle */
#define END_KILL_MS	   300	 /* between KILL and the flush */
#define END_FLUSH_MS	   5000
#define END_FLUSH_KILL_MS  2000	   /* when killed */
#define END_DRAIN_MS	   1000	   /* for clients to take what the guest sent them */
#define END_LOST_MS	   1000	   /* a guest that goes down loses its streams before it is gone */
#define END_GRACE_MAX_MS   3600000 /* a client may ask for an hour */

void ending_init(struct ending *e, bool flush, uint32_t stop_grace_ms);

/* Take one event; @grace_ms counts for EVENT_STOP and EVENT_DRAIN (0: no limit) only. Return: END_DO_* bits. */
unsigned ending_event(struct ending *e, enum end_event event, uint32_t grace_ms, uint64_t now_ns);

/* "main-exited" ..., as in the exit record. */
const char *end_reason_name(enum end_reason reason);

#endif /* SANDBOX_ENDING_H */
