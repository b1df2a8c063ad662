/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CANCEL_H
#define BASE_CANCEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/defer.h"
#include "base/err.h"

/*
 * A switch that ends calls: it goes on once and stays on.  Any thread may use it; NULL stands for
 * one that nobody fires.
 */
struct cancel;

/* -ENOMEM, or what eventfd() says. */
MUST_CHECK int cancel_new(struct cancel **ret_cancel);
/*
 * One that @parent (borrowed, may be NULL) puts on as well, and so does the time @deadline_ns of
 * CLOCK_MONOTONIC: a call with a deadline is a call with a switch.
 */
MUST_CHECK int cancel_new_within(struct cancel *parent, uint64_t deadline_ns,
				 struct cancel **ret_cancel);
void cancel_free(struct cancel *c);
DEFINE_AUTO(struct cancel *, cancel_free);

/* Firing twice is fine. Safe in a signal handler. */
void cancel_fire(struct cancel *c);
bool cancel_fired(const struct cancel *c);
/* Readable from the moment it is fired; borrowed; -1 for NULL, which poll() ignores. */
int cancel_fd(const struct cancel *c);

/* 0, or CANCELLED once it is fired, TIMEOUT once its time is over: to be called between two steps. */
MUST_CHECK int cancel_check(const struct cancel *c, struct err *err);

struct pollfd;
#define CANCEL_POLL_MAX 3 /* descriptors that a call waits for */
/**
 * cancel_poll() - poll() that the switch ends as well
 * @n:		At most CANCEL_POLL_MAX
 * @timeout_ms:	-1: no limit
 * @err:	As cancel_check(), UNAVAILABLE
 *
 * Return: how many of @fds are ready, 0 once the time is over, or negative.
 */
MUST_CHECK int cancel_poll(const struct cancel *c, struct pollfd *fds, size_t n, int64_t timeout_ms,
			   struct err *err);

#endif /* BASE_CANCEL_H */
