/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_QEMU_INTERNAL_H
#define ENGINE_QEMU_INTERNAL_H

#include "engine/engine.h"

#define QEMU_MAX_DEVICES 5  /* of ours; microvm has 8 slots, console and rng take one each */
#define QEMU_MAX_ARGS	 64 /* strings */

/* Descriptors in QEMU, by number. */
enum qemu_fd {
	QEMU_FD_STDERR = 2,
	QEMU_FD_KERNEL = 3,
	QEMU_FD_INITRAMFS = 4,
	QEMU_FD_CONSOLE = 5,
	QEMU_FD_LOCK = 6,
	QEMU_FD_DEVICE = 7, /* of device n: QEMU_FD_DEVICE + n */
};

/* A command line; v[n] is NULL. */
struct qemu_args {
	char *v[QEMU_MAX_ARGS + 1]; /* owned */
	size_t n;
};
void qemu_args_done(struct qemu_args *a);
static inline void qemu_args_done_auto(struct qemu_args *a)
{
	qemu_args_done(a);
}

/*
 * The rate of the time stamp counter, which is the guest's as well, measured for 4 ms; 0 if it
 * does not count.  The guest has no other clock to measure it by that a busy host keeps exact.
 */
uint64_t qemu_tsc_khz(void);

/**
 * qemu_args_build() - The command line for this configuration
 * @tsc_khz:	As from qemu_tsc_khz()
 * @ret_args:	Empty before; filled with qemu_args_done() to come in any case
 * @err:	INVALID: a device that QEMU cannot serve, too many of them
 */
int qemu_args_build(const struct engine_config *config, uint64_t tsc_khz,
		    struct qemu_args *ret_args, struct err *err);

#endif /* ENGINE_QEMU_INTERNAL_H */
