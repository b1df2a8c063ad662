/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/io.h"
#include "diskimg/internal.h"

#define HEAD_BYTES   512u /* at the front; what tells a format lies in them */
#define FOOTER_BYTES 512u /* at the end of a fixed VHD */

/* Formats that are refused, by their first bytes, with the word for qemu-img; and archives. */
static const struct kind {
	const char *name, *qemu; /* qemu NULL: no disk image */
	const char *bytes;
	uint32_t offset, len;
} kinds[] = {
	{ "VMDK", "vmdk", "KDMV", 0, 4 },
	{ "VMDK", "vmdk", "COWD", 0, 4 },
	{ "VMDK", "vmdk", "# Disk DescriptorFile", 0, 21 },
	{ "VDI", "vdi", "\x7f\x10\xda\xbe", 64, 4 },
	{ "VHD", "vpc", "conectix", 0, 8 },
	{ "VHDX", "vhdx", "vhdxfile", 0, 8 },
	{ "QED", "qed", "QED\0", 0, 4 },
	{ "Parallels", "parallels", "WithoutFreeSpace", 0, 16 },
	{ "Parallels", "parallels", "WithouFreSpacExt", 0, 16 },
	{ "tar", NULL, "ustar", 257, 5 },
	{ "gzip", NULL, "\x1f\x8b", 0, 2 },
	{ "zstd", NULL, "\x28\xb5\x2f\xfd", 0, 4 },
	{ "xz", NULL, "\xfd\x37zXZ", 0, 5 },
	{ "bzip2", NULL, "BZh", 0, 3 },
};

void disk_image_free(struct disk_image *d)
{
	if (!d)
		return;
	block_free(d->block);
	close_auto(&d->fd);
	free(d);
}

static int refuse_kind(const struct kind *k, const char *path, struct err *err)
{
	if (k->qemu)
		return err_set(err, ERR_INVALID,
			       "disk image '%s' is a %s, which is not read here\nconvert it: "
			       "qemu-img convert -f %s -O qcow2 %s NEW.qcow2",
			       path, k->name, k->qemu, path);
	return err_set(err, ERR_INVALID,
		       "'%s' is a %s archive, no disk image\nan image archive is loaded first: msb "
		       "load -i %s",
		       path, k->name, path);
}

