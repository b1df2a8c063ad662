/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: the one disk
 *
 * The guest sees one virtio-blk device: the pieces of the image, the modules image, the disk image
 * and the upper disk, each at a multiple of 2 MiB.  It has no partition table; the agent makes /dev/vda1 ...
 * from the boot message.  Folders are numbered in the virtio-fs root by their index: the root
 * folder first, if the root is one, then the bind mounts in the spec's order.
 */
#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/num.h"
#include "base/spawn.h"
#include "proto/launch.h"
#include "runtime/internal.h"

#define PIECE_ALIGN (2ull << 20) /* bytes; docs/internals/image.md, EROFS */
#define SECTOR	    512u
#define MAX_FDS	    128 /* of base/spawn.c */

int fd_map_add(struct fd_map *map, int from, uint32_t to)
{
	struct spawn_fd *fds;

	if (map->n >= MAX_FDS)
		return -E2BIG;
	fds = reallocarray(map->fds, map->n + 1, sizeof(*fds));
	if (!fds)
		return -ENOMEM;
	map->fds = fds;
	map->fds[map->n++] = (struct spawn_fd){ .from = from, .to = (int)to };
	return 0;
}

/* A folder that the map opens and closes itself. */
static int fd_map_open(struct fd_map *map, const char *path, int *ret_fd)
{
	int *opened = reallocarray(map->opened, map->n_opened + 1, sizeof(*opened));
	int fd;

	if (!opened)
		return -ENOMEM;
	map->opened = opened;
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	map->opened[map->n_opened++] = fd;
	*ret_fd = fd;
	return 0;
}

void fd_map_done(struct fd_map *map)
{
	for (size_t i = 0; i < map->n_opened; i++)
		(void)close(map->opened[i]);
	free(map->opened);
	free(map->fds);
	*map = (struct fd_map){ 0 };
}

static uint64_t round_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

/* Append a piece at the end of the disk; its descriptors get their numbers here. */
static int add_extent(struct launch_spec *ls, struct fd_map *map, struct launch_extent piece,
		      int fd, int layer)
{
	struct launch_extent *e =
		reallocarray(ls->extents, ls->n_extents + 1, sizeof(*ls->extents));
	int r;

	if (!e)
		return -ENOMEM;
	ls->extents = e;
	piece.fd = map->next++;
	r = fd_map_add(map, fd, piece.fd);
	if (r == 0 && layer >= 0) {
		piece.layer_fd = map->next++;
		r = fd_map_add(map, layer, piece.layer_fd);
	}
	if (r < 0)
		return r;
	ls->extents[ls->n_extents++] = piece;
	ls->disk_size = round_up(piece.disk_offset + piece.len, PIECE_ALIGN);
	return 0;
}

static int add_part(struct boot_spec *bs, uint64_t offset, uint64_t len, uint32_t *ret_index)
{
	struct boot_part *parts = reallocarray(bs->parts, bs->n_parts + 1, sizeof(*parts));

	if (!parts)
		return -ENOMEM;
	bs->parts = parts;
	*ret_index = (uint32_t)bs->n_parts;
	bs->parts[bs->n_parts++] = (struct boot_part){ .offset = offset, .len = len };
	return 0;
}

/* The pieces of an image of the store. */
static int add_image(const struct image *image, struct launch_spec *ls, struct boot_spec *bs,
		     struct fd_map *map)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < image->n_extents; i++)
		r = add_extent(ls, map,
			       (struct launch_extent){ .disk_offset = image->extents[i].disk_offset,
						       .len = image->extents[i].len },
			       image->extents[i].fd, -1);
	ls->disk_size = image->disk_size;
	return r < 0 ? r : add_part(bs, 0, image->disk_size, &bs->root_part);
}

/* A disk image; never at the front, where the kernel would look for a partition table. */
static int add_root_disk(const struct launch *l, struct launch_spec *ls, struct boot_spec *bs,
			 struct fd_map *map)
{
	const struct root_disk *d = l->disk;
	uint64_t at = ls->disk_size ? ls->disk_size : PIECE_ALIGN;
	struct launch_extent piece = {
		.disk_offset = at,
		.len = d->size,
		.writable = d->layered || l->spec->root == SPEC_ROOT_DIRECT,
		.volatile_data =
			d->layered && (l->spec->ephemeral || l->spec->root != SPEC_ROOT_MANAGED),
		.format = d->image->fd_format == DISK_QCOW2 ? LAUNCH_QCOW2 : LAUNCH_RAW,
	};
	int r = add_extent(ls, map, piece, d->image->fd, d->layered ? l->upper->fd : -1);

	if (r == 0)
		r = add_part(bs, at + d->root.offset, d->root.len, &bs->root_part);
	bs->root_fs = r == 0 ? strdup(d->root.fstype) : NULL;
	return r < 0 ? r : bs->root_fs ? 0 : -ENOMEM;
}

static int add_modules(int fd, struct launch_spec *ls, struct boot_spec *bs, struct fd_map *map)
{
	struct launch_extent piece = { .disk_offset = ls->disk_size };
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	piece.len = (uint64_t)st.st_size;
	r = add_extent(ls, map, piece, fd, -1);
	return r < 0 ? r
		     : add_part(bs, piece.disk_offset, round_up(piece.len, SECTOR),
				&bs->modules_part);
}

/* The ext4 disk that lies over an image, a folder, or a disk image that cannot be written. */
static int add_upper(const struct launch *l, struct launch_spec *ls, struct boot_spec *bs,
		     struct fd_map *map)
{
	struct launch_extent piece = {
		.disk_offset = ls->disk_size,
		.len = l->upper->size,
		.writable = true,
		.volatile_data = l->spec->ephemeral && l->spec->root == SPEC_ROOT_MANAGED,
	};
	int r = add_extent(ls, map, piece, l->upper->fd, -1);

