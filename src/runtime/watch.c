/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/watch.h"

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "proto/frame.h"
#include "proto/launch.h"
#include "runtime/internal.h"

#define READ_CHUNK 4096 /* bytes */

void watch_close(struct watch *w)
{
	if (w->fd >= 0)
		(void)close(w->fd);
	buf_done(&w->in);
	*w = (struct watch){ .fd = -1 };
}

/* A few bytes into an empty socket: they go out whole, or the monitor is gone. */
static int send_requests(int fd, const struct stop_request *request)
{
	AUTO(buf_done) struct buf b = { 0 };
	int r;

	buf_init(&b, 4096);
	r = frame_add(&b, FRAME_WATCH, 0, NULL, 0);
	if (r >= 0 && request)
		r = stop_request_encode(&b, request);
	if (r < 0)
		return r;
	return send(fd, b.data, b.len, MSG_NOSIGNAL) == (ssize_t)b.len ? 0 : -EPIPE;
}

int watch_open(struct watch *w, int run_dir, const char *id, const struct stop_request *request,
	       struct err *err)
{
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un addr;
	int r;

	*w = (struct watch){ .fd = -1 };
	(void)snprintf(w->id, sizeof(w->id), "%s", id);
	buf_init(&w->in, FRAME_HEADER + EXIT_RECORD_MAX + READ_CHUNK);
	if (fd < 0)
		return err_sys(err, errno, "make a socket");
	socket_address(run_dir, "control.sock", &addr);
	r = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
	if (r == 0)
		r = send_requests(fd, request);
	w->gone = r == -ECONNREFUSED || r == -ENOENT || r == -EPIPE || r == -ECONNRESET;
	if (r < 0 && !w->gone)
		return err_sys(err, -r, "reach msb-sandbox of '%s'", id);
	w->fd = w->gone ? -1 : TAKE_FD(fd);
	return 0;
}

void watch_touch(struct watch *w)
{
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, FRAME_HEADER);
	if (w->fd >= 0 && frame_add(&b, FRAME_TOUCH, 0, NULL, 0) >= 0 &&
	    send(w->fd, b.data, b.len, MSG_NOSIGNAL) != (ssize_t)b.len)
		w->gone = true;
}

/* What the monitor says is read as the file is: with suspicion. */
static void take_frame(struct watch *w, const struct frame *f)
{
	struct err ignored = ERR_INIT;

	if (f->type == FRAME_LAUNCH_READY)
		w->ready = true;
	if (f->type == FRAME_ENDED && !w->has_record)
		w->has_record =
			exit_record_parse(f->payload, f->len, w->id, &w->record, &ignored) == 0;
}

static void take_frames(struct watch *w)
{
	struct frame f;
	int64_t n;

	while ((n = frame_next(w->in.data, w->in.len, &f)) > 0) {
		take_frame(w, &f);
		buf_take(&w->in, (size_t)n);
	}
	if (n < 0)
		w->gone = true;
}

static void read_some(struct watch *w)
{
	void *room = buf_room(&w->in, READ_CHUNK);
	ssize_t n = room ? recv(w->fd, room, READ_CHUNK, MSG_DONTWAIT) : 0;

	if (n > 0) {
		buf_grew(&w->in, (size_t)n);
		take_frames(w);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		w->gone = true;
	}
}

int watch_next(struct watch *w, struct cancel *cancel, int64_t timeout_ms, struct err *err)
{
	uint64_t start = clock_now_ns();
	bool ready = w->ready, has_record = w->has_record;

	while (!w->gone && ready == w->ready && has_record == w->has_record) {
		struct pollfd p = { .fd = w->fd, .events = POLLIN };
		int r = cancel_poll(cancel, &p, 1, left_ms(start, timeout_ms), err);

		if (r <= 0)
			return r;
		read_some(w);
	}
	return 1;
}
