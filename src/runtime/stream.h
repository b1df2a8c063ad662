/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_STREAM_H
#define RUNTIME_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/defer.h"
#include "base/err.h"
#include "proto/agent.h"

/*
 * One program of the guest, or one TCP connection to it, over one connection to the agent.  Nothing here blocks but
 * exec_stream_wait().  One thread reads; exec_stream_write() and the calls below it may come from one
 * other thread.
 */
struct exec_stream;

/* Values are those of <microsandbox.h>; src/lib/stream.c checks it. */
enum stream_event_type {
	STREAM_STARTED = 1,
	STREAM_DATA = 2,
	STREAM_STDIN_ERROR = 3,
	STREAM_TIMEOUT = 4,
	STREAM_EXITED = 5,
	STREAM_FAILED = 6,
	STREAM_LOG = 10,
	STREAM_PROGRESS = 14,
	STREAM_END = 15,
	STREAM_LOST = 16,
};
enum stream_channel { STREAM_STDOUT = 1, STREAM_STDERR = 2, STREAM_TTY = 3 };

struct stream_event {
	enum stream_event_type type;
	int channel;	  /* DATA, LOST: enum stream_channel */
	const void *data; /* borrowed until the next call of exec_stream_next() */
	size_t len;
	const char *json; /* borrowed likewise; NULL: none */
	int64_t number;
};

/**
 * exec_stream_new() - Begin an exec on a connection
 * @fd:		Connected to the agent, non-blocking; taken over, also on failure
 * @request:	Borrowed for the call; the time is set
 * @err:	INVALID (longer than a frame), UNAVAILABLE
 */
MUST_CHECK int exec_stream_new(int fd, struct exec_request *request,
			       struct exec_stream **ret_stream, struct err *err);
/* The same with a session that is there already. */
MUST_CHECK int exec_stream_attach(int fd, struct attach_request *request,
				  struct exec_stream **ret_stream, struct err *err);
/*
 * The same with a TCP port of the guest: STARTED, then DATA both ways; DATA without bytes is the
 * end of what comes.  END once both directions have ended.
 */
MUST_CHECK int exec_stream_tcp(int fd, uint16_t port, struct exec_stream **ret_stream,
			       struct err *err);
/*
 * The run folder of its sandbox, @run_dir is borrowed: so that signals overtake input that the program
 * does not read.  Before it is used by another thread.
 */
void exec_stream_of(struct exec_stream *s, int run_dir);
void exec_stream_close(struct exec_stream *s);
DEFINE_AUTO(struct exec_stream *, exec_stream_close);

int exec_stream_fd(const struct exec_stream *s);
short exec_stream_want(struct exec_stream *s);
/* 1 = event, 0 = none now, negative = failed. */
MUST_CHECK int exec_stream_next(struct exec_stream *s, struct stream_event *ret_ev,
				struct err *err);
/* As next, but waits up to @timeout_ms (-1: no limit). CANCELLED. */
MUST_CHECK int exec_stream_wait(struct exec_stream *s, int64_t timeout_ms, struct cancel *cancel,
				struct stream_event *ret_ev, struct err *err);

/* Takes what fits; bytes for a program that has closed its input are taken and dropped. */
MUST_CHECK int exec_stream_write(struct exec_stream *s, const void *data, size_t len, size_t *ret_n,
				 struct err *err);
MUST_CHECK int exec_stream_close_write(struct exec_stream *s, struct err *err);
MUST_CHECK int exec_stream_signal(struct exec_stream *s, int signo, struct err *err);
MUST_CHECK int exec_stream_resize(struct exec_stream *s, int rows, int cols, struct err *err);

#endif /* RUNTIME_STREAM_H */
