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
 */
struct virtio_device;
struct engine;

enum engine_kind { ENGINE_KVM, ENGINE_QEMU, ENGINE_KIND_MAX };

/* A device and the loop whose thread owns it. The loop runs while the engine does. */
struct engine_device {
	struct virtio_device *dev; /* borrowed */
	struct loop *loop;	   /* borrowed */
};

struct engine_config {
	unsigned cpus;
	uint64_t memory_mib;
	int kernel_fd;	       /* ELF vmlinux; borrowed */
	int initramfs_fd;      /* borrowed */
	int console_fd;	       /* stream socket that gets what the guest writes to hvc0; borrowed */
	const char *cmdline;   /* added to what the engine itself needs */
	const char *qemu_path; /* engine qemu: the program */
	const struct engine_device *devices;
	size_t n_devices;
};

/*
 * Why the guest is gone: it halted or rebooted by itself (err->code ERR_NONE), or the engine
 * failed (err says how). On the main loop's thread, once.
 */
typedef void (*engine_exit_fn)(void *user, const struct err *why);

struct engine_ops {
	const char *name;
	/* Boots the guest; @loop is the main loop. */
	int (*start)(struct loop *loop, const struct engine_config *config, engine_exit_fn on_exit,
		     void *user, struct engine **ret_engine, struct err *err);
	/* Cut the power: on_exit follows at once. */
	void (*stop)(struct engine *e);
	/* The guest is gone when this returns; no call into any device follows. */
	void (*free)(struct engine *e);
};

extern const struct engine_ops engine_qemu;

#endif /* ENGINE_ENGINE_H */