/* The format by the content: raw is what is nothing else. */
static int guess(int fd, uint64_t size, const char *path, enum disk_format *ret, struct err *err)
{
	static const struct kind fixed_vhd = { .name = "VHD", .qemu = "vpc" };
	uint8_t head[HEAD_BYTES] = { 0 }, footer[FOOTER_BYTES] = { 0 };
	ssize_t n = io_pread_full(fd, head, sizeof(head), 0);

	if (n >= 0 && size >= sizeof(footer))
		n = io_pread_full(fd, footer, sizeof(footer), size - sizeof(footer));
	if (n < 0)
		return err_sys(err, (int)-n, "read disk image '%s'", path);
	if (memcmp(head, "QFI\xfb", 4) == 0) {
		*ret = DISK_QCOW2;
		return 0;
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (memcmp(head + kinds[i].offset, kinds[i].bytes, kinds[i].len) == 0)
			return refuse_kind(&kinds[i], path, err);
	if (memcmp(footer, "conectix", 8) == 0)
		return refuse_kind(&fixed_vhd, path, err);
	*ret = DISK_RAW;
	return 0;
}

static int in_use(const char *path, bool alone, struct err *err)
{
	if (alone)
		err_set(err, ERR_BUSY,
			"'%s' is in use by another sandbox, so it cannot be written in place",
			path);
	else
		err_set(err, ERR_BUSY, "'%s' is written in place by another sandbox", path);
	return err_detail(err, ERR_NR_BUSY, path);
}

/* A regular file, locked for this sandbox alone if it is written. */
static int open_locked(const char *path, bool alone, int *ret_fd, struct stat *ret_st,
		       struct err *err)
{
	AUTO_CLOSE int fd =
		open(path, (alone ? O_RDWR : O_RDONLY) | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || fstat(fd, ret_st) < 0) {
		err_sys(err, errno, "open disk image '%s'", path);
		return err_detail(err, err->code == ERR_NOT_FOUND ? ERR_NR_PATH_NOT_FOUND : 0,
				  path);
	}
	if (!S_ISREG(ret_st->st_mode))
		return err_set(err, ERR_INVALID, "'%s' is neither a folder nor a file", path);
	if (ret_st->st_size == 0)
		return err_set(err, ERR_INVALID, "disk image '%s' is empty", path);
	if (flock(fd, (alone ? LOCK_EX : LOCK_SH) | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? in_use(path, alone, err)
					    : err_sys(err, errno, "lock disk image '%s'", path);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* The disk in a raw file; past its end it reads as zeros up to a whole sector. */
static int open_raw(int fd, uint64_t size, const char *path, struct block **ret, struct err *err)
{
	struct block_extent e = { .len = size, .fd = fcntl(fd, F_DUPFD_CLOEXEC, 0) };
	int r = e.fd < 0 ? -errno : 0;

	if (r == 0)
		r = block_extents_new(&e, 1,
				      (size + BLOCK_SECTOR - 1) / BLOCK_SECTOR * BLOCK_SECTOR, ret);
	if (r < 0) {
		close_auto(&e.fd);
		return err_sys(err, -r, "open disk image '%s'", path);
	}
	return 0;
}

/* d->fd, d->fd_format and d->block of a qcow2 image in @fd. */
static int open_qcow2(const struct disk_request *req, int fd, const struct stat *st,
		      struct disk_image *d, struct err *err)
{
	AUTO(qcow2_free) struct qcow2 *q = NULL;
	AUTO_CLOSE int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	struct qcow2_count count = { 0 };
	uint64_t size;
	int r;

	if (own < 0)
		return err_sys(err, errno, "open disk image '%s'", req->path);
	r = qcow2_open(own, req->path, &q, err);
	if (r < 0)
		return r;
	(void)TAKE_FD(own);
	r = qcow2_check(q, req->path, &count, err);
	if (r < 0)
		return r;
	if (count.packed == 0) {
		d->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (d->fd < 0)
			return err_sys(err, errno, "open disk image '%s'", req->path);
		d->fd_format = DISK_QCOW2;
		d->block = qcow2_block(TAKE_PTR(q));
		return 0;
	}
	size = qcow2_block(q)->size;
	r = unpack_qcow2(q, &count, req, fd, st, &d->fd, err);
	if (r < 0)
		return r;
	d->fd_format = DISK_RAW;
	return open_raw(d->fd, size, req->path, &d->block, err);
}

static int direct_needs_raw(const char *path, struct err *err)
{
	return err_set(err, ERR_INVALID,
		       "disk image '%s' is qcow2, and only a raw one can be written in place\n"
		       "convert it: qemu-img convert -O raw %s NEW.raw",
		       path, path);
}

int disk_image_open(const struct disk_request *req, struct disk_image **ret_image, struct err *err)
{
	AUTO(disk_image_free) struct disk_image *d = calloc(1, sizeof(*d));
	AUTO_CLOSE int fd = -1;
	struct stat st;
	int r;

	if (!d)
		return err_no_memory(err);
	d->fd = -1;
	r = open_locked(req->path, req->direct, &fd, &st, err);
	if (r < 0)
		return r;
	d->format = req->format;
	d->file_size = (uint64_t)st.st_size;
	d->mtime_ns = (uint64_t)st.st_mtim.tv_sec * NS_PER_S + (uint64_t)st.st_mtim.tv_nsec;
	if (d->format == DISK_ANY)
		r = guess(fd, d->file_size, req->path, &d->format, err);
	if (r == 0 && d->format == DISK_QCOW2 && req->direct)
		return direct_needs_raw(req->path, err);
	if (r == 0 && d->format == DISK_QCOW2)
		r = open_qcow2(req, fd, &st, d, err);
	else if (r == 0)
		r = open_raw(fd, d->file_size, req->path, &d->block, err);
	if (r < 0)
		return r;
	if (d->fd < 0) {
		d->fd_format = DISK_RAW;
		d->fd = TAKE_FD(fd);
	}
	*ret_image = TAKE_PTR(d);
	return 0;
}

int disk_upper_open(const char *path, struct disk_upper *ret_upper, struct err *err)
{
	AUTO(block_free) struct block *disk = NULL;
	AUTO_CLOSE int fd = -1;
	enum disk_format format = DISK_ANY;
	struct filesystem fs;
	struct stat st;
	int r = open_locked(path, true, &fd, &st, err);

	if (r == 0)
		r = guess(fd, (uint64_t)st.st_size, path, &format, err);
	if (r == 0 && format == DISK_QCOW2)
		return direct_needs_raw(path, err);
	if (r == 0)
		r = open_raw(fd, (uint64_t)st.st_size, path, &disk, err);
	if (r < 0 || !disk)
		return r;
	r = filesystem_probe(disk, 0, disk->size, &fs);
	if (r < 0)
		return err_sys(err, -r, "read disk image '%s'", path);
	if (!fs.type || strcmp(fs.type, "ext4") != 0)
		return err_set(err, ERR_INVALID,
			       "root disk '%s' has %s, not ext4\nmake one, which erases it: mke2fs "
			       "-t ext4 %s",
			       path, fs.type ? fs.type : "no known file system", path);
	if (fs.size > disk->size)
		return err_set(err, ERR_INVALID, "root disk '%s' is cut off: its ext4 is longer",
			       path);
	ret_upper->size = disk->size;
	ret_upper->fd = TAKE_FD(fd);
	return 0;
}
