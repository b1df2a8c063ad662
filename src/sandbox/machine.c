/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/machine.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "block/cow.h"
#include "block/qcow2.h"
#include "devices/devices.h"
#include "fs/fs.h"
#include "proto/agent.h"
#include "virtio/device.h"

#define GUEST_CID   3	   /* the lowest that is free for guests; private to each QEMU */
#define DISK_SERIAL "disk" /* the one disk; the agent's is /dev/vda */

/* A descriptor of the launch as one of our own. */
static int take_launch_fd(uint32_t fd)
{
	int r;

	if (fd < LAUNCH_FD_FIRST)
		return -EBADF;
	r = fcntl((int)fd, F_DUPFD_CLOEXEC, LAUNCH_FD_FIRST);
	return r < 0 ? -errno : r;
}

/* The disk in a file: raw or qcow2, with or without a layer over it. @fd and @layer are taken. */
static int open_piece(const struct launch_extent *e, int fd, int layer, struct block **ret,
		      struct err *err)
{
	struct block_extent raw = { .len = e->len, .fd = fd };
	struct block *base = NULL;
	struct qcow2 *q = NULL;
	struct stat st;
	int r = 0;

	if (e->format == LAUNCH_QCOW2) {
		r = qcow2_open(fd, "root", &q, err);
		base = r == 0 ? qcow2_block(q) : NULL;
	} else if (fstat(fd, &st) < 0) {
		r = err_sys(err, errno, "look at the disk image");
	} else {
		raw.len = st.st_size < (off_t)e->len ? (uint64_t)st.st_size : e->len;
		r = block_extents_new(&raw, 1, e->len / BLOCK_SECTOR * BLOCK_SECTOR, &base);
		if (r < 0)
			r = err_sys(err, -r, "open the disk image");
	}
	if (r < 0) {
		(void)close(fd);
		close_auto(&layer);
		return r;
	}
	if (layer < 0) {
		*ret = base;
		return 0;
	}
	r = cow_new(base, layer, e->volatile_data, ret);
	if (r == 0)
		return 0;
	block_free(base);
	(void)close(layer);
	return err_sys(err, -r, "open the layer over the disk image");
}

static int take_extent(const struct launch_extent *e, struct block_extent *ret, struct err *err)
{
	struct block_extent x = {
		.disk_offset = e->disk_offset,
		.file_offset = e->file_offset,
		.len = e->len,
		.writable = e->writable,
		.volatile_data = e->volatile_data,
	};
	int layer = -1, r;

	x.fd = take_launch_fd(e->fd);
	if (x.fd < 0)
		return err_sys(err, -x.fd, "descriptor %u of the disk", e->fd);
	if (e->layer_fd) {
		layer = take_launch_fd(e->layer_fd);
		if (layer < 0) {
			(void)close(x.fd);
			return err_sys(err, -layer, "descriptor %u of the disk", e->layer_fd);
		}
	}
	if (e->format != LAUNCH_RAW || layer >= 0) {
		r = open_piece(e, x.fd, layer, &x.block, err);
		if (r < 0)
			return r;
	}
	*ret = x;
	return 0;
}

static void drop_extent(struct block_extent *e)
{
	if (e->block)
		block_free(e->block);
	else
		(void)close(e->fd);
}

static int make_disk(const struct launch_spec *spec, struct block **ret_block, struct err *err)
{
	AUTO_FREE struct block_extent *extents = calloc(spec->n_extents + 1, sizeof(*extents));
	size_t n = 0;
	int r = 0;

	if (!extents)
		return err_sys(err, ENOMEM, "make the disk");
	while (r == 0 && n < spec->n_extents) {
		r = take_extent(&spec->extents[n], &extents[n], err);
		n += r == 0;
	}
	if (r == 0) {
		r = block_extents_new(extents, n, spec->disk_size, ret_block);
		if (r < 0)
			(void)err_sys(err, -r, "make a disk of %zu extents", n);
	}
	for (size_t i = 0; r < 0 && i < n; i++)
		drop_extent(&extents[i]);
	return r;
}

static int add_disk(struct machine *m, const struct launch_spec *spec, struct err *err)
{
	struct block *block = NULL;
	int r = make_disk(spec, &block, err);

	if (r < 0)
		return r;
	m->blk = blk_new(block, DISK_SERIAL);
	if (!m->blk) {
		block_free(block);
		return err_sys(err, ENOMEM, "make the disk");
	}
	r = loop_thread_init(&m->disk_thread, "disk");
	return r < 0 ? err_sys(err, -r, "make the disk's loop") : 0;
}

