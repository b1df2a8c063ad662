/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: the root
 *
 * Below lies the image (EROFS), a disk image or a shared folder, above it ext4, a tmpfs, or
 * nothing; a disk image that is written needs nothing above it.  A
 * root without an upper still gets a small tmpfs while it is set up, so that the places of
 * mounts can be made in it; then it is turned read-only.  Everything is prepared in the
 * initramfs, outside of what the image can name, and every path below the new root goes
 * through path_open().
 */
#include "root.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/xattr.h>

#include "base/log.h"
#include "disk.h"
#include "mounts.h"
#include "path.h"
#include "settings.h"

#define FS_DIR	    "/.fs"
#define LOWER_DIR   "/.lower"
#define UPPER_DIR   "/.upper"
#define MODULES_DIR "/.modules"
#define ROOT_DIR    "/.root"

#define ROOT_XATTR_BYTES   (64 * 1024)	  /* XATTR_LIST_MAX and XATTR_SIZE_MAX of Linux */
#define SHARED_MAX	   32		  /* bytes of the path of a shared folder */
#define EXT4_BLOCKS_LO	   (1024 + 0x4)	  /* bytes; s_blocks_count_lo of the superblock */
#define EXT4_LOG_BLOCK	   (1024 + 0x18)  /* s_log_block_size */
#define EXT4_BLOCKS_HI	   (1024 + 0x150) /* s_blocks_count_hi; 0 without 64bit */
#define EXT4_LOG_BLOCK_MAX 6		  /* 64 KiB */
#define EXT4_IOC_RESIZE_FS _IOW('f', 16, uint64_t)

static int mount_fs(const char *what, const char *where, const char *type, unsigned long flags,
		    const char *data, struct failure *f)
{
	if (mkdir(where, 0755) < 0 && errno != EEXIST)
		return fail(f, "mount", errno, where, "make the folder for a %s", type);
	if (mount(what, where, type, flags, data) < 0)
		return fail(f, "mount", errno, what, "mount the %s of '%s'", type, what);
	return 0;
}

static int mount_shared(const struct boot_spec *s, struct failure *f)
{
	if (s->root_mount == BOOT_NONE && s->n_mounts == 0)
		return 0;
	return mount_fs(AGENT_FS_TAG, FS_DIR, "virtiofs", 0, NULL, f);
}

/*
 * The path of a shared folder.  The host marks each as a mount of its own, which the kernel
 * makes when the folder is opened; the overlay does not accept one that is not made yet.
 */
static int shared_folder(uint32_t number, char path[SHARED_MAX], struct failure *f)
{
	AUTO_CLOSE int fd = -1;

	(void)snprintf(path, SHARED_MAX, FS_DIR "/%u", number);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? fail(f, "mount", errno, path, "open shared folder %u", number) : 0;
}

static const char *root_fs(const struct boot_spec *s)
{
	return s->root_fs ? s->root_fs : "erofs";
}

/* Where the lower side is: a folder of the shared ones, or the mounted image. */
static int mount_lower(const struct boot_spec *s, char lower[SHARED_MAX], struct failure *f)
{
	char disk[DISK_NAME_MAX];

	if (s->root_mount != BOOT_NONE)
		return shared_folder(s->root_mount, lower, f);
	if (s->root_part == BOOT_NONE)
		return fail(f, "spec", EINVAL, "root", "the boot message names no root");
	disk_name(s->root_part, disk);
	(void)snprintf(lower, SHARED_MAX, LOWER_DIR);
	return mount_fs(disk, LOWER_DIR, root_fs(s), MS_RDONLY, NULL, f);
}

/* Bytes of a block of the ext4 file system on @disk and their number; 0 if it cannot be read. */
static uint64_t ext4_blocks(const char *disk, uint64_t *ret_n)
{
	AUTO_CLOSE int fd = open(disk, O_RDONLY | O_CLOEXEC);
	uint32_t low, high, log;

	if (fd < 0 || pread(fd, &low, sizeof(low), EXT4_BLOCKS_LO) != (ssize_t)sizeof(low) ||
	    pread(fd, &high, sizeof(high), EXT4_BLOCKS_HI) != (ssize_t)sizeof(high) ||
	    pread(fd, &log, sizeof(log), EXT4_LOG_BLOCK) != (ssize_t)sizeof(log) ||
	    le32toh(log) > EXT4_LOG_BLOCK_MAX)
		return 0;
	*ret_n = (uint64_t)le32toh(high) << 32 | le32toh(low);
	return 1024ull << le32toh(log);
}

