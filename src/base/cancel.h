/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CANCEL_H
#define BASE_CANCEL_H

#include <stdbool.h>

#include "base/defer.h"
#include "base/err.h"

/*
 * A switch that ends calls: it goes on once and stays on.  Any thread may use it; NULL stands for
 * one that nobody fires.
 */
struct cancel;

/* -ENOMEM, or what eventfd() says. */
MUST_CHECK int cancel_new(struct cancel **ret_cancel);
void cancel_free(struct cancel *c);
DEFINE_AUTO(struct cancel *, cancel_free);

/* Firing twice is fine. Safe in a signal handler. */
void cancel_fire(struct cancel *c);
bool cancel_fired(const struct cancel *c);
/* Readable from the moment it is fired; borrowed; -1 for NULL, which poll() ignores. */
int cancel_fd(const struct cancel *c);

/* 0, or CANCELLED once it is fired: to be called between two steps. */
MUST_CHECK int cancel_check(const struct cancel *c, struct err *err);

#endif /* BASE_CANCEL_H */
