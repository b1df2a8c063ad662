/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/report.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "proto/frame.h"
#include "proto/launch.h"

#define REPORT_MAX_BYTES 4096 /* a frame; below PIPE_BUF, so that it is written whole */

void report_init(struct report *r, int fd)
{
	*r = (struct report){ .fd = fd };
	if (io_set_nonblock(fd, 1) < 0)
		log_warn("the ready pipe may block");
}

static void push(struct report *r, const struct buf *b, int made)
{
	if (r->fd < 0)
		return;
	if (made < 0 || write(r->fd, b->data, b->len) != (ssize_t)b->len)
		log_debug("the client does not hear how the start goes");
}

void report_progress(struct report *r, const char *stage)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct launch_progress progress = { .at_ns = clock_now_ns() };

	buf_init(&b, REPORT_MAX_BYTES);
	(void)snprintf(progress.stage, sizeof(progress.stage), "%s", stage);
	(void)snprintf(r->stage, sizeof(r->stage), "%s", stage);
	push(r, &b, launch_progress_encode(&b, &progress));
}

void report_ready(struct report *r)
{
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, REPORT_MAX_BYTES);
	push(r, &b, frame_add(&b, FRAME_LAUNCH_READY, 0, NULL, 0));
	report_done(r);
}

void report_failed(struct report *r, const struct failure *why)
{
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, REPORT_MAX_BYTES);
	push(r, &b, failure_encode(&b, FRAME_LAUNCH_FAILED, why));
	report_done(r);
}

void report_done(struct report *r)
{
	if (r->fd >= 0)
		(void)close(r->fd);
	r->fd = -1;
}