/* If there is more room than the file system knows: take all of it. */
static void grow_ext4(const struct boot_part *part, const char *disk, int fd)
{
	uint64_t n_now = 0, block = ext4_blocks(disk, &n_now), n_blocks;

	if (block == 0)
		return;
	n_blocks = part->len / block;
	if (n_blocks <= n_now) /* asking costs 30 ms under emulation */
		return;
	if (ioctl(fd, EXT4_IOC_RESIZE_FS, &n_blocks) < 0)
		log_warn("grow the root disk to %llu blocks: errno %d",
			 (unsigned long long)n_blocks, errno);
}

/*
 * The upper root folder hides all that the lower one says of itself.  A fresh one, which has no
 * mode yet, takes it over; what the file system above cannot hold is left out.
 */
static bool copy_root(const char *lower)
{
	static char names[ROOT_XATTR_BYTES], value[ROOT_XATTR_BYTES];
	struct stat st;
	ssize_t len;

	if (stat(UPPER_DIR "/upper", &st) < 0 || (st.st_mode & 07777) || stat(lower, &st) < 0)
		return false;
	(void)!chown(UPPER_DIR "/upper", st.st_uid, st.st_gid);
	(void)chmod(UPPER_DIR "/upper", st.st_mode & 07777);
	len = listxattr(lower, names, sizeof(names));
	for (const char *name = names; name < names + len; name += strlen(name) + 1) {
		ssize_t n = getxattr(lower, name, value, sizeof(value));

		if (n >= 0)
			(void)setxattr(UPPER_DIR "/upper", name, value, (size_t)n, 0);
	}
	return true;
}

/* At the end, when all that the boot makes in the root is there. */
static void copy_root_time(const char *lower)
{
	struct stat st;

	if (stat(lower, &st) == 0)
		(void)utimensat(AT_FDCWD, UPPER_DIR "/upper",
				(struct timespec[]){ st.st_atim, st.st_mtim }, 0);
}

/* The file system that the guest writes: it is flushed at the end, and grows with its disk. */
static int mount_ext4(struct agent *a, uint32_t part, const char *where, struct failure *f)
{
	char disk[DISK_NAME_MAX];

	disk_name(part, disk);
	if (mount_fs(disk, where, "ext4", MS_NOATIME, "discard", f) < 0)
		return -1;
	a->upper_fd = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (a->upper_fd < 0)
		return fail(f, "mount", errno, where, "open the root disk");
	grow_ext4(&a->boot.parts[part], disk, a->upper_fd);
	return 0;
}

static int mount_upper(struct agent *a, const char *lower, bool *ret_fresh, struct failure *f)
{
	const struct boot_spec *s = &a->boot;
	char size[64] = "mode=0755";

	if (s->upper == UPPER_DISK) {
		if (mount_ext4(a, s->upper_part, UPPER_DIR, f) < 0)
			return -1;
	} else {
		if (s->upper == UPPER_TMPFS && s->upper_size)
			(void)snprintf(size, sizeof(size), "mode=0755,size=%llu",
				       (unsigned long long)s->upper_size);
		if (mount_fs("tmpfs", UPPER_DIR, "tmpfs", 0, size, f) < 0)
			return -1;
	}
	if (mkdir(UPPER_DIR "/upper", 0) < 0 && errno != EEXIST)
		return fail(f, "mount", errno, UPPER_DIR, "make the overlay's upper folder");
	if (mkdir(UPPER_DIR "/work", 0755) < 0 && errno != EEXIST)
		return fail(f, "mount", errno, UPPER_DIR, "make the overlay's work folder");
	*ret_fresh = copy_root(lower);
	return 0;
}

static int mount_overlay(const char *lower, struct failure *f)
{
	/* A lower side on virtio-fs may refuse some; what stays matters least. */
	static const char *const options[] = {
		"redirect_dir=on,metacopy=off,index=off,xino=auto",
		"redirect_dir=on,metacopy=off,index=off",
		"metacopy=off,index=off",
	};
	char data[256];
	int sys = 0;

	if (mkdir(ROOT_DIR, 0755) < 0 && errno != EEXIST)
		return fail(f, "mount", errno, ROOT_DIR, "make the folder of the root");
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		(void)snprintf(data, sizeof(data), "lowerdir=%s,upperdir=%s,workdir=%s,%s", lower,
			       UPPER_DIR "/upper", UPPER_DIR "/work", options[i]);
		if (mount("overlay", ROOT_DIR, "overlay", 0, data) == 0)
			return 0;
		sys = errno;
		if (sys != EINVAL && sys != EOPNOTSUPP)
			break;
	}
	return fail(f, "mount", sys, lower, "mount the overlay over '%s'", lower);
}

