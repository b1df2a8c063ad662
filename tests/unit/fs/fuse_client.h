/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUSE_CLIENT_H
#define TESTS_FUSE_CLIENT_H

/* A FUSE driver over memory, for tests: requests are built here and answered at once. */
#include <linux/fuse.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "fs/fs.h"
#include "remove_tree.h"

static uint8_t reply_buf[1 << 20];
#define reply_data(type) ((const type *)(const void *)(reply_buf + sizeof(struct fuse_out_header)))

static struct fs_server *server;
static char top[64]; /* temporary folder; mount 0 is its "share" */

struct part {
	const void *data;
	size_t len;
};

/* Send a request in two vectors and take the reply in three. Return: -errno or payload bytes. */
static inline int request(uint32_t opcode, uint64_t node, struct part a, struct part b,
			  struct part c)
{
	static uint8_t buf[1 << 20];
	struct fuse_in_header h = { .opcode = opcode, .unique = 7, .nodeid = node };
	struct fuse_out_header oh;
	struct iovec in[2], out[3];
	ssize_t n;

	h.len = (uint32_t)(sizeof(h) + a.len + b.len + c.len);
	memcpy(buf, &h, sizeof(h));
	if (a.len)
		memcpy(buf + sizeof(h), a.data, a.len);
	if (b.len)
		memcpy(buf + sizeof(h) + a.len, b.data, b.len);
	if (c.len)
		memcpy(buf + sizeof(h) + a.len + b.len, c.data, c.len);
	in[0] = (struct iovec){ buf, 37 };
	in[1] = (struct iovec){ buf + 37, h.len - 37 };
	out[0] = (struct iovec){ reply_buf, 9 };
	out[1] = (struct iovec){ reply_buf + 9, 100 };
	out[2] = (struct iovec){ reply_buf + 109, sizeof(reply_buf) - 109 };
	n = fs_server_handle(server, in, 2, out, 3);
	if (opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET)
		return (int)n;
	ASSERT(n >= (ssize_t)sizeof(oh));
	memcpy(&oh, reply_buf, sizeof(oh));
	ASSERT_EQ(oh.unique, 7);
	ASSERT_EQ(oh.len, n);
	ASSERT(oh.error <= 0 && (oh.error == 0 || n == (ssize_t)sizeof(oh)));
	return oh.error < 0 ? oh.error : (int)(n - (ssize_t)sizeof(oh));
}

#define ARG(x)	((struct part){ &(x), sizeof(x) })
#define TEXT(s) ((struct part){ s, strlen(s) + 1 })
#define NONE	((struct part){ NULL, 0 })

/* Each returns -errno, or 0 and leaves the reply in reply_buf. */
static inline int fuse_lookup(uint64_t dir, const char *name, uint64_t *ret_node)
{
	int r = request(FUSE_LOOKUP, dir, TEXT(name), NONE, NONE);

	if (r >= 0)
		*ret_node = reply_data(struct fuse_entry_out)->nodeid;
	return r < 0 ? r : 0;
}

static inline int fuse_mkdir(uint64_t dir, const char *name)
{
	struct fuse_mkdir_in in = { .mode = 0755 };

	return request(FUSE_MKDIR, dir, ARG(in), TEXT(name), NONE);
}

static inline int fuse_create(uint64_t dir, const char *name, uint32_t mode, uint64_t *ret_node,
			      uint64_t *ret_fh)
{
	struct fuse_create_in in = { .flags = O_RDWR | O_CREAT, .mode = mode };
	int r = request(FUSE_CREATE, dir, ARG(in), TEXT(name), NONE);

	if (r < 0)
		return r;
	*ret_node = reply_data(struct fuse_entry_out)->nodeid;
	*ret_fh = ((const struct fuse_open_out *)(reply_data(struct fuse_entry_out) + 1))->fh;
	return 0;
}

static inline int fuse_open(uint64_t node, int flags, uint64_t *ret_fh)
{
	struct fuse_open_in in = { .flags = (uint32_t)flags };
	int r = request(FUSE_OPEN, node, ARG(in), NONE, NONE);

	if (r >= 0)
		*ret_fh = reply_data(struct fuse_open_out)->fh;
	return r < 0 ? r : 0;
}

static inline int fuse_write(uint64_t node, uint64_t fh, uint64_t off, const char *text)
{
	struct fuse_write_in in = { .fh = fh, .offset = off, .size = (uint32_t)strlen(text) };
	int r = request(FUSE_WRITE, node, ARG(in), (struct part){ text, strlen(text) }, NONE);

	return r < 0 ? r : (int)reply_data(struct fuse_write_out)->size;
}

static inline int fuse_read(uint64_t node, uint64_t fh, uint64_t off, uint32_t size)
{
	struct fuse_read_in in = { .fh = fh, .offset = off, .size = size };

	return request(FUSE_READ, node, ARG(in), NONE, NONE);
}

static inline int fuse_setattr(uint64_t node, struct fuse_setattr_in in)
{
	return request(FUSE_SETATTR, node, ARG(in), NONE, NONE);
}

static inline int fuse_init(uint32_t minor)
{
	struct fuse_init_in in = { .major = 7, .minor = minor, .flags = 0x7fffffff };

	return request(FUSE_INIT, 0, ARG(in), NONE, NONE);
}

/* Valid until the call after the next. */
static inline const char *path_of(const char *name)
{
	static char bufs[2][512];
	static int turn;
	char *buf = bufs[turn ^= 1];

	snprintf(buf, sizeof(bufs[0]), "%s/%s", top, name);
	return buf;
}

static inline void put_file(const char *name, const char *text)
{
	int fd = open(path_of(name), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);

	ASSERT(fd >= 0);
	ASSERT_EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

/* A tree with a canary beside the share, and a server with one mount. */
static inline uint64_t serve_share(struct fs_mount m)
{
	uint64_t root;

	if (!top[0]) {
		snprintf(top, sizeof(top), "/tmp/fs-test-XXXXXX");
		ASSERT(mkdtemp(top));
		ASSERT_EQ(mkdir(path_of("share"), 0755), 0);
		ASSERT_EQ(mkdir(path_of("share/dir"), 0755), 0);
		ASSERT_EQ(mkdir(path_of("share/home"), 0755), 0);
		put_file("canary", "secret");
		put_file("share/file", "hello");
		put_file("share/home/key", "secret");
		ASSERT_EQ(symlink("/", path_of("share/slash")), 0);
		ASSERT_EQ(symlink("../canary", path_of("share/up")), 0);
		ASSERT_EQ(mkfifo(path_of("share/fifo"), 0644), 0);
	}
	m.dir_fd = open(path_of("share"), O_PATH | O_DIRECTORY | O_CLOEXEC);
	ASSERT(m.dir_fd >= 0);
	ASSERT_EQ(fs_server_new(&m, 1, &server), 0);
	ASSERT(fuse_init(38) > 0);
	ASSERT_EQ(fuse_lookup(FUSE_ROOT_ID, "0", &root), 0);
	return root;
}

static inline void finish(void)
{
	fs_server_free(server);
	server = NULL;
	remove_tree(AT_FDCWD, top);
	top[0] = '\0';
}

#endif /* TESTS_FUSE_CLIENT_H */
