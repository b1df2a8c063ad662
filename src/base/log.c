/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define LOG_LINE_MAX	1024 /* bytes; a longer message is cut */
#define LOG_GUEST_BURST 10   /* lines a second */

static const char *const level_names[] = {
	[LOG_ERROR] = "error", [LOG_WARN] = "warn",   [LOG_INFO] = "info",
	[LOG_DEBUG] = "debug", [LOG_TRACE] = "trace",
};
static_assert(sizeof(level_names) / sizeof(level_names[0]) == LOG_LEVEL_MAX,
	      "level_names[] does not match enum log_level");

static struct {
	const char *who;
	int fd;
	enum log_level level;
	bool json;
} log_state = { .fd = STDERR_FILENO, .level = LOG_WARN };

void log_setup(const char *who, int fd, enum log_level level, bool json)
{
	log_state.who = who;
	log_state.fd = fd;
	log_state.level = level;
	log_state.json = json;
}

int log_level_parse(const char *name)
{
	for (int i = 0; i < LOG_LEVEL_MAX; i++)
		if (strcmp(level_names[i], name) == 0)
			return i;
	return -EINVAL;
}

bool log_enabled(enum log_level level)
{
	return level <= log_state.level;
}

/* JSON string content of @text into @out, which has room for @size bytes with the NUL. */
static void escape(const char *text, char *out, size_t size)
{
	size_t n = 0;

	for (; *text && n + 7 < size; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\') {
			out[n++] = '\\';
			out[n++] = (char)c;
		} else if (c < 0x20) {
			n += (size_t)snprintf(out + n, size - n, "\\u%04x", c);
		} else {
			out[n++] = (char)c;
		}
	}
	out[n] = '\0';
}

static void emit(enum log_level level, const char *msg)
{
	char line[2 * LOG_LINE_MAX + 128], text[2 * LOG_LINE_MAX], when[32];
	uint64_t now = clock_wall_ns();
	time_t s = (time_t)(now / NS_PER_S);
	struct tm tm;
	int n;

	if (log_state.json) {
		(void)gmtime_r(&s, &tm);
		(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
		escape(msg, text, sizeof(text));
		n = snprintf(
			line, sizeof(line),
			"{\"at\":\"%s.%06uZ\",\"level\":\"%s\",\"who\":\"%s\",\"msg\":\"%s\"}\n",
			when, (unsigned)(now % NS_PER_S / 1000), level_names[level],
			log_state.who ? log_state.who : "", text);
	} else {
		n = snprintf(line, sizeof(line), "%s%s%s: %s\n", log_state.who ? log_state.who : "",
			     log_state.who ? ": " : "", level_names[level], msg);
	}
	if (n > 0) {
		size_t len = (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1;

		/* Nowhere to tell that a log line was lost. */
		if (write(log_state.fd, line, len) < 0)
			return;
	}
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char msg[LOG_LINE_MAX];
	int saved = errno;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	emit(level, msg);
	errno = saved;
}

void log_guest(const char *fmt, ...)
{
	static uint64_t window_s;
	static unsigned n_lines;
	uint64_t now_s = clock_now_ns() / NS_PER_S;
	char msg[LOG_LINE_MAX];
	unsigned n;
	va_list ap;

	if (!log_enabled(LOG_DEBUG))
		return;
	/* Relaxed: a lost update lets one line more or less through. */
	if (__atomic_exchange_n(&window_s, now_s, __ATOMIC_RELAXED) != now_s) {
		n = __atomic_exchange_n(&n_lines, 0, __ATOMIC_RELAXED);
		if (n > LOG_GUEST_BURST)
			log_write(LOG_DEBUG, "%u lines about the guest were dropped",
				  n - LOG_GUEST_BURST);
	}
	if (__atomic_add_fetch(&n_lines, 1, __ATOMIC_RELAXED) > LOG_GUEST_BURST)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	emit(LOG_DEBUG, msg);
}
