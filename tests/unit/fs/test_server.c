/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include "fuse_client.h"

static char long_name[400];

TEST(init)
{
	static const struct {
		const char *name;
		uint32_t theirs;
		int ours;
	} cases[] = {
		{ "old", 30, -EPROTO }, { "least", 31, 31 }, { "same", 38, 38 }, { "newer", 45, 38 }
	};
	uint64_t node;

	serve_share((struct fs_mount){ 0 });
	for_cases(c, cases) {
		int r;

		fs_server_reset(server);
		ASSERT_EQ(fuse_lookup(FUSE_ROOT_ID, "0", &node), -EIO); /* not before INIT */
		r = fuse_init(c->theirs);
		if (c->ours < 0) {
			ASSERT_EQ(r, c->ours);
			continue;
		}
		ASSERT_EQ(r, sizeof(struct fuse_init_out));
		ASSERT_EQ(reply_data(struct fuse_init_out)->minor, c->ours);
		ASSERT_EQ(reply_data(struct fuse_init_out)->max_write, 1 << 20);
		ASSERT_EQ(reply_data(struct fuse_init_out)->max_pages, 256);
		ASSERT(reply_data(struct fuse_init_out)->flags & FUSE_SUBMOUNTS);
		ASSERT(!(reply_data(struct fuse_init_out)->flags & FUSE_POSIX_LOCKS));
		ASSERT_EQ(fuse_lookup(FUSE_ROOT_ID, "0", &node), 0);
	}
	finish();
}

TEST(the_root_is_synthetic)
{
	struct fuse_open_in in = { 0 };
	struct fuse_read_in rd = { .size = 4096 };
	uint64_t node;
	int n;

	serve_share((struct fs_mount){ 0 });
	ASSERT_EQ(reply_data(struct fuse_entry_out)->attr.flags, FUSE_ATTR_SUBMOUNT);
	ASSERT_EQ(fuse_lookup(FUSE_ROOT_ID, "1", &node), -ENOENT);
	ASSERT_EQ(fuse_lookup(FUSE_ROOT_ID, "00", &node), -ENOENT);
	ASSERT_EQ(fuse_mkdir(FUSE_ROOT_ID, "x"), -EROFS);
	ASSERT_EQ(request(FUSE_OPENDIR, FUSE_ROOT_ID, ARG(in), NONE, NONE),
		  sizeof(struct fuse_open_out));
	rd.fh = reply_data(struct fuse_open_out)->fh;
	n = request(FUSE_READDIR, FUSE_ROOT_ID, ARG(rd), NONE, NONE);
	ASSERT_EQ(n, 3 * 32); /* ".", "..", "0" */
	ASSERT_EQ(request(FUSE_READLINK, FUSE_ROOT_ID, NONE, NONE, NONE), -EINVAL);
	ASSERT_EQ(request(FUSE_LISTXATTR, FUSE_ROOT_ID, ARG(in), NONE, NONE), 8);
	finish();
}

TEST(names)
{
	static const struct {
		const char *name, *text;
		int lookup, mkdir;
	} cases[] = {
		{ "file", "file", 0, -EEXIST },
		{ "missing", "none", -ENOENT, 128 },
		{ "empty", "", -EIO, -EIO },
		{ "dot", ".", -EIO, -EIO },
		{ "dot dot", "..", -EIO, -EIO },
		{ "two parts", "dir/x", -EIO, -EIO },
		{ "absolute", "/etc", -EIO, -EIO },
		{ "out and in", "../share/file", -EIO, -EIO },
		{ "256 bytes", long_name, -ENAMETOOLONG, -ENAMETOOLONG },
		{ "255 bytes", long_name + 1, -ENOENT, 128 },
	};
	uint64_t root, node;

	memset(long_name, 'n', 256);
	root = serve_share((struct fs_mount){ 0 });
	for_cases(c, cases) {
		ASSERT_EQ(fuse_lookup(root, c->text, &node), c->lookup);
		ASSERT_EQ(fuse_mkdir(root, c->text), c->mkdir);
	}
	/* No NUL within the request. */
	ASSERT_EQ(request(FUSE_LOOKUP, root, (struct part){ "file", 4 }, NONE, NONE), -EIO);
	finish();
}

