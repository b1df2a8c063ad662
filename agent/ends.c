/* SPDX-License-Identifier: Apache-2.0 */
#include "ends.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/defer.h"
#include "base/io.h"
#include "pty.h"

/* A pipe whose end [ours] is non-blocking. */
static int make_pipe(int ours, int *ret_ours, int *ret_theirs)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	*ret_ours = p[ours];
	*ret_theirs = p[1 - ours];
	return io_set_nonblock(p[ours], 1);
}

static int open_terminal(struct ends *e, const struct exec_request *req)
{
	int r = pty_open(&req->size, &e->output[0], &e->child[0]);

	if (r < 0)
		return r;
	e->child[1] = e->child[2] = e->child[0];
	if (!req->stdin_open)
		return 0;
	/* A second descriptor, so that each direction waits for itself. */
	e->input = fcntl(e->output[0], F_DUPFD_CLOEXEC, 3);
	return e->input < 0 ? -errno : 0;
}

static int open_pipes(struct ends *e, const struct exec_request *req)
{
	int r;

	if (req->stdin_open) {
		r = make_pipe(1, &e->input, &e->child[0]);
	} else {
		e->child[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		r = e->child[0] < 0 ? -errno : 0;
	}
	if (r >= 0)
		r = make_pipe(0, &e->output[0], &e->child[1]);
	if (r >= 0)
		r = make_pipe(0, &e->output[1], &e->child[2]);
	return r;
}

int ends_open(struct ends *e, const struct exec_request *req)
{
	int r = req->tty ? open_terminal(e, req) : open_pipes(e, req);

	return r < 0 ? r : make_pipe(0, &e->status, &e->child_status);
}

void ends_close_child(struct ends *e)
{
	for (int i = 2; i >= 0; i--) {
		if (e->child[i] >= 0 && (i == 0 || e->child[i] != e->child[i - 1]))
			(void)close(e->child[i]);
		e->child[i] = -1;
	}
	close_auto(&e->child_status);
}
