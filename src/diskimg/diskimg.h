/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DISKIMG_DISKIMG_H
#define DISKIMG_DISKIMG_H

#include "base/cancel.h"
#include "block/block.h"

/*
 * Disk images of the user as root: what kind of file one is, which of its file systems is the
 * root, and a copy without compression where there is any.  A disk image is hostile: every number in
 * it is checked against the size of the disk, and no path in it is opened.
 */
enum disk_format { DISK_ANY, DISK_RAW, DISK_QCOW2, DISK_FORMAT_MAX };

struct disk_image {
	enum disk_format format; /* of the file; never DISK_ANY */
	uint64_t file_size;	 /* bytes */
	uint64_t mtime_ns;	 /* since the epoch */
	/*
	 * What a sandbox reads: the file, or its unpacked copy, which is raw. Owned; locked for as long
	 * as any duplicate is open.
	 */
	int fd;
	enum disk_format fd_format;
	struct block *block; /* the disk, read-only; owned; on its own descriptors */
};
void disk_image_free(struct disk_image *d);
DEFINE_AUTO(struct disk_image *, disk_image_free);

/* How an image is opened. */
struct disk_request {
	const char *path;	 /* borrowed */
	enum disk_format format; /* DISK_ANY: found from the content */
	bool direct;		 /* to be written in place, by this sandbox alone; raw only */
	int cache_fd;		 /* folder for unpacked copies; borrowed */
	struct cancel *cancel;	 /* borrowed; may be NULL */
};

/**
 * disk_image_open() - Find out what a file is, lock it, check all of its tables
 * @err:	NOT_FOUND, DENIED, INVALID (no disk image, or one that cannot be used, with the command
 *		that converts it), BUSY (another sandbox writes it in place, or uses it at all for
 *		a direct one), IO, CANCELLED, TIMEOUT
 *
 * Blocks: packed clusters are unpacked, once for each version of a file.
 */
MUST_CHECK int disk_image_open(const struct disk_request *req, struct disk_image **ret_image,
			       struct err *err);

/**
 * disk_cache_prune() - Delete the unpacked copies that nobody uses
 * @until_ns:	Last used then or before, since the epoch
 * @dry_run:	Only say what they take
 * @ret_bytes:	What they took on the disk
 * Return: 0 or -errno. A copy that is needed again is made again.
 */
MUST_CHECK int disk_cache_prune(int cache_fd, uint64_t until_ns, bool dry_run, uint64_t *ret_bytes);

/* The file system of a disk that is the root. */
struct disk_root {
	uint64_t offset, len; /* bytes; len reaches to what lies behind it */
	uint32_t partition;   /* 0: the whole disk */
	const char *fstype;   /* "ext4" or "erofs"; static */
	bool last;	      /* nothing lies behind it, so it may grow with the disk */
};

/**
 * disk_root_find() - The whole disk, or the partition with Linux's type of a root, or the only one
 * @partition:	Look at this one only; 0: any
 * @fstype:	Take it for this one, which the guest can mount; NULL: any
 * @err:	INVALID: none, or several; they are listed
 */
MUST_CHECK int disk_root_find(struct block *disk, const char *path, uint32_t partition,
			      const char *fstype, struct disk_root *ret_root, struct err *err);

/* @fstype is one that a guest can mount as root; its static name, or NULL. */
const char *disk_fstype(const char *fstype);

/* The file of a user as the writable side of a root: raw with ext4 on the whole. */
struct disk_upper {
	int fd; /* owned; locked for this sandbox alone */
	uint64_t size;
};
/* @err: as disk_image_open() */
MUST_CHECK int disk_upper_open(const char *path, struct disk_upper *ret_upper, struct err *err);

#endif /* DISKIMG_DISKIMG_H */
