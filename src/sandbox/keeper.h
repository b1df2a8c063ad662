/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_KEEPER_H
#define SANDBOX_KEEPER_H

#include <sys/queue.h>

#include "base/loop.h"
#include "sandbox/tap.h"

/*
 * Watches sessions whose client went away, so that what they write goes on into the log: joins each by a
 * stream of its own and drops what comes, as the tap of the stream has seen it by then.
 */
struct keeper_stream;
LIST_HEAD(keeper_streams, keeper_stream);

struct keeper {
	struct loop *loop;	       /* borrowed */
	struct virtio_device *vsock;   /* borrowed */
	struct taps *taps;	       /* borrowed */
	struct keeper_streams streams; /* owned */
};

void keeper_init(struct keeper *k, struct loop *loop, struct virtio_device *vsock,
		 struct taps *taps);
/* Before the device goes. A keeper that is all zero is fine. */
void keeper_done(struct keeper *k);
/* Watch a session from these offsets on. 0 or -errno: it is not watched then. */
MUST_CHECK int keeper_watch(struct keeper *k, const struct tap_left *left);

#endif /* SANDBOX_KEEPER_H */