TEST(links_are_text)
{
	uint64_t root, link, node, fh;
	struct fuse_open_in in = { 0 };

	root = serve_share((struct fs_mount){ 0 });
	ASSERT_EQ(fuse_lookup(root, "slash", &link), 0);
	ASSERT(S_ISLNK(reply_data(struct fuse_entry_out)->attr.mode));
	ASSERT_EQ(fuse_lookup(link, "etc", &node), -ENOTDIR);
	ASSERT_EQ(request(FUSE_OPENDIR, link, ARG(in), NONE, NONE), -ELOOP);
	ASSERT_EQ(fuse_mkdir(link, "x"), -ENOTDIR);
	ASSERT_EQ(fuse_lookup(root, "up", &link), 0);
	ASSERT_EQ(fuse_open(link, O_RDONLY, &fh), -ELOOP);
	ASSERT_EQ(fuse_setattr(link, (struct fuse_setattr_in){ .valid = FATTR_SIZE }), -ELOOP);
	ASSERT_EQ(request(FUSE_READLINK, link, NONE, NONE, NONE), 9);
	/* CREATE over a link opens nothing either. */
	ASSERT_EQ(fuse_create(root, "up", 0644, &node, &fh), -ELOOP);
	/* A folder that became a link after the guest saw it. */
	ASSERT_EQ(fuse_lookup(root, "dir", &node), 0);
	ASSERT_EQ(rename(path_of("share/dir"), path_of("moved")), 0);
	ASSERT_EQ(symlink("..", path_of("share/dir")), 0);
	ASSERT_EQ(fuse_lookup(root, "dir", &link), 0);
	ASSERT(link != node);
	ASSERT_EQ(fuse_lookup(link, "canary", &node), -ENOTDIR);
	finish();
}

TEST(only_files_and_folders_are_opened)
{
	uint64_t root, node, fh;

	root = serve_share((struct fs_mount){ 0 });
	ASSERT_EQ(fuse_lookup(root, "fifo", &node), 0);
	ASSERT(S_ISFIFO(reply_data(struct fuse_entry_out)->attr.mode));
	ASSERT_EQ(fuse_open(node, O_RDWR, &fh), -ENXIO);
	ASSERT_EQ(fuse_create(root, "fifo", 0644, &node, &fh), -ENXIO);
	finish();
}

TEST(the_hidden_folder)
{
	struct fuse_rename_in ren = { 0 };
	struct fuse_open_in in = { 0 };
	struct fuse_read_in rd = { .size = 65536 };
	uint64_t root, node;
	struct stat st;
	int n;

	serve_share((struct fs_mount){ 0 });
	ASSERT_EQ(stat(path_of("share/home"), &st), 0);
	fs_server_free(server);
	root = serve_share((struct fs_mount){
		.hide_set = true, .hide_dev = st.st_dev, .hide_ino = st.st_ino });
	ASSERT_EQ(fuse_lookup(root, "home", &node), -ENOENT);
	ren.newdir = root;
	ASSERT_EQ(request(FUSE_RENAME, root, ARG(ren), TEXT("home"), TEXT("x")), -ENOENT);
	ASSERT_EQ(request(FUSE_RENAME, root, ARG(ren), TEXT("dir"), TEXT("home")), -EBUSY);
	ASSERT_EQ(request(FUSE_RMDIR, root, TEXT("home"), NONE, NONE), -ENOENT);
	ASSERT(request(FUSE_OPENDIR, root, ARG(in), NONE, NONE) > 0);
	rd.fh = reply_data(struct fuse_open_out)->fh;
	n = request(FUSE_READDIRPLUS, root, ARG(rd), NONE, NONE);
	ASSERT(n > 0);
	ASSERT(!memmem(reply_buf, (size_t)n + 16, "home", 4));
	ASSERT(memmem(reply_buf, (size_t)n + 16, "fifo", 4));
	finish();
}

