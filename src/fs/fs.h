/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_FS_H
#define FS_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/defer.h"
#include "base/err.h"

/*
 * The file server: FUSE requests in, replies out, over memory vectors.  It knows no virtio.
 * One server serves all mounts of a sandbox: its root is a synthetic read-only folder with
 * one entry for each mount, named by the mount's number ("0", "1", ...), each a submount.
 */
struct fs_server;

/* One folder of the host. */
struct fs_mount {
	int dir_fd;	/* O_PATH or O_RDONLY on the folder; owned by the server once made */
	bool read_only; /* every kind of change is EROFS */
	/*
	 * D: owner that what the host user owns appears to have; other ids appear as 65534, and
	 * chown by the guest is a record.  If the process is root and D is 0:0, ids pass through
	 * instead and chown really chowns: a root file system, with many owners.
	 */
	uint32_t uid, gid;
	bool hide_set; /* hide_dev and hide_ino name a folder that is not shown (MSB_HOME) */
	uint64_t hide_dev, hide_ino;
};

/**
 * fs_server_new() - A server for these mounts
 *
 * In the process that will serve, after it took on its final ids: it keeps /proc/self/fd open,
 * and the owner map is made from its effective ids.  /proc stays visible, and RLIMIT_NOFILE
 * bounds how many objects the guest can know: the caller raises it.
 *
 * Return: 0 or -errno; on failure the descriptors stay with the caller.
 */
MUST_CHECK int fs_server_new(const struct fs_mount *mounts, size_t n, struct fs_server **ret_fs);
void fs_server_free(struct fs_server *fs);
DEFINE_AUTO(struct fs_server *, fs_server_free);

/**
 * fs_server_handle() - Serve one FUSE request
 * @in:		The request as the guest laid it out: header, arguments, data; borrowed. The
 *		memory is the guest's and may change: each field is read once.
 * @out:	Where the reply goes; borrowed
 *
 * Any thread; calls may run at once.
 * Return: bytes of the reply, 0 for requests without one (FORGET), or -EPROTO when not even
 * a header fits: the device then needs a reset.
 */
MUST_CHECK ssize_t fs_server_handle(struct fs_server *fs, const struct iovec *in, int n_in,
				    const struct iovec *out, int n_out);

/* Forget all nodes, handles and locks, as at the guest's reboot or a device reset. */
void fs_server_reset(struct fs_server *fs);

#endif /* FS_FS_H */
