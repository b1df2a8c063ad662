/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_IO_H
#define BASE_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/*
 * Small helpers over descriptors.  All are leaf functions: 0 or a count, or -errno.
 * Each goes on after EINTR and after short reads and writes.
 */

/* Read up to @len bytes; a count below @len means end of file. Blocking descriptors. */
MUST_CHECK ssize_t io_read_full(int fd, void *buf, size_t len);
MUST_CHECK ssize_t io_pread_full(int fd, void *buf, size_t len, uint64_t offset);
/* Write all @len bytes. Blocking descriptors. */
MUST_CHECK int io_write_full(int fd, const void *buf, size_t len);
MUST_CHECK int io_pwrite_full(int fd, const void *buf, size_t len, uint64_t offset);

/* Set or clear O_NONBLOCK. */
MUST_CHECK int io_set_nonblock(int fd, int on);

/**
 * io_memfd() - A sealed memory file with this content
 * @name:	Shown in /proc
 * Return: descriptor (O_CLOEXEC, offset 0), or -errno.  Nobody can change it any more.
 */
MUST_CHECK int io_memfd(const char *name, const void *data, size_t len);

#endif /* BASE_IO_H */