TEST(read_only)
{
	struct fuse_setattr_in set = { .valid = FATTR_MTIME | FATTR_MTIME_NOW };
	struct fuse_setxattr_in xattr = { .size = 1 };
	struct fuse_rename2_in ren = { 0 };
	struct fuse_mknod_in mk = { .mode = S_IFIFO | 0644 };
	struct fuse_link_in ln = { 0 };
	uint64_t root, file, fh;

	root = serve_share((struct fs_mount){ .read_only = true });
	ASSERT_EQ(fuse_lookup(root, "file", &file), 0);
	ren.newdir = root;
	ln.oldnodeid = file;
	ASSERT_EQ(fuse_open(file, O_RDWR, &fh), -EROFS);
	ASSERT_EQ(fuse_open(file, O_RDONLY | O_TRUNC, &fh), -EROFS);
	ASSERT_EQ(fuse_create(root, "new", 0644, &file, &fh), -EROFS);
	ASSERT_EQ(fuse_mkdir(root, "new"), -EROFS);
	ASSERT_EQ(fuse_setattr(file, set), -EROFS);
	ASSERT_EQ(request(FUSE_MKNOD, root, ARG(mk), TEXT("new"), NONE), -EROFS);
	ASSERT_EQ(request(FUSE_SYMLINK, root, TEXT("new"), TEXT("x"), NONE), -EROFS);
	ASSERT_EQ(request(FUSE_LINK, root, ARG(ln), TEXT("new"), NONE), -EROFS);
	ASSERT_EQ(request(FUSE_UNLINK, root, TEXT("file"), NONE, NONE), -EROFS);
	ASSERT_EQ(request(FUSE_RMDIR, root, TEXT("dir"), NONE, NONE), -EROFS);
	ASSERT_EQ(request(FUSE_RENAME2, root, ARG(ren), TEXT("file"), TEXT("x")), -EROFS);
	ASSERT_EQ(request(FUSE_SETXATTR, file, ARG(xattr), TEXT("user.a"), TEXT("")), -EROFS);
	ASSERT_EQ(request(FUSE_REMOVEXATTR, file, TEXT("user.a"), NONE, NONE), -EROFS);
	ASSERT_EQ(fuse_open(file, O_RDONLY, &fh), 0);
	ASSERT_EQ(fuse_read(file, fh, 0, 100), 5);
	ASSERT_EQ(fuse_write(file, fh, 0, "x"), -EROFS);
	finish();
}

