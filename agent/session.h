/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_SESSION_H
#define AGENT_SESSION_H

#include <sys/resource.h>
#include <sys/types.h>

#include "agent.h"
#include "base/buf.h"
#include "proto/request.h"
#include "ring.h"

/*
 * Programs.  A session belongs to the agent, not to a client: clients attach to it as viewers
 * (viewer.h).  One of them may have the input; it also holds the program back when it does not
 * read.  session.c has its life, output.c and input.c its bytes.
 */
#define SESSIONS_MAX	1024		 /* that run, or have something left that runs */
#define SESSIONS_KEPT	256		 /* ended ones that are remembered */
#define SESSION_KEPT_NS (600 * NS_PER_S) /* and for how long */
#define RING_MIN	(4u << 10)	 /* bytes of an output that every session has */
#define RING_MAX	(256u << 10)	 /* bytes that the ring of an output grows to */

struct viewer;

enum session_state {
	SESSION_STARTING, /* the child sets itself up */
	SESSION_RUNNING,
	SESSION_DRAINING, /* the program ended, its output is read */
	SESSION_FLUSHING, /* all output is known; who has the input did not take it yet */
	SESSION_ENDED,	  /* remembered; background children may live on */
	SESSION_FAILED,	  /* nothing was run; gone with its last viewer */
};

struct output {
	struct session *session; /* borrowed */
	int fd;			 /* owned, -1: at its end */
	loop_id id;
	uint16_t type; /* of the frames */
	size_t owed;   /* bytes that were there when the program ended */
	struct ring ring;
};

struct session {
	struct session *next;
	struct agent *agent;	/* borrowed */
	struct viewer *viewers; /* borrowed list */
	struct viewer *primary; /* of them, who has the input; may be NULL */
	enum session_state state;
	uint64_t id;
	struct exec_request req; /* owned */
	pid_t pid;		 /* of the program until it is reaped, then 0 */
	pid_t first_pid;	 /* to be told; may be another's by now */
	int wait_status;
	uint64_t user_us, system_us, max_rss; /* of the program, once it ended */
	bool timed_out, pipes_open, oom, expired, has_cgroup;
	uint64_t started_ns, exited_ns, ended_ns; /* CLOCK_MONOTONIC; ended: state ENDED */
	uint64_t started_wall_ns, exited_wall_ns;
	int status_fd; /* owned; of child_args, while STARTING */
	loop_id status_id;
	int input_fd; /* owned, -1: closed */
	loop_id input_id;
	struct buf input;
	bool input_eof;
	uint64_t input_taken; /* bytes since the viewer was told last */
	struct output out[2];
	loop_id timeout, kill, silence, drain;
};

/* ---- session.c ---- */

/**
 * session_start() - Start a program
 * @req:	Moved into the session
 * @primary:	The viewer that has its input
 *
 * NULL: out of memory, or too many. A program that cannot be started tells its viewers.
 */
struct session *session_start(struct agent *a, struct exec_request *req, struct viewer *primary);
/* The session of this number that was started and is remembered, or NULL. */
struct session *session_find(struct agent *a, uint64_t id);
/* The viewer that had the input has gone. */
void session_primary_lost(struct session *s);
/* A viewer has gone: what was kept for it may go. */
void session_trim(struct session *s);
/* All output is read, or what is left is no longer waited for. */
void session_try_exited(struct session *s);
/* 0, -ESRCH: nothing of it is left, -errno. */
MUST_CHECK int session_kill(struct session *s, int signal, enum kill_scope scope);
/* A child of the agent ended. */
void session_reaped(struct agent *a, pid_t pid, int status, const struct rusage *use);
/* Some process ended: see which ended sessions have nothing left. */
void session_sweep(struct agent *a);
/* HUP to those on a terminal: a shell there ignores TERM. */
void session_hang_up_terminals(struct agent *a);
/* Some session has output or its end still to tell. */
bool session_any_open(const struct agent *a);
/* How it ended, once state is FLUSHING or later. */
void session_exit(const struct session *s, struct exec_exited *ret);
/* What is known of all; -ENOMEM. The caller releases it. */
MUST_CHECK int session_list_make(struct agent *a, struct session_list *ret);

/* ---- output.c ---- */

/* Rings for what is open; false: out of memory or of BUFFERS_MAX. */
bool outputs_init(struct session *s);
/* Read from the program as far as there is room. */
void outputs_update(struct session *s);
void outputs_close(struct session *s);
/* Bytes that wait in the pipe or the terminal. */
size_t output_waiting(const struct output *o);
/* Make the ring hold @cap bytes; false: as before. */
bool output_resize(struct output *o, size_t cap);

/* ---- input.c ---- */

enum input_take { INPUT_TAKEN, INPUT_CLOSED, INPUT_NO_MEMORY };
enum input_take input_add(struct session *s, const void *data, size_t len);
/* No more will come. On a terminal its end-of-file character. */
void input_end(struct session *s);
/* Begin to write what was added. */
void input_start(struct session *s);
void input_close(struct session *s);
/* Too much waits: who has the input must wait as well. */
bool input_is_full(const struct session *s);

#endif /* AGENT_SESSION_H */
