/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_AGENT_CHANNEL_H
#define SANDBOX_AGENT_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/loop.h"
#include "proto/agent.h"

/*
 * The control stream: agentd connects once, gets hello and the boot message, and says how far it
 * is and what its sessions do.  All that comes in is hostile: anything out of order, too long
 * or malformed ends the stream, which is told as lost().
 */
struct agent_channel;

#define AGENT_MAX_PAYLOAD  65536 /* bytes of a frame from the agent; its messages are short */
#define AGENT_MAX_PROGRESS 32	 /* stages of one boot */

struct agent_events {
	void (*connected)(void *user);
	void (*progress)(void *user, const char *stage); /* lower-case letters and dashes */
	void (*ready)(void *user);
	void (*boot_failed)(void *user, const struct failure *why);
	void (*session)(void *user, const struct session_event *event);
	void (*flushed)(void *user);
	/* Last; @why is NULL if the agent closed the stream. The channel is dead but not freed. */
	void (*lost)(void *user, const char *why);
};

/**
 * agent_channel_new() - A channel that waits for its agent
 * @boot_fd:	File with the boot message in frames; owned once this succeeds
 * @events:	Called on the loop's thread; borrowed. None may free the channel.
 * Return: 0, -ENOMEM.
 */
MUST_CHECK int agent_channel_new(struct loop *loop, int boot_fd, const struct agent_events *events,
				 void *user, struct agent_channel **ret_channel);
void agent_channel_free(struct agent_channel *c);

/* The agent connects: the descriptor for its stream, owned by the caller. -EBUSY: there is one. */
MUST_CHECK int agent_channel_accept(struct agent_channel *c);

/* Tell it the time, after the host's clock was set. -ENOTCONN as below. */
MUST_CHECK int agent_channel_clock(struct agent_channel *c);

/* Ask it to shut down. -ENOTCONN before the agent is ready and after it is lost. */
MUST_CHECK int agent_channel_shutdown(struct agent_channel *c, uint32_t grace_ms, uint32_t signal);
/* Tell it to take no new sessions; the same. */
MUST_CHECK int agent_channel_drain(struct agent_channel *c);

#endif /* SANDBOX_AGENT_CHANNEL_H */