TEST(data)
{
	struct fuse_copy_file_range_in copy = { .len = 100, .off_out = 2 };
	struct fuse_fallocate_in fa = { .length = 8192, .mode = FALLOC_FL_KEEP_SIZE };
	struct fuse_lseek_in seek = { .whence = SEEK_HOLE };
	struct fuse_write_in wr = { .size = 3, .flags = O_APPEND };
	struct fuse_release_in rel = { 0 };
	uint64_t root, node, fh;

	root = serve_share((struct fs_mount){ 0 });
	ASSERT_EQ(fuse_create(root, "new", 0640, &node, &fh), 0);
	ASSERT_EQ(reply_data(struct fuse_entry_out)->attr.mode, S_IFREG | 0640);
	ASSERT_EQ(fuse_write(node, fh, 0, "hello"), 5);
	wr.fh = fh;
	ASSERT_EQ(request(FUSE_WRITE, node, ARG(wr), (struct part){ "abc", 3 }, NONE), 8);
	ASSERT_EQ(fuse_read(node, fh, 1, 4096), 7);
	ASSERT(memcmp(reply_data(char), "elloabc", 7) == 0);
	ASSERT_EQ(fuse_read(node, fh + 1, 0, 10), -EBADF);
	ASSERT_EQ(fuse_read(root, fh, 0, 10), -EBADF);
	ASSERT_EQ(fuse_read(node, fh, UINT64_MAX, 10), -EINVAL);
	ASSERT_EQ(fuse_write(node, fh, INT64_MAX, "x"), -EFBIG);
	wr.size = 4; /* more than is there */
	ASSERT_EQ(request(FUSE_WRITE, node, ARG(wr), (struct part){ "abc", 3 }, NONE), -EIO);
	fa.fh = seek.fh = rel.fh = copy.fh_in = copy.fh_out = fh;
	copy.nodeid_out = node;
	copy.len = 2;
	ASSERT_EQ(request(FUSE_COPY_FILE_RANGE, node, ARG(copy), NONE, NONE), 8);
	ASSERT_EQ(reply_data(struct fuse_write_out)->size, 2);
	ASSERT_EQ(fuse_read(node, fh, 0, 4), 4);
	ASSERT(memcmp(reply_data(char), "hehe", 4) == 0);
	ASSERT_EQ(request(FUSE_FALLOCATE, node, ARG(fa), NONE, NONE), 0);
	ASSERT_EQ(request(FUSE_LSEEK, node, ARG(seek), NONE, NONE), 8);
	ASSERT_EQ(fuse_setattr(node, (struct fuse_setattr_in){ .valid = FATTR_SIZE, .size = 3 }),
		  104);
	ASSERT_EQ(reply_data(struct fuse_attr_out)->attr.size, 3);
	ASSERT_EQ(request(FUSE_UNLINK, root, TEXT("new"), NONE, NONE), 0);
	ASSERT_EQ(fuse_read(node, fh, 0, 10), 3); /* unlinked but open */
	ASSERT_EQ(request(FUSE_RELEASE, node, ARG(rel), NONE, NONE), 0);
	ASSERT_EQ(request(FUSE_RELEASE, node, ARG(rel), NONE, NONE), -EBADF);
	finish();
}

TEST(names_change)
{
	struct fuse_rename2_in ren = { .flags = RENAME_NOREPLACE };
	struct fuse_link_in ln = { 0 };
	uint64_t root, node, other, dir;

	root = serve_share((struct fs_mount){ 0 });
	ASSERT_EQ(fuse_lookup(root, "dir", &dir), 0);
	ASSERT_EQ(fuse_lookup(root, "file", &node), 0);
	ln.oldnodeid = node;
	ASSERT(request(FUSE_LINK, dir, ARG(ln), TEXT("hard"), NONE) > 0);
	ASSERT_EQ(reply_data(struct fuse_entry_out)->nodeid, node);
	ASSERT_EQ(reply_data(struct fuse_entry_out)->attr.nlink, 2);
	ASSERT(request(FUSE_SYMLINK, dir, TEXT("soft"), TEXT("../file"), NONE) > 0);
	ln.oldnodeid = reply_data(struct fuse_entry_out)->nodeid;
	ASSERT(request(FUSE_LINK, dir, ARG(ln), TEXT("soft2"), NONE) > 0);
	ASSERT(S_ISLNK(reply_data(struct fuse_entry_out)->attr.mode));
	ren.newdir = root;
	ASSERT_EQ(request(FUSE_RENAME2, dir, ARG(ren), TEXT("hard"), TEXT("file")), -EEXIST);
	ren.flags = RENAME_EXCHANGE;
	ASSERT_EQ(request(FUSE_RENAME2, dir, ARG(ren), TEXT("soft"), TEXT("file")), 0);
	ASSERT_EQ(fuse_lookup(dir, "soft", &other), 0);
	ASSERT_EQ(other, node);
	ren.flags = 8;
	ASSERT_EQ(request(FUSE_RENAME2, dir, ARG(ren), TEXT("soft"), TEXT("file")), -EINVAL);
	ren.flags = 0;
	ren.newdir = 999;
	ASSERT_EQ(request(FUSE_RENAME2, dir, ARG(ren), TEXT("soft"), TEXT("file")), -ESTALE);
	ren.newdir = FUSE_ROOT_ID;
	ASSERT_EQ(request(FUSE_RENAME2, dir, ARG(ren), TEXT("soft"), TEXT("file")), -EXDEV);
	finish();
}

