/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/defer.h"
#include "base/err.h"

/*
 * The event loop: epoll, level-triggered.  A loop belongs to one thread, the one that calls
 * loop_run(); only loop_post() and loop_stop() may be called from others.  Handlers never
 * block, but for the loops that are made for it (one per disk and per file server, see
 * docs/internals/threads.md).
 *
 * A source is named by an id, never by a pointer: an id holds an index and a generation, so
 * an event for a source that was removed in the same batch is dropped, and removing twice
 * is harmless.
 */
struct loop;

typedef uint64_t loop_id; /* 0 is never a source */

typedef void (*loop_fd_fn)(void *user, uint32_t events);
typedef void (*loop_fn)(void *user);

/* -ENOMEM, or what epoll_create1() and eventfd() say. */
MUST_CHECK int loop_new(struct loop **ret_loop);
/* No handler runs; sources are dropped, their descriptors stay with their owners. */
void loop_free(struct loop *loop);
DEFINE_AUTO(struct loop *, loop_free);

/**
 * loop_add_fd() - Call @fn when @fd is ready
 * @fd:		Borrowed; remove the source before closing it
 * @events:	EPOLLIN, EPOLLOUT or-ed; 0 waits for EPOLLHUP and EPOLLERR only
 * @ret_id:	For the calls below
 * Return: 0, -ENOMEM or what epoll_ctl() says.
 */
MUST_CHECK int loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_fd_fn fn, void *user,
			   loop_id *ret_id);
/* Wait for other events. A stale id is ignored. */
void loop_set_events(struct loop *loop, loop_id id, uint32_t events);

/**
 * loop_add_timer() - Call @fn once, at @deadline_ns of CLOCK_MONOTONIC
 *
 * The id is stale as soon as @fn runs.
 */
MUST_CHECK int loop_add_timer(struct loop *loop, uint64_t deadline_ns, loop_fn fn, void *user,
			      loop_id *ret_id);

/* Remove a source or timer and set *id to 0. 0 and stale ids are fine. */
void loop_remove(struct loop *loop, loop_id *id);

/* Run @fn soon on the loop's thread, in the order posted. Any thread. */
MUST_CHECK int loop_post(struct loop *loop, loop_fn fn, void *user);

/* Serve until loop_stop(); may be called again then. 0, or what epoll_wait() says. */
MUST_CHECK int loop_run(struct loop *loop);
/* End loop_run() after the present batch. Any thread. */
void loop_stop(struct loop *loop);

#endif /* BASE_LOOP_H */
