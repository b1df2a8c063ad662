/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "remove_tree.h"
#include "tar/pack.h"
#include "tar/unpack.h"

struct collected {
	struct buf bytes;
	unsigned warnings;
};

static int put(void *user, const void *data, size_t len, struct err *err)
{
	struct collected *c = user;

	return buf_add(&c->bytes, data, len) < 0 ? err_no_memory(err) : 0;
}

static void warn(void *user, const char *path, const char *what)
{
	((struct collected *)user)->warnings++;
}

struct folder {
	char path[32];
	int fd;
};

static struct folder make_folder(void)
{
	struct folder f = { .path = "/tmp/msb-tar-XXXXXX" };

	ASSERT(mkdtemp(f.path) != NULL);
	f.fd = open(f.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	ASSERT(f.fd >= 0);
	ASSERT(mkdirat(f.fd, "tree", 0700) == 0 && mkdirat(f.fd, "out", 0700) == 0);
	ASSERT(mkdirat(f.fd, "tree/d", 0500) == 0 && symlinkat("d", f.fd, "tree/l") == 0);
	return f;
}

static void drop_folder(struct folder *f)
{
	(void)close(f->fd);
	remove_tree(AT_FDCWD, f->path);
}

static void pack(const struct folder *f, struct collected *c)
{
	struct tar_pack_options o = { .as = "there" };
	struct tar_sink sink = { .put = put, .warn = warn, .user = c };
	struct err err = ERR_INIT;

	ASSERT(tar_pack(f->fd, "tree", &o, &sink, &err) == 0);
	ASSERT(c->warnings == 0);
}

TEST(round_trip_byte_by_byte)
{
	struct collected c = { .bytes = { .max = 1 << 20 } };
	struct tar_unpack_options o = { .tame = true, .top = "there", .warn = warn, .user = &c };
	struct folder f = make_folder();
	AUTO_CLOSE int out = openat(f.fd, "out", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct tar_unpack *u = NULL;
	struct err err = ERR_INIT;
	struct stat st, before;

	pack(&f, &c);
	ASSERT(tar_unpack_new(out, &o, &u, &err) == 0);
	for (size_t i = 0; i < c.bytes.len; i++)
		ASSERT(tar_unpack_feed(u, c.bytes.data + i, 1, &err) == 0);
	ASSERT(tar_unpack_finish(u, &err) == 0);
	tar_unpack_free(u);
	ASSERT(fstatat(out, "there/d", &st, 0) == 0 && fstatat(f.fd, "tree/d", &before, 0) == 0);
	ASSERT((st.st_mode & 0777) == 0500 && st.st_mtim.tv_nsec == before.st_mtim.tv_nsec);
	ASSERT(fstatat(out, "there/l", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode));
	ASSERT(c.warnings == 0);
	buf_done(&c.bytes);
	drop_folder(&f);
}

TEST(another_top_is_refused)
{
	struct collected c = { .bytes = { .max = 1 << 20 } };
	struct tar_unpack_options o = { .tame = true, .top = "other", .warn = warn, .user = &c };
	struct folder f = make_folder();
	AUTO_CLOSE int out = openat(f.fd, "out", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct tar_unpack *u = NULL;
	struct err err = ERR_INIT;
	struct stat st;

	pack(&f, &c);
	ASSERT(tar_unpack_new(out, &o, &u, &err) == 0);
	ASSERT(tar_unpack_feed(u, c.bytes.data, c.bytes.len, &err) < 0);
	ASSERT(strcmp(err.reason, "outside") == 0);
	tar_unpack_free(u);
	ASSERT(fstatat(out, "there", &st, AT_SYMLINK_NOFOLLOW) < 0);
	buf_done(&c.bytes);
	drop_folder(&f);
}

TAP_MAIN()