TEST(forgetting)
{
	struct fuse_forget_in one = { .nlookup = 1 };
	struct fuse_getattr_in get = { 0 };
	uint64_t root, node, again;
	struct {
		struct fuse_batch_forget_in head;
		struct fuse_forget_one one[2];
	} batch = { { .count = 1000000 }, { { 12345, 1 }, { 0, UINT64_MAX } } };

	root = serve_share((struct fs_mount){ 0 });
	ASSERT_EQ(fuse_lookup(root, "file", &node), 0);
	ASSERT_EQ(fuse_lookup(root, "file", &again), 0);
	ASSERT_EQ(node, again);
	ASSERT_EQ(request(FUSE_FORGET, node, ARG(one), NONE, NONE), 0);
	ASSERT(request(FUSE_GETATTR, node, ARG(get), NONE, NONE) > 0);
	batch.one[1].nodeid = node;
	ASSERT_EQ(request(FUSE_BATCH_FORGET, 0, ARG(batch), NONE, NONE), 0);
	ASSERT_EQ(request(FUSE_GETATTR, node, ARG(get), NONE, NONE), -ESTALE);
	ASSERT_EQ(fuse_lookup(root, "file", &again), 0);
	ASSERT(again != node); /* numbers are not used again */
	one.nlookup = UINT64_MAX;
	ASSERT_EQ(request(FUSE_FORGET, FUSE_ROOT_ID, ARG(one), NONE, NONE), 0);
	ASSERT_EQ(request(FUSE_FORGET, root, ARG(one), NONE, NONE), 0);
	ASSERT(request(FUSE_GETATTR, root, ARG(get), NONE, NONE) > 0);
	fs_server_reset(server);
	ASSERT(fuse_init(38) > 0);
	ASSERT_EQ(request(FUSE_GETATTR, root, ARG(get), NONE, NONE), -ESTALE);
	finish();
}

/* D is not root: owners and modes are records, whoever runs the test. */
TEST(records)
{
	struct fuse_setattr_in own = { .valid = FATTR_UID | FATTR_GID, .uid = 5, .gid = 6 };
	struct fuse_setattr_in mode = { .valid = FATTR_MODE, .mode = S_IFREG | 04711 };
	struct fuse_mknod_in dev = { .mode = S_IFBLK | 0660, .rdev = 0x801 };
	const struct fuse_attr *attr = &reply_data(struct fuse_attr_out)->attr;
	uint64_t root, file, link, node, fh;
	struct stat before, after;

	root = serve_share((struct fs_mount){ .uid = 1000, .gid = 100 });
	ASSERT_EQ(fuse_lookup(root, "file", &file), 0);
	ASSERT_EQ(reply_data(struct fuse_entry_out)->attr.uid, 1000);
	ASSERT_EQ(stat(path_of("share/file"), &before), 0);
	ASSERT(fuse_setattr(file, own) > 0);
	ASSERT_EQ(attr->uid, 5);
	ASSERT_EQ(attr->gid, 6);
	ASSERT_EQ(stat(path_of("share/file"), &after), 0);
	ASSERT_EQ(after.st_uid, before.st_uid);
	ASSERT_EQ(after.st_mode, before.st_mode);
	ASSERT(fuse_setattr(file, mode) > 0);
	ASSERT_EQ(attr->mode, S_IFREG | 04711);
	ASSERT_EQ(stat(path_of("share/file"), &after), 0);
	ASSERT_EQ(after.st_mode, S_IFREG | 0711);
	ASSERT_EQ(chmod(path_of("share/file"), 0600), 0); /* the host wins */
	ASSERT_EQ(fuse_lookup(root, "file", &node), 0);
	ASSERT_EQ(reply_data(struct fuse_entry_out)->attr.mode, S_IFREG | 0600);
	ASSERT_EQ(reply_data(struct fuse_entry_out)->attr.uid, 5);
	ASSERT_EQ(fuse_lookup(root, "slash", &link), 0);
	ASSERT(fuse_setattr(link, own) > 0);
	ASSERT_EQ(attr->uid, 5);
	ASSERT(request(FUSE_MKNOD, root, ARG(dev), TEXT("disk"), NONE) > 0);
	ASSERT_EQ(reply_data(struct fuse_entry_out)->attr.mode, S_IFBLK | 0660);
	ASSERT_EQ(reply_data(struct fuse_entry_out)->attr.rdev, 0x801);
	ASSERT_EQ(stat(path_of("share/disk"), &after), 0);
	ASSERT(S_ISREG(after.st_mode));
	/* A write by somebody without CAP_FSETID takes set-uid away. */
	ASSERT_EQ(fuse_create(root, "prog", 06755, &node, &fh), 0);
	ASSERT_EQ(reply_data(struct fuse_entry_out)->attr.mode, S_IFREG | 06755);
	ASSERT_EQ(reply_data(struct fuse_entry_out)->attr.uid, 0);
	{
		struct fuse_write_in wr = { .fh = fh,
					    .size = 1,
					    .write_flags = FUSE_WRITE_KILL_SUIDGID };
		struct fuse_getattr_in get = { 0 };

		ASSERT_EQ(request(FUSE_WRITE, node, ARG(wr), TEXT(""), NONE), 8);
		ASSERT(request(FUSE_GETATTR, node, ARG(get), NONE, NONE) > 0);
		ASSERT_EQ(attr->mode, S_IFREG | 0755);
	}
	finish();
}

