/* SPDX-License-Identifier: Apache-2.0 */
/* The input is an image: opened, checked, and read at places all over its disk. */
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "block/qcow2.h"

#define N_READS 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_some(struct qcow2 *q)
{
	static uint8_t bytes[8192];
	struct block *b = qcow2_block(q);

	for (uint64_t i = 0; i < N_READS; i++) {
		struct iovec iov[2] = { { bytes, 100 }, { bytes + 100, sizeof(bytes) - 100 } };
		uint64_t at = b->size / N_READS * i / BLOCK_SECTOR * BLOCK_SECTOR;
		struct qcow2_place place;

		IGNORE_RESULT(block_readv(b, iov, 2, at));
		IGNORE_RESULT(qcow2_find(q, at, &place));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("qcow2", MFD_CLOEXEC);
	struct err err = ERR_INIT;
	struct qcow2 *q = NULL;
	struct qcow2_count count;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		return 0;
	if (qcow2_open(fd, "fuzz", &q, &err) < 0) {
		(void)close(fd);
		return 0;
	}
	IGNORE_RESULT(qcow2_check(q, "fuzz", &count, &err));
	read_some(q);
	qcow2_free(q);
	return 0;
}
