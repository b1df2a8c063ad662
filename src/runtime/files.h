/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_FILES_H
#define RUNTIME_FILES_H

#include "proto/file.h"
#include "runtime/conversation.h"
#include "runtime/runtime.h"

/* One file operation of the guest, on a connection of its own. */
struct file_talk {
	struct conversation conversation;
	int fd; /* owned */
	struct buf in, out;
	size_t used; /* bytes of in that the last frame takes */
	bool greeted;
	struct copy_report *report; /* borrowed */
};

/* Connect and ask. @report gets the warnings. file_talk_done() in any case. */
MUST_CHECK int file_talk_begin(struct file_talk *t, const struct sandbox *sb,
			       struct file_request *req, const struct call *call,
			       struct copy_report *report, struct err *err);
void file_talk_done(struct file_talk *t);
static inline void file_talk_done_auto(struct file_talk *t)
{
	file_talk_done(t);
}

/* The next frame but warnings, valid until the next call; what the guest refuses is an error. */
MUST_CHECK int file_talk_next(struct file_talk *t, struct frame *ret, struct err *err);
/* The next frame must be this one. */
MUST_CHECK int file_talk_expect(struct file_talk *t, uint16_t type, struct frame *ret,
				struct err *err);
/* Send bytes; an error that the guest has told meanwhile is one. */
MUST_CHECK int file_talk_put(struct file_talk *t, const void *data, size_t len, struct err *err);
MUST_CHECK int file_talk_eof(struct file_talk *t, struct err *err);

/* "PATH WHAT" for the report. */
void copy_report_warn(struct copy_report *r, const char *path, const char *what);

#endif /* RUNTIME_FILES_H */
