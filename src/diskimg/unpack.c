/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: images with compressed clusters
 *
 * msb-sandbox links no decompressor, so such an image is unpacked once into a sparse raw file of
 * the cache, whose name says which file it was and which version of it.  It is a cache: what no
 * sandbox holds a lock on may be removed at any time.  Whoever unpacks holds a lock on the unfinished
 * file; who waited for it looks for the finished one again.  A kill leaves the unfinished one,
 * which the next attempt takes over.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/clock.h"
#include "base/dir.h"
#include "base/io.h"
#include "diskimg/internal.h"

#define NAME_BYTES 96 /* four numbers of 16 digits, and ".raw" */

/* One unpacking. */
struct job {
	const struct disk_request *req; /* borrowed */
	struct qcow2 *q;		/* borrowed */
	int in, out;			/* borrowed */
	uint64_t cluster;		/* bytes */
	uint8_t *packed;		/* owned; two clusters: what one may take, and more */
	uint8_t *plain;			/* owned; a cluster */
	ZSTD_DStream *zstd;		/* owned */
};

static void job_done_auto(struct job *j)
{
	free(j->packed);
	free(j->plain);
	(void)ZSTD_freeDStream(j->zstd);
}

/* Exactly one cluster of the disk from @len bytes; more may follow it. */
static int inflate_cluster(struct job *j, size_t len)
{
	z_stream z = {
		.next_in = j->packed,
		.avail_in = (uInt)len,
		.next_out = j->plain,
		.avail_out = (uInt)j->cluster,
	};
	int r = inflateInit2(&z, -15); /* no header; up to the largest window */

	if (r != Z_OK)
		return -ENOMEM;
	r = inflate(&z, Z_FINISH);
	(void)inflateEnd(&z);
	return (r == Z_STREAM_END || r == Z_OK || r == Z_BUF_ERROR) && z.avail_out == 0 ? 0 : -EIO;
}

static int zstd_cluster(struct job *j, size_t len)
{
	ZSTD_inBuffer in = { j->packed, len, 0 };
	ZSTD_outBuffer out = { j->plain, (size_t)j->cluster, 0 };
	size_t r = 1;

	if (ZSTD_isError(ZSTD_initDStream(j->zstd)))
		return -ENOMEM;
	while (r != 0 && out.pos < out.size && in.pos < in.size) {
		size_t before = in.pos + out.pos;

		r = ZSTD_decompressStream(j->zstd, &out, &in);
		if (ZSTD_isError(r) || in.pos + out.pos == before)
			return -EIO;
	}
	return out.pos == out.size ? 0 : -EIO;
}

/* j->plain of a place that is no hole. */
static int load_cluster(struct job *j, const struct qcow2_place *place)
{
	size_t len = place->kind == QCOW2_PACKED ? place->len : (size_t)j->cluster;
	uint8_t *to = place->kind == QCOW2_PACKED ? j->packed : j->plain;
	ssize_t n;

	if (len > 2 * j->cluster)
		return -EIO;
	n = io_pread_full(j->in, to, len, place->offset);
	if (n < 0)
		return (int)n;
	if (place->kind == QCOW2_PACKED)
		return qcow2_header(j->q)->packing == QCOW2_ZSTD ? zstd_cluster(j, (size_t)n)
								 : inflate_cluster(j, (size_t)n);
	memset(to + n, 0, len - (size_t)n); /* the file may end in its last cluster */
	return 0;
}

static bool all_zero(const uint8_t *data, size_t len)
{
	return data[0] == 0 && memcmp(data, data + 1, len - 1) == 0;
}

static int unpack(struct job *j)
{
	uint64_t size = qcow2_block(j->q)->size;

	for (uint64_t at = 0; at < size; at += j->cluster) {
		struct qcow2_place place = { .kind = QCOW2_HOLE };
		size_t len = size - at < j->cluster ? (size_t)(size - at) : (size_t)j->cluster;
		int r = cancel_fired(j->req->cancel) ? -ECANCELED : qcow2_find(j->q, at, &place);

		if (r == 0 && place.kind == QCOW2_HOLE)
			continue;
		if (r == 0)
			r = load_cluster(j, &place);
		if (r == 0 && !all_zero(j->plain, len))
			r = io_pwrite_full(j->out, j->plain, len, at);
		if (r < 0)
			return r;
	}
	return 0;
}

static int run_job(const struct disk_request *req, struct qcow2 *q, int in, int out)
{
	AUTO(job_done)
	struct job j = {
		.req = req,
		.q = q,
		.in = in,
		.out = out,
		.cluster = 1ull << qcow2_header(q)->cluster_bits,
	};

	j.packed = malloc((size_t)j.cluster * 2);
	j.plain = malloc((size_t)j.cluster);
	j.zstd = ZSTD_createDStream();
	if (!j.packed || !j.plain || !j.zstd)
		return -ENOMEM;
	if (ftruncate(out, 0) < 0 || ftruncate(out, (off_t)qcow2_block(q)->size) < 0)
		return -errno;
	return unpack(&j);
}