/* As the host's root it passes anyway; as another user the server lifts the bits. */
TEST(guest_root_passes_mode_bits)
{
	struct fuse_setxattr_in set = { .size = 1 };
	uint64_t root, file, dir, node, fh;
	struct stat st;

	root = serve_share((struct fs_mount){ .uid = 1000, .gid = 100 });
	ASSERT_EQ(fuse_lookup(root, "file", &file), 0);
	ASSERT_EQ(fuse_lookup(root, "dir", &dir), 0);
	put_file("share/dir/in", "x");
	ASSERT_EQ(chmod(path_of("share/file"), 0444), 0);
	ASSERT_EQ(chmod(path_of("share/dir"), 0444), 0);
	ASSERT_EQ(fuse_open(file, O_RDWR, &fh), 0);
	ASSERT_EQ(fuse_write(file, fh, 0, "HE"), 2);
	ASSERT_EQ(request(FUSE_SETXATTR, file, ARG(set), TEXT("user.a"), TEXT("b")), 0);
	ASSERT_EQ(fuse_lookup(dir, "in", &node), 0);
	ASSERT_EQ(fuse_create(dir, "new", 0644, &node, &fh), 0);
	ASSERT_EQ(request(FUSE_UNLINK, dir, TEXT("new"), NONE, NONE), 0);
	ASSERT_EQ(stat(path_of("share/file"), &st), 0);
	ASSERT_EQ(st.st_mode, S_IFREG | 0444);
	ASSERT_EQ(stat(path_of("share/dir"), &st), 0);
	ASSERT_EQ(st.st_mode, S_IFDIR | 0444);
	ASSERT_EQ(chmod(path_of("share/dir"), 0755), 0);
	finish();
}

TEST(extended_attributes)
{
	static const struct {
		const char *name, *attr;
		int set, get;
	} cases[] = {
		{ "user", "user.a", 0, 3 },
		{ "trusted", "trusted.overlay.opaque", 0, 3 },
		{ "capability", "security.capability", 0, 3 },
		{ "acl", "system.posix_acl_access", 0, 3 },
		{ "ours", "user.msb.own", -EPERM, -ENODATA },
		{ "ours, kept", "user.msb.x.security.a", -EPERM, -ENODATA },
		{ "unknown", "system.other", -EOPNOTSUPP, -EOPNOTSUPP },
	};
	struct fuse_setxattr_in set = { .size = 3 };
	struct fuse_getxattr_in get = { .size = 1000 };
	uint64_t root, file;

	root = serve_share((struct fs_mount){ .uid = 1000, .gid = 100 });
	ASSERT_EQ(fuse_lookup(root, "file", &file), 0);
	for_cases(c, cases) {
		ASSERT_EQ(request(FUSE_SETXATTR, file, ARG(set), TEXT(c->attr),
				  (struct part){ "abc", 3 }),
			  c->set);
		ASSERT_EQ(request(FUSE_GETXATTR, file, ARG(get), TEXT(c->attr), NONE), c->get);
		if (c->set < 0)
			continue;
		ASSERT(request(FUSE_LISTXATTR, file, ARG(get), NONE, NONE) > 0);
		ASSERT_STR(reply_data(char), c->attr);
		ASSERT_EQ(request(FUSE_REMOVEXATTR, file, TEXT(c->attr), NONE, NONE), 0);
		ASSERT_EQ(request(FUSE_GETXATTR, file, ARG(get), TEXT(c->attr), NONE), -ENODATA);
	}
	get.size = 0;
	ASSERT_EQ(request(FUSE_LISTXATTR, file, ARG(get), NONE, NONE), 8);
	ASSERT_EQ(reply_data(struct fuse_getxattr_out)->size, 0);
	finish();
}

