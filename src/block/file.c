/* SPDX-License-Identifier: Apache-2.0 */
/* #syscalls preadv pwritev fallocate */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "block/internal.h"

#define IOV_BATCH  128	       /* elements of one preadv()/pwritev(): 2 KiB of stack */
#define ZERO_CHUNK (64 * 1024) /* bytes of zeros of one pwritev() element */

/* Elements for the next @max bytes at most; returns their number. */
static int iov_slice(const struct iov_pos *pos, uint64_t max, struct iovec out[IOV_BATCH])
{
	size_t skip = pos->done;
	int n = 0;

	for (int i = 0; i < pos->n && n < IOV_BATCH && max > 0; i++) {
		size_t len = pos->iov[i].iov_len - skip;

		if (len > max)
			len = max;
		if (len > 0)
			out[n++] = (struct iovec){ (char *)pos->iov[i].iov_base + skip, len };
		max -= len;
		skip = 0;
	}
	return n;
}

static void iov_advance(struct iov_pos *pos, size_t len)
{
	while (pos->n > 0 && len >= pos->iov->iov_len - pos->done) {
		len -= pos->iov->iov_len - pos->done;
		pos->iov++;
		pos->n--;
		pos->done = 0;
	}
	pos->done += len;
}

void iov_pos_take(struct iov_pos *pos, void *out, uint64_t len)
{
	struct iovec part[IOV_BATCH];
	char *to = out;

	while (len > 0) {
		int n = iov_slice(pos, len, part);

		assert(n > 0); /* the caller counted the vector */
		for (int i = 0; i < n; i++) {
			memcpy(to, part[i].iov_base, part[i].iov_len);
			iov_advance(pos, part[i].iov_len);
			to += part[i].iov_len;
			len -= part[i].iov_len;
		}
	}
}

void iov_pos_zero(struct iov_pos *pos, uint64_t len)
{
	struct iovec part[IOV_BATCH];

	while (len > 0) {
		int n = iov_slice(pos, len, part);

		assert(n > 0); /* the caller counted the vector */
		for (int i = 0; i < n; i++) {
			memset(part[i].iov_base, 0, part[i].iov_len);
			iov_advance(pos, part[i].iov_len);
			len -= part[i].iov_len;
		}
	}
}

int file_read(int fd, struct iov_pos *pos, uint64_t offset, uint64_t len)
{
	struct iovec part[IOV_BATCH];
	uint64_t done = 0;

	while (done < len) {
		int n_part = iov_slice(pos, len - done, part);
		ssize_t n = preadv(fd, part, n_part, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0) { /* past the end of the file */
			iov_pos_zero(pos, len - done);
			return 0;
		}
		iov_advance(pos, (size_t)n);
		done += (uint64_t)n;
	}
	return 0;
}

int file_write(int fd, struct iov_pos *pos, uint64_t offset, uint64_t len)
{
	struct iovec part[IOV_BATCH];
	uint64_t done = 0;

	while (done < len) {
		int n_part = iov_slice(pos, len - done, part);
		ssize_t n = pwritev(fd, part, n_part, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		iov_advance(pos, (size_t)n);
		done += (uint64_t)n;
	}
	return 0;
}

static int allocate(int fd, int mode, uint64_t offset, uint64_t len)
{
	int r;

	do {
		r = fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

int file_discard(int fd, uint64_t offset, uint64_t len)
{
	int r = allocate(fd, FALLOC_FL_PUNCH_HOLE, offset, len);

	return r == -EOPNOTSUPP ? 0 : r; /* a discard is a hint */
}

int file_zero(int fd, uint64_t offset, uint64_t len, bool unmap)
{
	static const uint8_t zeros[ZERO_CHUNK];
	struct iovec iov[IOV_BATCH];
	uint64_t done = 0;
	int r = allocate(fd, unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE, offset, len);

	if (r != -EOPNOTSUPP)
		return r;
	for (int i = 0; i < IOV_BATCH; i++)
		iov[i] = (struct iovec){ (void *)(uintptr_t)zeros, sizeof(zeros) };
	while (done < len) {
		struct iov_pos pos = { iov, IOV_BATCH, 0 };
		uint64_t part = len - done;

		if (part > sizeof(zeros) * IOV_BATCH)
			part = sizeof(zeros) * IOV_BATCH;
		r = file_write(fd, &pos, offset + done, part);
		if (r < 0)
			return r;
		done += part;
	}
	return 0;
}
