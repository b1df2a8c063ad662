/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/defer.h"
#include "base/io.h"
#include "registry/secret.h"

int small_file_read(int dir_fd, const char *path, size_t max, struct buf *ret)
{
	/* NONBLOCK: a FIFO in its place must not stop us. */
	AUTO_CLOSE int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	AUTO(secret_buf_done) struct buf b = { 0 };
	struct stat st;
	ssize_t n;
	void *room;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	if ((uint64_t)st.st_size > max)
		return -EFBIG;
	buf_init(&b, max + 1);
	room = buf_room(&b, (size_t)st.st_size + 1);
	if (!room)
		return -ENOMEM;
	n = io_read_full(fd, room, (size_t)st.st_size + 1);
	if (n < 0)
		return (int)n;
	buf_grew(&b, (size_t)n);
	if (n > st.st_size) /* it grows while we read */
		return -EFBIG;
	*ret = b;
	b = (struct buf){ 0 };
	return 0;
}
