/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_MACHINE_H
#define SANDBOX_MACHINE_H

#include "base/err.h"
#include "base/loop.h"
#include "engine/engine.h"
#include "proto/launch.h"
#include "sandbox/thread.h"

/*
 * The machine: devices after the launch spec, their threads, the engine.  Disk and file server
 * block, so each has a thread with a loop; vsock lives on the main loop.
 */
struct machine {
	struct loop *loop; /* borrowed; the main loop */
	struct loop_thread disk_thread, fs_thread;
	struct virtio_device *blk, *fs, *vsock; /* owned; blk and fs may be NULL */
	const struct engine_ops *ops;
	struct engine *engine; /* owned */
};

/**
 * machine_init() - Make the devices
 * @err:	INVALID, UNAVAILABLE, IO
 */
int machine_init(struct machine *m, struct loop *loop, const struct launch_spec *spec,
		 struct err *err);

/**
 * machine_start() - Boot
 * @console_fd:	QEMU's end of the console socket; borrowed
 */
int machine_start(struct machine *m, const struct launch_spec *spec, int console_fd,
		  engine_exit_fn on_exit, void *user, struct err *err);

/* Cut the power. */
void machine_cut(struct machine *m);

/* CPU time of the guest, and of the threads that serve its disks and folders; ns. */
uint64_t machine_cpu_ns(struct machine *m);
uint64_t machine_io_ns(struct machine *m);

/* The guest is gone, all threads have ended, all is freed. */
void machine_done(struct machine *m);

#endif /* SANDBOX_MACHINE_H */
