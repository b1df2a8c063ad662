/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/files.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/internal.h"

#define ERRNO_MAX 133 /* EHWPOISON, the last one of Linux */

static int broken(struct err *err)
{
	return err_set(err, ERR_PROTOCOL, "the agent of the guest broke the protocol");
}

void copy_report_warn(struct copy_report *r, const char *path, const char *what)
{
	char text[512];

	if (r->n_warnings++ >= FILE_WARNINGS_MAX)
		return;
	(void)snprintf(text, sizeof(text), "'%.300s' %s", path, what);
	/* Without memory the count still tells it. */
	IGNORE_RESULT(str_list_add(&r->warnings, text) < 0);
}

void copy_report_done(struct copy_report *r)
{
	if (r)
		str_list_done(&r->warnings);
}

/* The guest's errno chooses among the errors of files, and no others. */
static int refused(const struct file_talk *t, const struct frame *f, struct err *err)
{
	enum err_code code = ERR_IO;
	enum err_number number = ERR_NR_FS;
	struct failure x;

	if (failure_decode(f->payload, f->len, &x) < 0)
		return broken(err);
	switch (x.sys) {
	case ENOENT:
	case ENOTDIR:
		code = ERR_NOT_FOUND;
		number = ERR_NR_PATH_NOT_FOUND;
		break;
	case EEXIST:
	case ENOTEMPTY:
		code = ERR_EXISTS;
		number = ERR_NR_PATH_EXISTS;
		break;
	case EACCES:
	case EPERM:
	case EROFS:
		code = ERR_DENIED;
		number = ERR_NR_PATH_DENIED;
		break;
	case ENOSPC:
	case EDQUOT:
		code = ERR_UNAVAILABLE;
		number = ERR_NR_NO_SPACE;
		break;
	default:
		break;
	}
	err_set(err, code, "in sandbox '%s': %.400s", t->conversation.sb->name, x.message);
	err->sys = x.sys > 0 && x.sys <= ERRNO_MAX ? x.sys : EIO;
	(void)snprintf(err->stage, sizeof(err->stage), "files");
	return err_detail(err, number, x.subject);
}

static int take_error(const struct file_talk *t, const struct frame *f, struct err *err)
{
	struct proto_error x;

	if (proto_error_decode(f->payload, f->len, &x) < 0)
		return broken(err);
	if (strcmp(x.code, "busy") == 0)
		return err_set(err, ERR_BUSY, "sandbox '%s' has too many clients already",
			       t->conversation.sb->name);
	if (strcmp(x.code, "stopping") == 0)
		return conversation_lost(&t->conversation, err);
	return err_set(err, ERR_PROTOCOL, "the agent refused the file operation: %s", x.code);
}

static int greet(struct file_talk *t, const struct frame *f, struct err *err)
{
	struct hello hello;

	if (hello_decode(f->payload, f->len, &hello) < 0 || hello_agree(&hello) < 0)
		return err_set(err, ERR_PROTOCOL,
			       "the agent of the guest speaks another protocol version");
	t->greeted = true;
	return 0;
}

/* One frame: 1 if it is for the caller, 0 if that was all. */
static int take_frame(struct file_talk *t, struct frame *ret, struct err *err)
{
	struct file_warning w;
	int r;

	buf_take(&t->in, t->used);
	t->used = 0;
	r = conversation_next(&t->conversation, &t->in, ret, &t->used, err);
	if (r < 0)
		return r;
	if (!t->greeted)
		return ret->type == FRAME_HELLO ? greet(t, ret, err) : broken(err);
	switch (ret->type) {
	case FRAME_FILE_WARNING:
		if (file_warning_decode(ret->payload, ret->len, &w) < 0)
			return broken(err);
		copy_report_warn(t->report, w.path, w.message);
		return 0;
	case FRAME_FAILED:
		return refused(t, ret, err);
	case FRAME_ERROR:
		return take_error(t, ret, err);
	default:
		return frame_is_known(ret->type); /* a newer agent may say more */
	}
}

int file_talk_next(struct file_talk *t, struct frame *ret, struct err *err)
{
	int r;

	do
		r = take_frame(t, ret, err);
	while (r == 0);
	return r < 0 ? r : 0;
}

/* Before the end there is nothing to say but warnings and why it failed. Does not wait. */
static int take_waiting(struct file_talk *t, struct err *err)
{
	for (;;) {
		struct pollfd in = { .fd = t->fd, .events = POLLIN };
		struct frame f;
		int r;

		buf_take(&t->in, t->used);
		t->used = 0;
		r = frame_next(t->in.data, t->in.len, &f) != 0;
		if (r == 0)
			r = cancel_poll(t->conversation.cancel, &in, 1, 0, err);
		if (r <= 0)
			return r;
		r = take_frame(t, &f, err);
		if (r != 0)
			return r < 0 ? r : broken(err);
	}
}

int file_talk_expect(struct file_talk *t, uint16_t type, struct frame *ret, struct err *err)
{
	int r = file_talk_next(t, ret, err);

	return r < 0 || ret->type == type ? r : broken(err);
}

int file_talk_put(struct file_talk *t, const void *data, size_t len, struct err *err)
{
	const uint8_t *p = data;

	while (len > 0) {
		size_t n = len < FRAME_MAX_DATA ? len : FRAME_MAX_DATA;
		int r = take_waiting(t, err);

		if (r == 0 && frame_add(&t->out, FRAME_FILE_DATA, 0, p, n) < 0)
			r = err_no_memory(err);
		if (r == 0)
			r = conversation_send(&t->conversation, &t->out, err);
		if (r < 0)
			return r;
		t->report->bytes += n;
		p += n;
		len -= n;
	}
	return 0;
}

int file_talk_eof(struct file_talk *t, struct err *err)
{
	if (frame_add(&t->out, FRAME_FILE_EOF, 0, NULL, 0) < 0)
		return err_no_memory(err);
	return conversation_send(&t->conversation, &t->out, err);
}

int file_talk_begin(struct file_talk *t, const struct sandbox *sb, struct file_request *req,
		    const struct call *call, struct copy_report *report, struct err *err)
{
	struct hello hello = { .min = AGENT_PROTO_MIN, .max = AGENT_PROTO_MAX };
	int r;

	*t = (struct file_talk){ .fd = -1, .report = report };
	buf_init(&t->in, FRAME_HEADER + FRAME_MAX_PAYLOAD);
	buf_init(&t->out, FRAME_HEADER + FRAME_MAX_PAYLOAD);
	if (*req->path != '/' || strlen(req->path) > FILE_PATH_MAX)
		return err_set(err, ERR_INVALID,
			       *req->path == '/' ? "'%.100s...' is longer than a path can be"
						 : "'%.300s' is no absolute path; paths in a "
						   "sandbox begin with '/'",
			       req->path);
	r = sandbox_connect(sb, &t->fd, err);
	if (r < 0)
		return r;
	t->conversation =
		(struct conversation){ .sb = sb, .fd = t->fd, .cancel = call_cancel(call) };
	req->time_ns = clock_wall_ns();
	if (hello_encode(&t->out, &hello) < 0 || file_request_encode(&t->out, req) < 0)
		return err_no_memory(err);
	return conversation_send(&t->conversation, &t->out, err);
}

void file_talk_done(struct file_talk *t)
{
	close_auto(&t->fd);
	buf_done(&t->in);
	buf_done(&t->out);
}
