/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/fs.h>
#include <linux/reboot.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>

#include "agent.h"

#undef strerror /* musl's returns a constant */

int fail(struct failure *f, const char *stage, int sys, const char *subject, const char *fmt, ...)
{
	size_t len;
	va_list ap;

	*f = (struct failure){ .sys = sys };
	(void)snprintf(f->stage, sizeof(f->stage), "%s", stage);
	(void)snprintf(f->subject, sizeof(f->subject), "%s", subject);
	va_start(ap, fmt);
	(void)vsnprintf(f->message, sizeof(f->message), fmt, ap);
	va_end(ap);
	len = strlen(f->message);
	if (sys)
		(void)snprintf(f->message + len, sizeof(f->message) - len, ": %s", strerror(sys));
	return -1;
}

void defer(struct loop *loop, loop_fn fn, void *user, loop_id *id)
{
	/* Without memory for a timer the caller's event comes again, or its peer gives up. */
	if (*id == 0)
		IGNORE_RESULT(loop_add_timer(loop, 0, fn, user, id) < 0);
}

void flush_disks(struct agent *a)
{
	sync();
	/* A frozen ext4 has an empty journal and needs no recovery. */
	if (a->upper_fd >= 0)
		(void)ioctl(a->upper_fd, FIFREEZE, 0);
}

void cut_power(void)
{
	for (;;) {
		/* Without ACPI there is no power to switch off; a reset ends the machine. */
		(void)reboot(RB_AUTOBOOT);
		(void)reboot(RB_POWER_OFF);
		(void)pause();
	}
}

void power_off(struct agent *a)
{
	flush_disks(a);
	cut_power();
}