static int make_fs(const struct launch_spec *spec, struct fs_server **ret_fs, struct err *err)
{
	AUTO_FREE struct fs_mount *mounts = calloc(spec->n_mounts + 1, sizeof(*mounts));
	size_t n = 0;
	int r = 0;

	if (!mounts)
		return err_sys(err, ENOMEM, "make the file server");
	for (; n < spec->n_mounts; n++) {
		const struct launch_mount *lm = &spec->mounts[n];
		int fd = take_launch_fd(lm->fd);

		if (fd < 0) {
			r = err_sys(err, -fd, "mount %zu, descriptor %u", n, lm->fd);
			break;
		}
		mounts[n] = (struct fs_mount){
			.dir_fd = fd,
			.read_only = lm->read_only,
			.uid = lm->uid,
			.gid = lm->gid,
			.hide_set = lm->hide_set,
			.hide_dev = lm->hide_dev,
			.hide_ino = lm->hide_ino,
		};
	}
	if (r == 0) {
		r = fs_server_new(mounts, n, ret_fs);
		if (r < 0)
			(void)err_sys(err, -r, "make the file server of %zu mounts", n);
	}
	for (size_t i = 0; r < 0 && i < n; i++)
		(void)close(mounts[i].dir_fd);
	return r;
}

static int add_fs(struct machine *m, const struct launch_spec *spec, struct err *err)
{
	struct fs_server *fs = NULL;
	int r = make_fs(spec, &fs, err);

	if (r < 0)
		return r;
	m->fs = fs_new(fs, AGENT_FS_TAG);
	if (!m->fs) {
		fs_server_free(fs);
		return err_sys(err, ENOMEM, "make the file server");
	}
	r = loop_thread_init(&m->fs_thread, "fs");
	return r < 0 ? err_sys(err, -r, "make the file server's loop") : 0;
}

int machine_init(struct machine *m, struct loop *loop, const struct launch_spec *spec,
		 struct err *err)
{
	*m = (struct machine){ .loop = loop };
	if (strcmp(spec->engine, engine_qemu.name) == 0)
		m->ops = &engine_qemu;
	else
		return err_set(err, ERR_UNAVAILABLE, "there is no engine '%s' here", spec->engine);
	m->vsock = vsock_new(loop, GUEST_CID);
	if (!m->vsock)
		return err_sys(err, ENOMEM, "make the vsock device");
	if (spec->disk_size > 0) {
		int r = add_disk(m, spec, err);

		if (r < 0)
			return r;
	}
	return spec->n_mounts > 0 ? add_fs(m, spec, err) : 0;
}

static int start_threads(struct machine *m)
{
	int r = m->blk ? loop_thread_start(&m->disk_thread) : 0;

	if (r == 0 && m->fs)
		r = loop_thread_start(&m->fs_thread);
	return r;
}

int machine_start(struct machine *m, const struct launch_spec *spec, int console_fd,
		  engine_exit_fn on_exit, void *user, struct err *err)
{
	struct engine_device devices[3];
	struct engine_config config = {
		.cpus = spec->cpus,
		.memory_mib = spec->memory_mib,
		.kernel_fd = LAUNCH_FD_KERNEL,
		.initramfs_fd = LAUNCH_FD_INITRAMFS,
		.console_fd = console_fd,
		.lock_fd = LAUNCH_FD_LOCK,
		.cmdline = spec->cmdline,
		.qemu_path = spec->qemu_path,
		.devices = devices,
	};
	int r;

	devices[config.n_devices++] = (struct engine_device){ m->vsock, m->loop };
	if (m->blk)
		devices[config.n_devices++] = (struct engine_device){ m->blk, m->disk_thread.loop };
	if (m->fs)
		devices[config.n_devices++] = (struct engine_device){ m->fs, m->fs_thread.loop };
	r = m->ops->start(m->loop, &config, on_exit, user, &m->engine, err);
	if (r < 0)
		return r;
	r = start_threads(m);
	return r < 0 ? err_sys(err, -r, "start a thread") : 0;
}

uint64_t machine_cpu_ns(struct machine *m)
{
	return m->engine ? m->ops->cpu_ns(m->engine) : 0;
}

uint64_t machine_io_ns(struct machine *m)
{
	return loop_thread_cpu_ns(&m->disk_thread) + loop_thread_cpu_ns(&m->fs_thread);
}

void machine_cut(struct machine *m)
{
	if (m->engine)
		m->ops->stop(m->engine);
}

void machine_done(struct machine *m)
{
	machine_cut(m); /* so that no thread waits for the guest */
	loop_thread_stop(&m->disk_thread);
	loop_thread_stop(&m->fs_thread);
	if (m->engine)
		m->ops->free(m->engine);
	m->engine = NULL;
	virtio_device_free(m->blk);
	virtio_device_free(m->fs);
	virtio_device_free(m->vsock);
	loop_thread_done(&m->disk_thread);
	loop_thread_done(&m->fs_thread);
}
