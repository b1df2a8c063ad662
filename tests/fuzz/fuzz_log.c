/* SPDX-License-Identifier: Apache-2.0 */
/* A file of a log: the header, then records; the first byte says where to begin. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/io.h"
#include "logs/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char top[] = "/dev/shm/fuzz_log_XXXXXX";
	AUTO(log_reader_free) struct log_reader *reader = NULL;
	AUTO_CLOSE int dir = -1;
	AUTO_CLOSE int fd = -1;
	struct log_record r;
	uint64_t lost;

	if (size == 0 || !mkdtemp(top))
		return 0;
	dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = openat(dir, "out-1.log", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (io_write_full(fd, data + 1, size - 1) < 0 || log_reader_new(dir, "out", &reader) < 0)
		abort();
	log_reader_seek(reader, data[0]);
	while (log_reader_next(reader, &r, &lost) == 1)
		if (r.len > LOG_DATA_MAX || r.stream >= LOG_STREAM_MAX)
			abort();
	(void)unlinkat(dir, "out-1.log", 0);
	(void)rmdir(top);
	return 0;
}
