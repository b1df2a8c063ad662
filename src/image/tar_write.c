/* SPDX-License-Identifier: Apache-2.0 */
#include "image/tar_write.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cancel.h"
#include "base/io.h"

#define TAR_BLOCK  512u
#define NAME_BYTES 100
#define OCTAL_MAX  077777777777ull /* what 11 octal digits can say */
#define PIPE_BYTES 4096u /* PIPE_BUF of Linux: what a pipe has room for when poll() says so */

/* The header of old GNU tar, in which a number that is too long for its digits is binary. */
struct tar_head {
	char name[NAME_BYTES];
	char mode[8], uid[8], gid[8];
	char size[12], mtime[12];
	char checksum[8];
	char type;
	char link[NAME_BYTES];
	char magic[8];
	char uname[32], gname[32];
	char major[8], minor[8];
	char rest[167];
};
static_assert(sizeof(struct tar_head) == TAR_BLOCK, "one block");

/* To a reader that may be slow or dead: never more than fits, so that the switch ends the wait. */
static int put_slowly(struct tar_out *t, const uint8_t *data, size_t len, struct err *err)
{
	while (len > 0) {
		struct pollfd p = { .fd = t->fd, .events = POLLOUT };
		size_t n = len < PIPE_BYTES ? len : PIPE_BYTES;
		ssize_t done;

		if (cancel_poll(t->cancel, &p, 1, -1, err) < 0)
			return -(int)err->code;
		done = write(t->fd, data, n);
		if (done < 0 && errno != EINTR && errno != EAGAIN)
			return err_sys(err, errno, "writing the archive");
		data += done > 0 ? done : 0;
		len -= done > 0 ? (size_t)done : 0;
	}
	return 0;
}

static int put(struct tar_out *t, const void *data, size_t len, struct err *err)
{
	int r;

	if (!t->is_file)
		return put_slowly(t, data, len, err);
	r = io_write_full(t->fd, data, len);
	return r < 0 ? err_sys(err, -r, "writing the archive") : 0;
}

void tar_out_init(struct tar_out *t, int fd, const struct cancel *cancel)
{
	struct stat st;

	*t = (struct tar_out){ .fd = fd, .cancel = cancel };
	t->is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static void put_size(struct tar_head *h, uint64_t size)
{
	if (size <= OCTAL_MAX) {
		(void)snprintf(h->size, sizeof(h->size), "%011llo", (unsigned long long)size);
		return;
	}
	h->size[0] = (char)0x80;
	for (unsigned i = 0; i < 8; i++)
		h->size[sizeof(h->size) - 1 - i] = (char)(size >> (8 * i));
}

static int put_head(struct tar_out *t, const char *name, char type, unsigned mode, uint64_t size,
		    struct err *err)
{
	struct tar_head h = { .type = type, .magic = "ustar  " };
	uint8_t bytes[TAR_BLOCK];
	unsigned sum = 0;

	assert(t->left == 0 && strlen(name) < NAME_BYTES);
	(void)snprintf(h.name, sizeof(h.name), "%s", name);
	(void)snprintf(h.mode, sizeof(h.mode), "%07o", mode);
	(void)snprintf(h.uid, sizeof(h.uid), "%07o", 0);
	(void)snprintf(h.gid, sizeof(h.gid), "%07o", 0);
	(void)snprintf(h.mtime, sizeof(h.mtime), "%011o", 0);
	put_size(&h, size);
	/* The checksum is that of a header whose checksum is blank. */
	memset(h.checksum, ' ', sizeof(h.checksum));
	memcpy(bytes, &h, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		sum += bytes[i];
	(void)snprintf(h.checksum, sizeof(h.checksum), "%06o", sum);
	return put(t, &h, sizeof(h), err);
}

int tar_out_folder(struct tar_out *t, const char *name, struct err *err)
{
	return put_head(t, name, '5', 0755, 0, err);
}

int tar_out_file(struct tar_out *t, const char *name, uint64_t size, struct err *err)
{
	if (put_head(t, name, '0', 0644, size, err) < 0)
		return -err->code;
	t->left = t->size = size;
	return 0;
}

int tar_out_add(struct tar_out *t, const void *data, size_t len, struct err *err)
{
	static const uint8_t zeros[TAR_BLOCK];
	size_t over = t->size % TAR_BLOCK;

	assert(len <= t->left);
	if (put(t, data, len, err) < 0)
		return -err->code;
	t->left -= len;
	return len > 0 && t->left == 0 && over > 0 ? put(t, zeros, TAR_BLOCK - over, err) : 0;
}

int tar_out_end(struct tar_out *t, struct err *err)
{
	static const uint8_t zeros[2 * TAR_BLOCK];

	assert(t->left == 0);
	return put(t, zeros, sizeof(zeros), err);
}
