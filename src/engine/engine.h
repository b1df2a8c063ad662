/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#include "base/defer.h"
#include "base/err.h"
#include "base/loop.h"

/*
 * What runs the guest.  An engine sees `struct virtio_device *`, not which device it is.
 * Order of calls: start(), then on_exit is called once; stop() at any time; free().
 *
 * A device may have a loop on a thread of its own.  The engine touches such a loop only while
 * that thread does not run: it starts after start() and has ended before free(), so nothing
 * is locked.
 */
struct virtio_device;

/* Embedded first in each engine's own struct. */
struct engine {
	const struct engine_ops *ops;
};

/* A device and the loop whose thread owns it. */
struct engine_device {
	struct virtio_device *dev; /* borrowed */
	struct loop *loop;	   /* borrowed */
};

struct engine_config {
	unsigned cpus;
	uint64_t memory_mib;
	int kernel_fd;	     /* ELF vmlinux; borrowed */
	int initramfs_fd;    /* borrowed */
	int console_fd;	     /* stream socket that gets what the guest writes to hvc0; borrowed */
	int lock_fd;	     /* inherited by every process of the engine, unused there; -1: none */
	const char *cmdline; /* added to what the engine itself needs */
	const char *qemu_path; /* engine qemu: the program */
	const struct engine_device *devices;
	size_t n_devices;
};

/*
 * Why the guest is gone: it rebooted or stop() was called (err->code ERR_NONE), or the engine
 * failed (err says how). On the main loop's thread, once.
 */
typedef void (*engine_exit_fn)(void *user, const struct err *why);

struct engine_ops {
	const char *name;
	/* Boots the guest; @loop is the main loop, its thread the one that calls all of these. */
	int (*start)(struct loop *loop, const struct engine_config *config, engine_exit_fn on_exit,
		     void *user, struct engine **ret_engine, struct err *err);
	/* CPU time that the guest and what emulates it have taken, ns; any state. */
	uint64_t (*cpu_ns)(struct engine *e);
	/* Cut the power: on_exit follows soon, with ERR_NONE. */
	void (*stop)(struct engine *e);
	/* The guest is gone when this returns; no call into any device follows. */
	void (*free)(struct engine *e);
};

extern const struct engine_ops engine_qemu;

#endif /* ENGINE_ENGINE_H */