	return r < 0 ? r : add_part(bs, piece.disk_offset, piece.len, &bs->upper_part);
}

static int add_disk(const struct launch *l, struct launch_spec *ls, struct boot_spec *bs,
		    struct fd_map *map)
{
	int r = 0;

	if (l->image)
		r = add_image(l->image, ls, bs, map);
	if (r == 0 && l->files->modules >= 0)
		r = add_modules(l->files->modules, ls, bs, map);
	if (r == 0 && l->disk)
		r = add_root_disk(l, ls, bs, map);
	if (r == 0 && l->upper->fd >= 0 && !(l->disk && l->disk->layered))
		r = add_upper(l, ls, bs, map);
	return r;
}

/* The ids of a numeric user; names are looked up in the guest, where their files are root's. */
static void mount_owner(const struct spec *spec, uint32_t *ret_uid, uint32_t *ret_gid)
{
	const char *user = spec->user ? spec->user : "";
	size_t n = strcspn(user, ":");
	uint64_t uid, gid;

	*ret_uid = *ret_gid = 0;
	if (parse_u64_n(user, n, 10, UINT32_MAX - 1, &uid) < 0)
		return;
	gid = uid;
	if (user[n] && parse_u64(user + n + 1, UINT32_MAX - 1, &gid) < 0)
		gid = uid;
	*ret_uid = (uint32_t)uid;
	*ret_gid = (uint32_t)gid;
}

static int add_folder(const struct launch *l, struct launch_spec *ls, struct fd_map *map,
		      const char *path, struct launch_mount mount, struct err *err)
{
	struct launch_mount *m = reallocarray(ls->mounts, ls->n_mounts + 1, sizeof(*ls->mounts));
	struct stat st = { 0 };
	int fd = -1, r;

	if (!m)
		return err_no_memory(err);
	ls->mounts = m;
	r = fd_map_open(map, path, &fd);
	if (r == 0 && fstat(l->home->fd, &st) < 0)
		r = -errno;
	if (r == 0)
		r = fd_map_add(map, fd, map->next);
	if (r < 0) {
		err_sys(err, -r, "share the folder '%s'", path);
		return err_detail(err, ERR_NR_NONE, path);
	}
	mount.fd = map->next++;
	mount.hide_set = true; /* the guest never sees MSB_HOME, whatever is shared */
	mount.hide_dev = st.st_dev;
	mount.hide_ino = st.st_ino;
	ls->mounts[ls->n_mounts++] = mount;
	return 0;
}

static int add_mounts(const struct launch *l, struct launch_spec *ls, struct boot_spec *bs,
		      struct fd_map *map, struct err *err)
{
	const struct spec *spec = l->spec;
	struct launch_mount mount = { .read_only = spec->root != SPEC_ROOT_DIRECT };
	int r = 0;

	if (spec->image_kind == SPEC_IMAGE_BIND) {
		bs->root_mount = 0;
		r = add_folder(l, ls, map, spec->image, mount, err);
	}
	if (spec->n_mounts == 0)
		return r;
	bs->mounts = calloc(spec->n_mounts, sizeof(*bs->mounts));
	if (!bs->mounts)
		return err_no_memory(err);
	for (size_t i = 0; r == 0 && i < spec->n_mounts; i++) {
		const struct spec_mount *m = &spec->mounts[i];
		struct boot_mount *b = &bs->mounts[bs->n_mounts];

		mount.read_only = m->read_only;
		mount_owner(spec, &mount.uid, &mount.gid);
		*b = (struct boot_mount){
			.number = (uint32_t)ls->n_mounts,
			.target = strdup(m->target),
			.read_only = m->read_only,
			.nosuid = m->nosuid,
			.noexec = m->noexec,
			.nodev = m->nodev,
		};
		bs->n_mounts++;
		if (!b->target)
			return err_no_memory(err);
		r = add_folder(l, ls, map, m->source, mount, err);
	}
	return r;
}

/* A disk image is the root itself where it can be written: it needs nothing above it. */
static enum boot_upper upper_kind(const struct launch *l)
{
	static const enum boot_upper uppers[] = {
		[SPEC_ROOT_MANAGED] = UPPER_DISK, [SPEC_ROOT_TMPFS] = UPPER_TMPFS,
		[SPEC_ROOT_NONE] = UPPER_NONE,	  [SPEC_ROOT_DIRECT] = UPPER_DIRECT,
		[SPEC_ROOT_DISK] = UPPER_DISK,
	};

	if (l->disk && l->disk->layered && l->spec->root == SPEC_ROOT_MANAGED)
		return UPPER_DIRECT;
	return uppers[l->spec->root];
}

int layout_build(const struct launch *l, struct launch_spec *launch, struct boot_spec *boot,
		 struct fd_map *map, struct err *err)
{
	int r;

	map->next = LAUNCH_FD_FIRST;
	boot->upper = upper_kind(l);
	if (l->spec->root == SPEC_ROOT_TMPFS)
		boot->upper_size = l->spec->root_size_mib << 20;
	r = add_disk(l, launch, boot, map);
	if (r == -E2BIG) {
		err_set(err, ERR_INVALID, "image '%s' has too many layers", l->spec->image);
		return err_detail(err, ERR_NR_IMAGE, l->spec->image);
	}
	if (r < 0)
		return err_sys(err, -r, "lay out the disk of '%s'", l->name);
	return add_mounts(l, launch, boot, map, err);
}
