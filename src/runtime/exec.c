/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "runtime/internal.h"
#include "runtime/stream.h"

int agent_connect(int run_dir, int *ret_fd)
{
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un addr;

	if (fd < 0)
		return -errno;
	socket_address(run_dir, "agent.sock", &addr);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* Connect to the boot that runs now; the folder of that boot, owned by the caller as well. */
static int join(const struct sandbox *sb, int *ret_fd, int *ret_run_dir, struct err *err)
{
	AUTO_CLOSE int run_dir =
		openat(sb->home->run_fd, sb->id, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = run_dir < 0 ? -errno : agent_connect(run_dir, ret_fd);

	if (r == 0)
		*ret_run_dir = TAKE_FD(run_dir);
	switch (-r) {
	case 0:
		return 0;
	case EAGAIN:
		return err_set(err, ERR_BUSY, "sandbox '%s' has too many programs waiting to start",
			       sb->name);
	case ECONNREFUSED:
	case ENOENT:
		err_set(err, ERR_BUSY, "sandbox '%s' is not running", sb->name);
		return err_detail(err, ERR_NR_NOT_RUNNING, sb->name);
	default:
		return err_sys(err, -r, "reach sandbox '%s'", sb->name);
	}
}

int sandbox_connect(const struct sandbox *sb, int *ret_fd, struct err *err)
{
	AUTO_CLOSE int run_dir = -1;

	return join(sb, ret_fd, &run_dir, err);
}

int sandbox_exec_parse(struct sandbox *sb, const char *text, struct exec_request *ret_request,
		       struct exec_collect *ret_collect, struct err *err)
{
	struct exec_defaults defaults = {
		.entrypoint = &sb->entrypoint,
		.cmd = &sb->cmd,
		.shell = sb->shell,
	};
	/* Reading an image for them costs time: most programs need none of it. */
	int r = strstr(text, "\"default\"") ? sandbox_know_commands(sb, err) : 0;

	if (r < 0)
		return r;
	return exec_parse(text, &defaults, ret_request, ret_collect, err);
}

int sandbox_exec(struct sandbox *sb, const char *text, struct exec_stream **ret_stream,
		 struct err *err)
{
	struct exec_request req = { 0 };
	AUTO_CLOSE int run_dir = -1;
	int fd = -1;
	int r = sandbox_exec_parse(sb, text, &req, NULL, err);

	if (r == 0)
		r = join(sb, &fd, &run_dir, err);
	if (r == 0)
		r = exec_stream_new(fd, &req, ret_stream, err);
	if (r == 0)
		exec_stream_of(*ret_stream, run_dir);
	exec_request_done(&req);
	return r;
}

int sandbox_attach(struct sandbox *sb, const char *text, struct exec_stream **ret_stream,
		   struct err *err)
{
	struct attach_request req = { 0 };
	AUTO_CLOSE int run_dir = -1;
	int fd = -1;
	int r = attach_parse(text, &req, err);

	if (r == 0)
		r = join(sb, &fd, &run_dir, err);
	if (r == 0)
		r = exec_stream_attach(fd, &req, ret_stream, err);
	if (r == 0)
		exec_stream_of(*ret_stream, run_dir);
	return r;
}

int sandbox_tcp(struct sandbox *sb, uint16_t port, struct exec_stream **ret_stream, struct err *err)
{
	int fd = -1;
	int r = sandbox_connect(sb, &fd, err);

	return r < 0 ? r : exec_stream_tcp(fd, port, ret_stream, err);
}
