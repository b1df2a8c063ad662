/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest init: bench/boot's yardstick boots the kernel to here and shuts down. */
#include <linux/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	(void)syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
		      LINUX_REBOOT_CMD_RESTART, NULL);
	return 1;
}
