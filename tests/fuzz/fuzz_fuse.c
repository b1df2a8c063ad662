/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input is a row of requests: two bytes of length, then operation (1), node (1) and
 * arguments.  Numbers of nodes and handles are small, so that they are often known.  They
 * are served on a folder of its own; that a folder of the host is changed is no failure.
 */
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/fs.h"
#include "remove_tree.h"

#define ARGS_MAX 2048 /* bytes of one request behind its header */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char top[] = "/tmp/fuzz-fuse-XXXXXX";

static void at_end(void)
{
	remove_tree(AT_FDCWD, top);
}

static int share(void)
{
	static int dir_fd = -1;

	if (dir_fd < 0 && mkdtemp(top)) {
		dir_fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		atexit(at_end);
	}
	remove_tree(dir_fd, "s");
	if (dir_fd < 0 || mkdirat(dir_fd, "s", 0755) < 0 || symlinkat("..", dir_fd, "s/l") < 0 ||
	    mkdirat(dir_fd, "s/d", 0755) < 0)
		abort();
	return openat(dir_fd, "s", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static void send(struct fs_server *fs, uint32_t opcode, uint64_t node, const void *args, size_t len)
{
	struct fuse_in_header h = { .opcode = opcode, .nodeid = node, .unique = 1 };
	static uint8_t reply[8192];
	uint8_t buf[ARGS_MAX];
	struct iovec in[3], out[2];

	memcpy(buf, args, len);
	h.len = (uint32_t)(sizeof(h) + len);
	in[0] = (struct iovec){ &h, 17 };
	in[1] = (struct iovec){ (uint8_t *)&h + 17, sizeof(h) - 17 };
	in[2] = (struct iovec){ buf, len };
	out[0] = (struct iovec){ reply, 20 };
	out[1] = (struct iovec){ reply + 20, sizeof(reply) - 20 };
	if (fs_server_handle(fs, in, 3, out, 2) > (ssize_t)sizeof(reply))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuse_init_in init = { .major = 7, .minor = 38, .flags = UINT32_MAX };
	struct fs_mount m = { .uid = 1000, .gid = 1000, .dir_fd = share() };
	struct fs_server *fs;

	if (m.dir_fd < 0 || fs_server_new(&m, 1, &fs) < 0)
		abort();
	send(fs, FUSE_INIT, 0, &init, sizeof(init));
	send(fs, FUSE_LOOKUP, FUSE_ROOT_ID, "0", 2);
	while (size >= 4) {
		size_t len = data[0] | (size_t)data[1] << 8;
		uint8_t opcode = data[2], node = data[3];

		data += 4;
		size -= 4;
		if (len > size)
			len = size;
		if (len > ARGS_MAX)
			len = ARGS_MAX;
		send(fs, opcode, node, data, len);
		data += len;
		size -= len;
	}
	fs_server_free(fs);
	return 0;
}
