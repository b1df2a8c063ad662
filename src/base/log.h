/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

/*
 * One line an event, on standard error: text, or JSON once log_setup() says so.  Any thread.
 * Library code logs at debug at most: a failure is told once, by whoever ends its journey.
 */
enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE, LOG_LEVEL_MAX };

/**
 * log_setup() - Who is logging, where to, and how much
 * @who:	Put into each line (program, or sandbox id); borrowed for ever; may be NULL
 * @fd:		Borrowed; each line is one write()
 * @level:	Lines above it are dropped; the start value is LOG_WARN
 * @json:	JSON lines instead of text
 *
 * Before the first thread.
 */
void log_setup(const char *who, int fd, enum log_level level, bool json);

/* Level by its name, -EINVAL if there is none. */
int log_level_parse(const char *name);

bool log_enabled(enum log_level level);
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_at(level, ...)                                                                         \
	do {                                                                                       \
		if (log_enabled(level))                                                            \
			log_write(level, __VA_ARGS__);                                             \
	} while (0)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)

/*
 * For what a guest can repeat at will: at debug, and at most 10 lines a second for the
 * whole process, with the number of lines that were dropped.
 */
void log_guest(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif /* BASE_LOG_H */
