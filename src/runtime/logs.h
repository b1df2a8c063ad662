/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_LOGS_H
#define RUNTIME_LOGS_H

#include <stdbool.h>
#include <stdint.h>

#include "logs/format.h"
#include "runtime/stream.h"

/* Reading the logs of a sandbox: as msb_logs(). */

#define LOG_SOURCES 2 /* logs that are read together: out, kernel */

struct log_filter {
	bool streams[LOG_STREAM_MAX];
	uint64_t tail;		     /* lines; UINT64_MAX: all */
	uint64_t since_ns, until_ns; /* of the wall clock */
	uint64_t session;	     /* 0: all */
	uint32_t boot;		     /* 0: all */
	bool follow, has_cursor;
	uint64_t cursor[LOG_SOURCES]; /* positions */
};

/* @text: JSON, NULL: the default. INVALID */
MUST_CHECK int log_filter_parse(const char *text, struct log_filter *ret, struct err *err);
bool log_filter_takes(const struct log_filter *f, const struct log_record *r);

/* As text, and back: 0 or -EINVAL. */
#define LOG_CURSOR_MAX 40 /* bytes, with NUL */
void log_cursor_print(const uint64_t cursor[static LOG_SOURCES], char out[static LOG_CURSOR_MAX]);
MUST_CHECK int log_cursor_parse(const char *text, uint64_t ret[static LOG_SOURCES]);

struct home;
struct log_feed;
/* @name: or id. SANDBOX_NOT_FOUND, LOG_GAP */
MUST_CHECK int home_logs(struct home *home, const char *name, const char *filter,
			 struct log_feed **ret_feed, struct err *err);
void log_feed_close(struct log_feed *f);
DEFINE_AUTO(struct log_feed *, log_feed_close);
/* As of exec_stream. */
int log_feed_fd(const struct log_feed *f);
MUST_CHECK int log_feed_next(struct log_feed *f, struct stream_event *ret_ev, struct err *err);
MUST_CHECK int log_feed_wait(struct log_feed *f, int64_t timeout_ms, struct cancel *cancel,
			     struct stream_event *ret_ev, struct err *err);

#endif /* RUNTIME_LOGS_H */
