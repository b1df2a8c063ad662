/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "hostclock.h"
#include "proto/agent.h"

/*
 * agentd: PID 1 of the guest.  One process, one thread, one loop; after boot nothing in it
 * blocks.  Whatever may block on files of the guest happens in the child of a session,
 * between fork() and execve().
 */
struct client;
struct control;
struct server;
struct session;
struct worker;

/* The root disk that stands still for a copy; see freezer.h. */
struct freezer {
	struct worker *worker; /* owned, while freezing or thawing */
	loop_id thaw;	       /* it thaws by itself */
	bool frozen;
	void (*done)(void *user, int r); /* who waits for it; NULL: nobody */
	void *user;
};

struct agent {
	struct loop *loop;	 /* owned */
	struct boot_spec boot;	 /* owned */
	struct control *control; /* owned; the stream to the host */
	struct server *server;	 /* owned; listens for clients */
	struct client *clients;	 /* owned list */
	uint32_t n_clients;
	struct session *sessions; /* owned list, newest first */
	uint64_t last_session;	  /* sessions count up from 1 */
	uint32_t n_live;	  /* sessions that started and whose end was not told yet */
	int cgroup_fd;		  /* owned; root of the cgroup tree, -1 if there is none */
	int upper_fd;		  /* owned; folder on the ext4 upper, -1 if there is none */
	int console_fd;		  /* owned; non-blocking, -1 if there is none */
	int children_fd;	  /* owned; signalfd of SIGCHLD */
	loop_id reap_id;	  /* more children to reap than one batch */
	size_t buffer_bytes;	  /* of rings and input, see BUFFERS_MAX */
	struct hostclock hostclock;
	struct freezer freezer;
	loop_id kill_id; /* of the shutdown: the grace is over at kill_at_ns */
	uint64_t kill_at_ns;
	bool stopping; /* shutdown has begun: no more programs */
	bool draining; /* no more programs, but those that run go on */
};

/* All rings and input buffers together; those of ended sessions give way to others. */
#define BUFFERS_MAX (32u << 20) /* bytes */

/**
 * fail() - Fill a failure and return -1, so that `return fail(...)` is the whole error path
 * @sys:	errno of the call, or 0
 * @subject:	Path or name
 * @fmt:	What was tried; the errno's text is appended
 */
int fail(struct failure *f, const char *stage, int sys, const char *subject, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* Run @fn from the loop, soon; an earlier call that did not run yet counts. */
void defer(struct loop *loop, loop_fn fn, void *user, loop_id *id);

/* Sync, make the upper disk clean, and end the machine. Does not return. */
_Noreturn void power_off(struct agent *a);
/* The same in two steps: the disks first. */
void flush_disks(struct agent *a);
_Noreturn void cut_power(void);

#endif /* AGENT_AGENT_H */
