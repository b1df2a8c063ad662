/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "base/io.h"
#include "base/log.h"

static int open_spare(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Without a free descriptor the socket would stay ready for ever, and we would spin. */
static void drop_one(struct listener *l)
{
	int fd;

	if (l->spare_fd < 0) {
		loop_remove(l->loop, &l->id);
		log_error("out of descriptors: no more clients are taken");
		return;
	}
	(void)close(l->spare_fd);
	fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		(void)close(fd);
	l->spare_fd = open_spare();
	log_warn("out of descriptors: a client was dropped");
}

static void listener_ready(void *user, uint32_t events)
{
	struct listener *l = user;
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);
	int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE)
			drop_one(l);
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.uid != geteuid()) {
		log_warn("a client with uid %u was refused", peer.uid);
		(void)close(fd);
		return;
	}
	l->accepted(l->user, fd);
}

int listener_init(struct listener *l, struct loop *loop, int fd,
		  void (*accepted)(void *user, int fd), void *user)
{
	int r;

	*l = (struct listener){ .loop = loop, .fd = fd, .accepted = accepted, .user = user };
	l->spare_fd = open_spare();
	if (l->spare_fd < 0)
		return -errno;
	r = io_set_nonblock(fd, 1);
	if (r == 0)
		r = loop_add_fd(loop, fd, EPOLLIN, listener_ready, l, &l->id);
	return r;
}

void listener_done(struct listener *l)
{
	if (!l->loop)
		return;
	loop_remove(l->loop, &l->id);
	if (l->spare_fd >= 0)
		(void)close(l->spare_fd);
	*l = (struct listener){ 0 };
}