/* The finished copy, locked; -ENOENT. One that is removed at this moment is none. */
static int open_copy(int cache_fd, const char *name, int *ret_fd)
{
	AUTO_CLOSE int fd = openat(cache_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_SH) < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_nlink == 0)
		return -ENOENT;
	/* The time of its last use, which a mount may not keep; nothing depends on it but prune. */
	(void)futimens(fd,
		       (struct timespec[]){ { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_OMIT } });
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* Under the lock of the unfinished file: this process makes it. */
static int make_copy(const struct disk_request *req, struct qcow2 *q, int image_fd,
		     const char *fresh, const char *name, int out)
{
	int r = run_job(req, q, image_fd, out);

	if (r == 0 && (fsync(out) < 0 || renameat(req->cache_fd, fresh, req->cache_fd, name) < 0))
		r = -errno;
	if (r < 0)
		(void)unlinkat(req->cache_fd, fresh, 0);
	return r;
}

/* The unfinished file, locked: nobody else makes it now. -EAGAIN: it has got its other name. */
static int open_fresh(const struct disk_request *req, const char *fresh, int *ret_fd)
{
	AUTO_CLOSE int fd =
		openat(req->cache_fd, fresh, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct stat mine, named;

	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX) < 0) {
		if (errno != EINTR)
			return -errno;
		if (cancel_fired(req->cancel))
			return -ECANCELED;
	}
	if (fstat(fd, &mine) < 0)
		return -errno;
	if (fstatat(req->cache_fd, fresh, &named, AT_SYMLINK_NOFOLLOW) < 0 ||
	    named.st_ino != mine.st_ino)
		return -EAGAIN;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int find_or_make(const struct disk_request *req, struct qcow2 *q, int image_fd,
			const char *name, int *ret_fd)
{
	char fresh[NAME_BYTES + 8];

	(void)snprintf(fresh, sizeof(fresh), "%s.new", name);
	for (;;) {
		AUTO_CLOSE int out = -1;
		int r = open_copy(req->cache_fd, name, ret_fd);

		if (r != -ENOENT)
			return r;
		r = open_fresh(req, fresh, &out);
		if (r == 0)
			r = make_copy(req, q, image_fd, fresh, name, out);
		if (r < 0 && r != -EAGAIN)
			return r;
	}
}

/* A small image can stand for a disk that fits nowhere. */
static int check_space(const struct qcow2 *q, const struct qcow2_count *count,
		       const struct disk_request *req, struct err *err)
{
	uint64_t need = (count->data + count->packed) << qcow2_header(q)->cluster_bits, have;
	struct statvfs vfs;

	if (fstatvfs(req->cache_fd, &vfs) < 0)
		return err_sys(err, errno, "unpack disk image '%s'", req->path);
	have = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	if (need <= have)
		return 0;
	err_set(err, ERR_UNAVAILABLE,
		"not enough space to unpack disk image '%s': %llu MiB needed, %llu MiB free\n"
		"see what can go: msb image prune --dry-run",
		req->path, (unsigned long long)(need >> 20), (unsigned long long)(have >> 20));
	return err_detail(err, ERR_NR_NO_SPACE, req->path);
}

/* What a failure of find_or_make() means. */
static int unpack_failed(const struct disk_request *req, int r, struct err *err)
{
	if (r == -ECANCELED)
		return cancel_check(req->cancel, err);
	if (r == -EIO)
		return err_set(err, ERR_INVALID,
			       "disk image '%s' is damaged: a compressed cluster cannot be read\n"
			       "look at it: qemu-img check %s",
			       req->path, req->path);
	return err_sys(err, -r, "unpack disk image '%s'", req->path);
}

int unpack_qcow2(struct qcow2 *q, const struct qcow2_count *count, const struct disk_request *req,
		 int image_fd, const struct stat *st, int *ret_fd, struct err *err)
{
	char name[NAME_BYTES];
	int r;

	(void)snprintf(name, sizeof(name), "%llx-%llx-%llx-%llx%09lx.raw",
		       (unsigned long long)st->st_dev, (unsigned long long)st->st_ino,
		       (unsigned long long)st->st_size, (unsigned long long)st->st_mtim.tv_sec,
		       (unsigned long)st->st_mtim.tv_nsec);
	r = open_copy(req->cache_fd, name, ret_fd);
	if (r == -ENOENT) {
		if (check_space(q, count, req, err) < 0)
			return -(int)err->code;
		r = find_or_make(req, q, image_fd, name, ret_fd);
	}
	return r < 0 ? unpack_failed(req, r, err) : 0;
}

static uint64_t used_at(const struct stat *st)
{
	return (uint64_t)st->st_atim.tv_sec * NS_PER_S + (uint64_t)st->st_atim.tv_nsec;
}

/* What it takes; 0: it is in use or being made, so it is locked and stays. */
static uint64_t prune_one(int cache_fd, const char *name, uint64_t until_ns, bool dry_run)
{
	AUTO_CLOSE int fd = openat(cache_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0 || st.st_nlink == 0 ||
	    used_at(&st) > until_ns)
		return 0;
	if (!dry_run && unlinkat(cache_fd, name, 0) < 0)
		return 0;
	return (uint64_t)st.st_blocks * 512;
}

int disk_cache_prune(int cache_fd, uint64_t until_ns, bool dry_run, uint64_t *ret_bytes)
{
	AUTO(closedir) DIR *dir = NULL;
	uint64_t total = 0;
	struct dirent *e;
	int r = dir_open(cache_fd, ".", &dir);

	if (r < 0)
		return r;
	while ((e = readdir(dir)))
		if (e->d_name[0] != '.')
			total += prune_one(cache_fd, e->d_name, until_ns, dry_run);
	*ret_bytes = total;
	return 0;
}
