/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: what a guest writes to
 *
 * Over an image or a folder lies an ext4 disk (the upper), over a disk image a layer of
 * clusters that were written; a disk image with a file system that cannot be written has an upper
 * too.  That of a named sandbox is a file in sandboxes/ID, which gets its name only when it is whole,
 * so that an end in between leaves none that the next start would use.  That of an ephemeral one
 * never gets a name.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "block/cow.h"
#include "runtime/internal.h"

#define UPPER_NAME "upper.ext4"
#define LAYER_NAME "root.cow"
#define NEW_NAME   "upper.new" /* either, while it is made */
#define CACHE_DIR  "images/disks"
#define MIB	   (1ull << 20)

void root_disk_done(struct root_disk *d)
{
	disk_image_free(d->image);
	d->image = NULL;
}

/* The format that was found when the sandbox was created, in place of looking again. */
static int recorded_format(struct home *home, struct spec *spec)
{
	AUTO(spec_done) struct spec old = { 0 };
	struct state_sandbox row = { 0 };
	struct err ignored = ERR_INIT;
	int r;

	if (!spec->name || spec->image_format != DISK_ANY)
		return 0;
	r = state_sandbox_by_name(home->state, spec->name, &row, &ignored);
	if (r == 0)
		r = spec_parse(row.spec, strlen(row.spec), NULL, &old, &ignored);
	if (r == 0 && old.image_kind == SPEC_IMAGE_DISK && strcmp(old.image, spec->image) == 0)
		spec->image_format = old.image_format;
	state_sandbox_done(&row);
	return 0;
}

static int open_cache(struct home *home, int *ret_fd, struct err *err)
{
	int fd;

	if (mkdirat(home->fd, CACHE_DIR, 0700) < 0 && errno != EEXIST)
		return err_sys(err, errno, "make '%s/%s'", home->path, CACHE_DIR);
	fd = openat(home->fd, CACHE_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "open '%s/%s'", home->path, CACHE_DIR);
	*ret_fd = fd;
	return 0;
}

int root_disk_prune(struct home *home, uint64_t until_ns, bool dry_run, uint64_t *ret_bytes,
		    struct err *err)
{
	AUTO_CLOSE int cache = -1;
	int r = open_cache(home, &cache, err);

	if (r < 0)
		return r;
	r = disk_cache_prune(cache, until_ns, dry_run, ret_bytes);
	return r < 0 ? err_sys(err, -r, "read '%s/%s'", home->path, CACHE_DIR) : 0;
}

/* The writable disk may be larger than the image, if its file system can follow. */
static int grow(const struct spec *spec, struct root_disk *d, struct err *err)
{
	uint64_t size = spec->root_size_mib * MIB;

	if (!d->layered || !size || spec->root != SPEC_ROOT_MANAGED)
		return 0;
	if (size < d->size)
		return err_set(err, ERR_INVALID,
			       "root_disk: %llu MiB is less than disk image '%s' has, %llu MiB",
			       (unsigned long long)spec->root_size_mib, spec->image,
			       (unsigned long long)((d->size + MIB - 1) / MIB));
	if (size > d->size && !d->root.last)
		return err_set(err, ERR_INVALID,
			       "disk image '%s' cannot grow: other partitions lie behind partition "
			       "%u, its root",
			       spec->image, d->root.partition);
	d->root.len += size - d->size;
	d->size = size;
	return 0;
}

/* What the file system found in the image means for the rest of the spec. */
static int settle(struct spec *spec, struct root_disk *d, struct err *err)
{
	bool writable = strcmp(d->root.fstype, "erofs") != 0;

	if (!writable && spec->root == SPEC_ROOT_DIRECT)
		return err_set(err, ERR_INVALID,
			       "disk image '%s' has %s, which nobody can write in place",
			       spec->image, d->root.fstype);
	d->size = d->image->block->size;
	d->layered = writable && spec->root != SPEC_ROOT_DIRECT;
	if (d->layered && d->size > COW_DISK_MAX)
		return err_set(err, ERR_INVALID, "disk image '%s' is above 16 TiB", spec->image);
	spec->image_format = d->image->format;
	if (!writable)
		spec_default_size(spec);
	return grow(spec, d, err);
}

int root_disk_open(struct home *home, struct spec *spec, const struct call *call,
		   struct root_disk *ret_disk, struct err *err)
{
	struct disk_request req = { .path = spec->image, .direct = spec->root == SPEC_ROOT_DIRECT };
	AUTO(root_disk_done) struct root_disk d = { 0 };
	AUTO_CLOSE int cache = -1;
	int r = recorded_format(home, spec);

