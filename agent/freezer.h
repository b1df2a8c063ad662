/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_FREEZER_H
#define AGENT_FREEZER_H

#include "agent.h"

/*
 * The root disk stands still for a copy: everything is written, and whoever writes waits until
 * it thaws, by request or by itself after FREEZE_NS.
 */
#define FREEZE_NS (5 * NS_PER_S)

/* 0, -EBUSY (it is frozen, or about to be), -EOPNOTSUPP (there is no disk), -errno. */
typedef void (*freezer_fn)(void *user, int r);

/* @done is called once, from here or later; a freeze that nobody waits for any more is undone. */
void freezer_freeze(struct agent *a, freezer_fn done, void *user);
/* Thaw of what is not frozen succeeds. */
void freezer_thaw(struct agent *a, freezer_fn done, void *user);
/* @user waits no more. */
void freezer_forget(struct agent *a, const void *user);
/* The end of the machine: nothing may wait for the disk. Blocks for a moment. */
void freezer_end(struct agent *a);

#endif /* AGENT_FREEZER_H */
