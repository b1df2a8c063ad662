/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_TAP_H
#define SANDBOX_TAP_H

#include "devices/devices.h"
#include "proto/launch.h"

/*
 * Copies the output of sessions into the log as it passes through the monitor to a client.  Reads the
 * headers of frames, and the payload of STARTED and GAP, which say where in the output the bytes
 * belong: so what several clients of a session get, or one gets again, is in the log once.  All of
 * it is the guest's and hostile: a stream that breaks the protocol is just not looked at any more.
 */
struct taps;
struct log_queue;

/* @queue is borrowed. */
MUST_CHECK int taps_new(struct log_queue *queue, enum launch_capture capture,
			struct taps **ret_taps);
/* After the streams are gone. NULL is fine. */
void taps_free(struct taps *taps);
/* A session that goes on when a client went away. */
struct tap_left {
	uint64_t session, at[2]; /* offsets of the next bytes: stdout or tty, stderr */
};
/* Call @left when a stream ends whose session has not; in the midst of the device's work. */
void taps_on_left(struct taps *taps, void (*left)(void *user, const struct tap_left *left),
		  void *user);

/* For one stream; it releases itself. NULL: nothing is to be captured, or out of memory. */
struct vsock_tap *tap_new(struct taps *taps);

/* The same for a stream whose end is told to nobody. */
struct vsock_tap *tap_again(struct taps *taps);

/* Take @len bytes that the guest has sent. For tests. */
void tap_feed(struct vsock_tap *tap, const void *data, size_t len);

#endif /* SANDBOX_TAP_H */
