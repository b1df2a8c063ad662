/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: input
 *
 * What the program has not taken waits in `input`; from INPUT_PAUSE bytes on, or when buffers
 * are short, the viewer that sends it is not read any more.  Input that was not taken stays
 * when its viewer leaves.
 */
#include <errno.h>
#include <unistd.h>

#include "pty.h"
#include "session.h"
#include "viewer.h"

#define INPUT_PAUSE (256u << 10)		   /* bytes that the program did not take yet */
#define INPUT_MAX   (INPUT_PAUSE + FRAME_MAX_DATA) /* one more frame may be on its way */
#define INPUT_IDLE  (64u << 10) /* bytes of memory that an empty buffer may keep */

static size_t memory(const struct session *s)
{
	return s->input.cap + s->input.gap;
}

/* The buffer's memory was @before. */
static void account(struct session *s, size_t before)
{
	s->agent->buffer_bytes += memory(s) - before;
}

bool input_is_full(const struct session *s)
{
	return s->input.len >= INPUT_PAUSE ||
	       (s->input.len > 0 && s->agent->buffer_bytes > BUFFERS_MAX);
}

static void resume_viewer(struct session *s)
{
	if (s->primary)
		stream_resume(&s->primary->client->stream);
}

void input_close(struct session *s)
{
	size_t before = memory(s);

	loop_remove(s->agent->loop, &s->input_id);
	close_auto(&s->input_fd);
	buf_done(&s->input);
	account(s, before);
	resume_viewer(s);
}

static void input_gone(struct session *s)
{
	input_close(s);
	viewers_input_closed(s);
}

static void input_write(struct session *s)
{
	size_t before;

	while (s->input_fd >= 0 && s->input.len > 0) {
		ssize_t n = write(s->input_fd, s->input.data, s->input.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			input_gone(s);
			return;
		}
		buf_take(&s->input, (size_t)n);
		s->input_taken += (size_t)n;
	}
	if (s->input_taken >= STDIN_ACK) {
		viewers_input_taken(s, s->input_taken);
		s->input_taken = 0;
	}
	if (s->input_fd < 0)
		return;
	before = memory(s);
	if (s->input.len == 0 && before > INPUT_IDLE) {
		buf_done(&s->input);
		account(s, before);
	}
	if (s->input.len == 0 && s->input_eof && !s->req.tty) {
		input_close(s);
		return;
	}
	/* Without bytes to write only the end of the reader is of interest. */
	loop_set_events(s->agent->loop, s->input_id, s->input.len ? EPOLLOUT : 0);
	if (!input_is_full(s))
		resume_viewer(s);
}

static void on_input(void *user, uint32_t events)
{
	struct session *s = user;

	if (events & (EPOLLERR | EPOLLHUP))
		input_gone(s);
	else
		input_write(s);
}

void input_start(struct session *s)
{
	if (s->input_fd < 0)
		return;
	if (loop_add_fd(s->agent->loop, s->input_fd, 0, on_input, s, &s->input_id) < 0)
		input_gone(s);
	else
		input_write(s);
}

enum input_take input_add(struct session *s, const void *data, size_t len)
{
	size_t before = memory(s);

	if (s->input_fd < 0)
		return INPUT_CLOSED;
	if (s->input.max == 0)
		buf_init(&s->input, INPUT_MAX);
	if (buf_add(&s->input, data, len) < 0)
		return INPUT_NO_MEMORY;
	account(s, before);
	if (s->state != SESSION_STARTING)
		input_write(s);
	return INPUT_TAKEN;
}

void input_end(struct session *s)
{
	unsigned char c;

	if (s->input_fd < 0)
		return;
	if (s->req.tty) {
		c = pty_eof_char(s->input_fd);
		IGNORE_RESULT(input_add(s, &c, 1) !=
			      INPUT_TAKEN); /* a terminal's end is no promise */
		return;
	}
	s->input_eof = true;
	if (s->state != SESSION_STARTING)
		input_write(s);
}
