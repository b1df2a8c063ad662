/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_STREAM_H
#define RUNTIME_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "base/defer.h"
#include "base/err.h"
#include "proto/agent.h"

/*
 * One program of the guest, over one connection to the agent.  Nothing here blocks but
 * stream_wait().  One thread reads; stream_write() and the calls below it may come from one
 * other thread.
 */
struct stream;

/* Values are those of <microsandbox.h>; src/lib/stream.c checks it. */
enum stream_event_type {
	STREAM_STARTED = 1,
	STREAM_DATA = 2,
	STREAM_STDIN_ERROR = 3,
	STREAM_EXITED = 5,
	STREAM_FAILED = 6,
	STREAM_END = 15,
};
enum stream_channel { STREAM_STDOUT = 1, STREAM_STDERR = 2, STREAM_TTY = 3 };

struct stream_event {
	enum stream_event_type type;
	int channel;	  /* DATA: enum stream_channel */
	const void *data; /* borrowed until the next call of stream_next() */
	size_t len;
	const char *json; /* borrowed likewise; NULL: none */
	int64_t number;
};

/**
 * stream_new() - Begin an exec on a connection
 * @fd:		Connected to the agent, non-blocking; taken over, also on failure
 * @request:	Borrowed for the call
 * @err:	INVALID (longer than a frame), UNAVAILABLE
 */
MUST_CHECK int stream_new(int fd, const struct exec_request *request, struct stream **ret_stream,
			  struct err *err);
void stream_close(struct stream *s);
DEFINE_AUTO(struct stream *, stream_close);

int stream_fd(const struct stream *s);
short stream_want(struct stream *s);
/* 1 = event, 0 = none now, negative = failed. */
MUST_CHECK int stream_next(struct stream *s, struct stream_event *ret_ev, struct err *err);
MUST_CHECK int stream_wait(struct stream *s, int timeout_ms, struct stream_event *ret_ev,
			   struct err *err);

/* Takes what fits; bytes for a program that has closed its input are taken and dropped. */
MUST_CHECK int stream_write(struct stream *s, const void *data, size_t len, size_t *ret_n,
			    struct err *err);
MUST_CHECK int stream_close_write(struct stream *s, struct err *err);
MUST_CHECK int stream_signal(struct stream *s, int signo, struct err *err);
MUST_CHECK int stream_resize(struct stream *s, int rows, int cols, struct err *err);

#endif /* RUNTIME_STREAM_H */
