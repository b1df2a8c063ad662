/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: the machine
 *
 * A microvm without firmware tables: no PCI, no ACPI, no serial port.  PIC and PIT stay: without
 * them Linux 6.1 finds no timer under TCG, boots, and then never wakes from a sleep.  The RTC
 * stays: without it the kernel waits more than a second for its time.  QEMU adds the
 * virtio_mmio.device= words to the kernel's command line itself.  Guest memory is a shared memfd,
 * so that our process can serve the devices over vhost-user; console and rng are QEMU's own.
 * Files come as descriptors, under /proc/self/fd; there is no monitor socket.
 */
#include <linux/virtio_ids.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/defer.h"
#include "engine/qemu/internal.h"
#include "virtio/device.h"

#define MACHINE "microvm,acpi=off,pcie=off,isa-serial=off,x-option-roms=off,memory-backend=mem"
#define SANDBOX "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
/* A panic is a reboot, and -no-reboot makes a reboot the end of QEMU. */
#define CMDLINE                                                                                    \
	"console=hvc0 reboot=t panic=-1 quiet tsc=reliable no_timer_check noreplace-smp "          \
	"rcupdate.rcu_expedited=1"
/*
 * For one processor.  Linux measures the timer of the APIC for 110 ms and checks it for another
 * 110, a third of the whole boot.  The PIT, whose rate is known, is as exact.  It counts 27 ms at
 * most, so that an idle guest wakes 40 times a second: half a percent of a processor.  Several
 * processors need a timer each.
 */
#define CMDLINE_ONE_CPU " noapictimer"

void qemu_args_done(struct qemu_args *a)
{
	for (size_t i = 0; i < a->n; i++)
		free(a->v[i]);
	*a = (struct qemu_args){ 0 };
}

/* Append one string; false when out of room or memory. */
static bool add(struct qemu_args *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool add(struct qemu_args *a, const char *fmt, ...)
{
	va_list ap;
	int r;

	if (a->n == QEMU_MAX_ARGS)
		return false;
	va_start(ap, fmt);
	r = vasprintf(&a->v[a->n], fmt, ap);
	va_end(ap);
	if (r < 0) {
		a->v[a->n] = NULL;
		return false;
	}
	a->n++;
	return true;
}

static bool add_machine(struct qemu_args *a, const struct engine_config *c, uint64_t tsc_khz)
{
	static const char *const fixed[] = {
		"-nodefaults",
		"-no-user-config",
		"-no-reboot",
		"-display",
		"none",
		"-M",
		MACHINE,
		"-accel",
		"tcg,thread=multi",
		"-cpu",
		"max,-erms", /* TCG runs rep movsb byte by byte */
		"-sandbox",
		SANDBOX,
		"-global",
		"virtio-mmio.force-legacy=false",
	};

	if (!add(a, "%s", c->qemu_path))
		return false;
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (!add(a, "%s", fixed[i]))
			return false;
	return add(a, "-smp") && add(a, "%u", c->cpus) && add(a, "-m") &&
	       add(a, "%lluM", (unsigned long long)c->memory_mib) && add(a, "-object") &&
	       add(a, "memory-backend-memfd,id=mem,size=%lluM,share=on",
		   (unsigned long long)c->memory_mib) &&
	       add(a, "-kernel") && add(a, "/proc/self/fd/%d", QEMU_FD_KERNEL) &&
	       add(a, "-initrd") && add(a, "/proc/self/fd/%d", QEMU_FD_INITRAMFS) &&
	       add(a, "-append") &&
	       add(a, CMDLINE "%s tsc_early_khz=%llu%s%s", c->cpus == 1 ? CMDLINE_ONE_CPU : "",
		   (unsigned long long)tsc_khz, c->cmdline ? " " : "",
		   c->cmdline ? c->cmdline : "");
}

static bool add_own_devices(struct qemu_args *a)
{
	return add(a, "-chardev") && add(a, "socket,id=console,fd=%d", QEMU_FD_CONSOLE) &&
	       add(a, "-device") && add(a, "virtio-serial-device,max_ports=1") &&
	       add(a, "-device") && add(a, "virtconsole,chardev=console") && add(a, "-object") &&
	       add(a, "rng-builtin,id=rng") && add(a, "-device") &&
	       add(a, "virtio-rng-device,rng=rng");
}

/* What QEMU calls the front end of a device of ours, with its own options. */
static bool add_front_end(struct qemu_args *a, const struct virtio_ops *ops, size_t i)
{
	switch (ops->id) {
	case VIRTIO_ID_BLOCK:
		return add(a, "vhost-user-blk,chardev=d%zu,num-queues=1,queue-size=%u", i,
			   ops->queue_size);
	case VIRTIO_ID_VSOCK:
		return add(a, "vhost-user-vsock-device,chardev=d%zu", i);
	case VIRTIO_ID_FS:
		return add(a, "vhost-user-fs-device,chardev=d%zu,tag=msb,queue-size=%u", i,
			   ops->queue_size);
	default: /* refused by qemu_args_build() */
		return false;
	}
}

static bool known(uint32_t id)
{
	return id == VIRTIO_ID_BLOCK || id == VIRTIO_ID_VSOCK || id == VIRTIO_ID_FS;
}

int qemu_args_build(const struct engine_config *config, uint64_t tsc_khz,
		    struct qemu_args *ret_args, struct err *err)
{
	if (config->n_devices > QEMU_MAX_DEVICES)
		return err_set(err, ERR_INVALID, "%zu devices, QEMU's microvm takes %d",
			       config->n_devices, QEMU_MAX_DEVICES);
	for (size_t i = 0; i < config->n_devices; i++) {
		const struct virtio_ops *ops = config->devices[i].dev->ops;

		if (!known(ops->id))
			return err_set(err, ERR_INVALID, "device '%s' cannot be served to QEMU",
				       ops->name);
	}
	if (!add_machine(ret_args, config, tsc_khz) || !add_own_devices(ret_args))
		return err_sys(err, ENOMEM, "build the command line of QEMU");
	for (size_t i = 0; i < config->n_devices; i++)
		if (!add(ret_args, "-chardev") ||
		    !add(ret_args, "socket,id=d%zu,fd=%d", i, QEMU_FD_DEVICE + (int)i) ||
		    !add(ret_args, "-device") ||
		    !add_front_end(ret_args, config->devices[i].dev->ops, i))
			return err_sys(err, ENOMEM, "build the command line of QEMU");
	return 0;
}
