/* SPDX-License-Identifier: Apache-2.0 */
#include "server.h"

#include <errno.h>
#include <linux/vm_sockets.h>
#include <sys/socket.h>

#include "client.h"

#define BACKLOG	     1024 /* connections; more at once are reset by the kernel */
#define ACCEPT_BATCH 16	  /* of one event */

struct server {
	struct agent *agent; /* borrowed */
	int fd;		     /* owned */
	loop_id id;
};

static void on_event(void *user, uint32_t events)
{
	struct server *s = user;

	for (int i = 0; i < ACCEPT_BATCH; i++) {
		int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0)
			return;
		client_accept(s->agent, fd);
	}
}

int server_start(struct agent *a, struct failure *f)
{
	struct sockaddr_vm addr = {
		.svm_family = AF_VSOCK,
		.svm_port = AGENT_PORT,
		.svm_cid = VMADDR_CID_ANY,
	};
	struct server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return fail(f, "agent", ENOMEM, "vsock", "listen for clients");
	a->server = s;
	s->agent = a;
	s->fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(s->fd, BACKLOG) < 0)
		return fail(f, "agent", errno, "vsock", "listen for clients");
	r = loop_add_fd(a->loop, s->fd, EPOLLIN, on_event, s, &s->id);
	return r < 0 ? fail(f, "agent", -r, "vsock", "listen for clients") : 0;
}