	if (r == 0)
		r = open_cache(home, &cache, err);
	if (r < 0)
		return r;
	req.cache_fd = cache;
	req.format = spec->image_format;
	r = disk_image_open(&req, &d.image, err);
	if (r == 0)
		r = disk_root_find(d.image->block, spec->image, spec->image_partition,
				   spec->image_fstype, &d.root, err);
	if (r == 0)
		r = settle(spec, &d, err);
	if (r < 0)
		return err_detail(err, err->number ? err->number : ERR_NR_IMAGE, spec->image);
	*ret_disk = d;
	d.image = NULL;
	return 0;
}

static struct cow_origin origin_of(const struct root_disk *d)
{
	return (struct cow_origin){
		.disk_size = d->size,
		.file_size = d->image->file_size,
		.mtime_ns = d->image->mtime_ns,
	};
}

/* A layer of an earlier boot lies over what it was made for, or over nothing that makes sense. */
static int check_layer(const struct upper_request *req, int fd, struct err *err)
{
	struct cow_origin want = origin_of(req->disk), have;
	int r = cow_origin_read(fd, &have);

	if (r < 0)
		return err_sys(err, -r, "open the disk of '%s'", req->name);
	if (have.file_size == want.file_size && have.mtime_ns == want.mtime_ns &&
	    have.disk_size == want.disk_size)
		return 0;
	err_set(err, ERR_INVALID,
		"disk image '%s' was changed since sandbox '%s' was created, whose disk lies over "
		"it\ncreate a sandbox of another name, or bring the old file back",
		req->spec->image, req->name);
	return err_detail(err, ERR_NR_IMAGE, req->spec->image);
}

static int make_fresh(const struct upper_request *req, int dir_fd, int *ret_fd, struct err *err)
{
	const char *name = req->disk && req->disk->layered ? LAYER_NAME : UPPER_NAME;
	bool keep = !req->spec->ephemeral;
	AUTO_CLOSE int fd =
		openat(dir_fd, NEW_NAME, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r = 0;

	if (fd < 0)
		return err_sys(err, errno, "open its file");
	if (req->disk && req->disk->layered) {
		struct cow_origin origin = origin_of(req->disk);

		r = cow_create(fd, &origin);
		if (r < 0)
			r = err_sys(err, -r, "write it");
	} else {
		r = ext4_create(fd, req->spec->root_size_mib * MIB, err);
	}
	if (r == 0 && keep && fsync(fd) < 0)
		r = err_sys(err, errno, "write it");
	if (r == 0 && keep && renameat(dir_fd, NEW_NAME, dir_fd, name) < 0)
		r = err_sys(err, errno, "name it");
	if (r < 0 || !keep)
		(void)unlinkat(dir_fd, NEW_NAME, 0);
	if (r == 0)
		*ret_fd = TAKE_FD(fd);
	return r;
}

/* The file of the last boot of a named sandbox: 1, or 0 if there is none. */
static int open_kept(const struct upper_request *req, int dir_fd, int *ret_fd, struct err *err)
{
	bool layered = req->disk && req->disk->layered;
	AUTO_CLOSE int fd =
		openat(dir_fd, layered ? LAYER_NAME : UPPER_NAME, O_RDWR | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0
				       : err_sys(err, errno, "open the disk of '%s'", req->name);
	if (layered && check_layer(req, fd, err) < 0)
		return -(int)err->code;
	*ret_fd = TAKE_FD(fd);
	return 1;
}

static int open_folder(const struct upper_request *req, int *ret_fd, struct err *err)
{
	int fd;

	if (mkdirat(req->home->sandboxes_fd, req->id, 0700) < 0 && errno != EEXIST)
		return err_sys(err, errno, "make the folder of '%s'", req->name);
	fd = openat(req->home->sandboxes_fd, req->id,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "open the folder of '%s'", req->name);
	*ret_fd = fd;
	return 0;
}

/* The file of the user, or one of ours? */
static bool needs_file(const struct upper_request *req)
{
	return req->spec->root == SPEC_ROOT_MANAGED || (req->disk && req->disk->layered);
}

int upper_open(const struct upper_request *req, struct disk_upper *ret_upper, struct err *err)
{
	AUTO_CLOSE int dir = -1;
	int r;

	if (req->spec->root == SPEC_ROOT_DISK) {
		const char *path = req->spec->root_path;

		r = disk_upper_open(path, ret_upper, err);
		return r < 0 ? err_detail(err, err->number ? err->number : ERR_NR_IMAGE, path) : 0;
	}
	if (!needs_file(req))
		return 0;
	if (!req->spec->ephemeral) {
		r = open_folder(req, &dir, err);
		if (r == 0)
			r = open_kept(req, dir, &ret_upper->fd, err);
		if (r < 0)
			return r;
	}
	ret_upper->size = req->spec->root_size_mib * MIB;
	if (ret_upper->fd >= 0)
		return 0;
	r = make_fresh(req, dir >= 0 ? dir : req->run_dir, &ret_upper->fd, err);
	return r < 0 ? err_wrap(err, "make the disk of '%s'", req->name) : 0;
}
