/* SPDX-License-Identifier: Apache-2.0 */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/blkpg.h>
#include <stdio.h>
#include <sys/ioctl.h>

#define DISK "/dev/vda"

void disk_name(uint32_t part, char name[DISK_NAME_MAX])
{
	(void)snprintf(name, DISK_NAME_MAX, DISK "%u", part + 1);
}

int disk_partitions(const struct boot_spec *s, struct failure *f)
{
	AUTO_CLOSE int fd = -1;

	if (s->n_parts == 0)
		return 0;
	fd = open(DISK, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail(f, "disk", errno, DISK, "open the disk");
	for (size_t i = 0; i < s->n_parts; i++) {
		struct blkpg_partition part = {
			.start = (long long)s->parts[i].offset,
			.length = (long long)s->parts[i].len,
			.pno = (int)i + 1,
		};
		struct blkpg_ioctl_arg arg = {
			.op = BLKPG_ADD_PARTITION,
			.datalen = sizeof(part),
			.data = &part,
		};

		if (ioctl(fd, BLKPG, &arg) < 0) {
			char name[DISK_NAME_MAX];
			int sys = errno;

			disk_name((uint32_t)i, name);
			return fail(f, "disk", sys, name, "add partition %s", name);
		}
	}
	return 0;
}