static int put_direct(const char *folder, struct failure *f)
{
	AUTO_CLOSE int tree = mount_clone(folder);
	AUTO_CLOSE int target = -1;
	int r = tree;

	if (mkdir(ROOT_DIR, 0755) < 0 && errno != EEXIST)
		return fail(f, "mount", errno, ROOT_DIR, "make the folder of the root");
	target = open(ROOT_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (r >= 0)
		r = target < 0 ? -errno : mount_put(tree, target);
	return r < 0 ? fail(f, "mount", -r, folder, "bind the shared folder as root") : 0;
}

static int build_root(struct agent *a, char lower[SHARED_MAX], bool *ret_fresh, struct failure *f)
{
	const struct boot_spec *s = &a->boot;

	if (disk_partitions(s, f) < 0 || mount_shared(s, f) < 0)
		return -1;
	if (s->upper == UPPER_DIRECT && s->root_part != BOOT_NONE)
		return mount_ext4(a, s->root_part, ROOT_DIR, f);
	if (mount_lower(s, lower, f) < 0)
		return -1;
	if (s->upper == UPPER_DIRECT)
		return put_direct(lower, f);
	if (mount_upper(a, lower, ret_fresh, f) < 0)
		return -1;
	return mount_overlay(lower, f);
}

static int put_modules(const struct boot_spec *s, int root, struct failure *f)
{
	struct utsname uts;
	char disk[DISK_NAME_MAX], where[128];
	AUTO_CLOSE int tree = -1;
	AUTO_CLOSE int target = -1;
	int r;

	if (s->modules_part == BOOT_NONE)
		return 0;
	disk_name(s->modules_part, disk);
	if (uname(&uts) < 0)
		return fail(f, "mount", errno, disk, "read the kernel's release");
	if (mount_fs(disk, MODULES_DIR, "erofs", MS_RDONLY, NULL, f) < 0)
		return -1;
	(void)snprintf(where, sizeof(where), "/lib/modules/%s", uts.release);
	tree = mount_take(MODULES_DIR);
	target = path_make_dir(root, where);
	r = tree < 0 ? tree : target < 0 ? target : mount_put(tree, target);
	/* An odd image without a place for modules still runs. */
	if (r < 0)
		log_warn("no kernel modules at '%s': errno %d", where, -r);
	return 0;
}

static uint64_t mount_attrs(const struct boot_mount *m)
{
	return (m->read_only ? MOUNT_ATTR_RDONLY : 0) | (m->nosuid ? MOUNT_ATTR_NOSUID : 0) |
	       (m->noexec ? MOUNT_ATTR_NOEXEC : 0) | (m->nodev ? MOUNT_ATTR_NODEV : 0);
}

static int put_mount(const struct boot_mount *m, int root, struct failure *f)
{
	char source[SHARED_MAX];
	struct stat st;
	AUTO_CLOSE int tree = -1;
	AUTO_CLOSE int target = -1;
	int r;

	if (!path_is_target(m->target))
		return fail(f, "mount", EINVAL, m->target, "'%s' cannot hold a mount", m->target);
	if (shared_folder(m->number, source, f) < 0)
		return -1;
	if (lstat(source, &st) < 0)
		return fail(f, "mount", errno, m->target, "find shared folder %u", m->number);
	tree = mount_clone(source);
	r = tree;
	if (r >= 0)
		r = mount_flags(tree, mount_attrs(m));
	if (r >= 0)
		r = target = S_ISDIR(st.st_mode) ? path_make_dir(root, m->target)
						 : path_make_file(root, m->target);
	if (r >= 0)
		r = mount_put(tree, target);
	return r < 0 ? fail(f, "mount", -r, m->target, "mount '%s'", m->target) : 0;
}

/* The overlay of a root without upper becomes read-only; mounts in it stay as they are. */
static int seal_root(const struct boot_spec *s, int root, struct failure *f)
{
	int r;

	if (s->upper != UPPER_NONE)
		return 0;
	r = mount_flags(root, MOUNT_ATTR_RDONLY);
	return r < 0 ? fail(f, "mount", -r, "/", "make the root read-only") : 0;
}

static int switch_root(int root, struct failure *f)
{
	if (fchdir(root) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
	    chdir("/") < 0)
		return fail(f, "mount", errno, "/", "enter the root");
	return 0;
}

int root_enter(struct agent *a, struct failure *f)
{
	char lower[SHARED_MAX];
	AUTO_CLOSE int root = -1;
	bool fresh = false;

	if (build_root(a, lower, &fresh, f) < 0)
		return -1;
	root = open(ROOT_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return fail(f, "mount", errno, ROOT_DIR, "open the root");
	/* In this order: the disk of the modules is found in /dev, which moves. */
	if (put_modules(&a->boot, root, f) < 0 || mounts_move(root, f) < 0)
		return -1;
	for (size_t i = 0; i < a->boot.n_mounts; i++)
		if (put_mount(&a->boot.mounts[i], root, f) < 0)
			return -1;
	if (settings_files(&a->boot, root, f) < 0)
		return -1;
	if (fresh)
		copy_root_time(lower);
	if (seal_root(&a->boot, root, f) < 0)
		return -1;
	return switch_root(root, f);
}