TEST(listing)
{
	struct fuse_open_in in = { 0 };
	struct fuse_read_in rd = { .size = 400 };
	uint64_t root, dir;
	int found = 0;

	root = serve_share((struct fs_mount){ 0 });
	ASSERT_EQ(fuse_lookup(root, "dir", &dir), 0);
	for (int i = 0; i < 300; i++) {
		char name[32];

		snprintf(name, sizeof(name), "share/dir/%d", i);
		put_file(name, "");
	}
	ASSERT(request(FUSE_OPENDIR, dir, ARG(in), NONE, NONE) > 0);
	rd.fh = reply_data(struct fuse_open_out)->fh;
	for (;;) {
		bool plus = found % 2;
		int n = request(plus ? FUSE_READDIRPLUS : FUSE_READDIR, dir, ARG(rd), NONE, NONE);
		size_t head = plus ? sizeof(struct fuse_entry_out) : 0;

		ASSERT(n >= 0);
		if (n == 0)
			break;
		for (size_t at = 0; at < (size_t)n;) {
			struct fuse_dirent d;

			memcpy(&d, reply_data(char) + at + head, sizeof(d));
			at += FUSE_DIRENT_ALIGN(head + FUSE_NAME_OFFSET + d.namelen);
			rd.offset = d.off;
			found++;
		}
	}
	ASSERT_EQ(found, 302);
	ASSERT_EQ(request(FUSE_READDIR, root, ARG(rd), NONE, NONE), -EBADF);
	finish();
}

TEST(broken_requests)
{
	struct fuse_in_header h = { .len = sizeof(h), .opcode = FUSE_GETATTR, .nodeid = 1 };
	struct iovec in = { &h, sizeof(h) }, out = { reply_buf, 16 };
	uint64_t root = serve_share((struct fs_mount){ 0 });

	ASSERT_EQ(request(FUSE_BMAP, root, NONE, NONE, NONE), -ENOSYS);
	ASSERT_EQ(request(9999, root, NONE, NONE, NONE), -ENOSYS);
	ASSERT_EQ(request(FUSE_IOCTL, root, NONE, NONE, NONE), -ENOTTY);
	ASSERT_EQ(request(FUSE_GETATTR, 4711, NONE, NONE, NONE), -ESTALE);
	ASSERT_EQ(request(FUSE_GETATTR, root, NONE, NONE, NONE), -EIO);
	ASSERT_EQ(fs_server_handle(server, &in, 1, &out, 1), 16); /* no room: EIO */
	ASSERT_EQ(((struct fuse_out_header *)(void *)reply_buf)->error, -EIO);
	out.iov_len = 15;
	ASSERT_EQ(fs_server_handle(server, &in, 1, &out, 1), -EPROTO);
	out.iov_len = 200;
	h.len++;
	ASSERT_EQ(fs_server_handle(server, &in, 1, &out, 1), 16);
	ASSERT_EQ(((struct fuse_out_header *)(void *)reply_buf)->error, -EIO);
	in.iov_len--;
	ASSERT_EQ(fs_server_handle(server, &in, 1, &out, 1), -EPROTO);
	finish();
}

TAP_MAIN()
