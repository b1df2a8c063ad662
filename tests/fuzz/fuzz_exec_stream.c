/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input is what a hostile agent sends: a byte that chooses exec, watch or TCP, and then the
 * bytes of the connection, which ends behind them.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "runtime/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct exec_stream *open_stream(int fd, unsigned kind)
{
	char program[] = "x", *items[] = { program, NULL };
	struct exec_request exec = { .argv = { .items = items, .n = 1 }, .stdin_open = true };
	struct attach_request attach = { .session = 1, .watch = true };
	struct exec_stream *s = NULL;
	struct err err = ERR_INIT;
	int r = kind == 0   ? exec_stream_new(fd, &exec, &s, &err)
		: kind == 1 ? exec_stream_attach(fd, &attach, &s, &err)
			    : exec_stream_tcp(fd, 80, &s, &err);

	return r < 0 ? NULL : s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = ERR_INIT;
	struct stream_event ev;
	struct exec_stream *s;
	int fds[2], r;
	bool ended = false;

	if (size < 1 || size > 65536 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return 0;
	if (io_set_nonblock(fds[0], 1) < 0 || io_write_full(fds[1], data + 1, size - 1) < 0)
		abort();
	s = open_stream(fds[0], data[0] % 3);
	if (!s)
		abort();
	(void)shutdown(fds[1], SHUT_WR);
	while ((r = exec_stream_next(s, &ev, &err)) == 1) {
		if (ended)
			abort(); /* END is the last one */
		ended = ev.type == STREAM_END;
	}
	if (r == 0 && !ended) /* the connection has ended, so must the stream */
		abort();
	exec_stream_close(s);
	(void)close(fds[1]);
	return 0;
}
