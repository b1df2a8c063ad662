/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "runtime/internal.h"
#include "runtime/logs.h"

#define FILTER_MAX 65536		   /* bytes of JSON */
#define MS_MAX	   (INT64_MAX / NS_PER_MS) /* since the epoch */

static const char *const source_names[] = {
	[LOG_STDOUT] = "stdout", [LOG_STDERR] = "stderr", [LOG_TTY] = "tty", [LOG_KERNEL] = "kernel"
};

void log_cursor_print(const uint64_t cursor[static LOG_SOURCES], char out[static LOG_CURSOR_MAX])
{
	(void)snprintf(out, LOG_CURSOR_MAX, "%llx.%llx", (unsigned long long)cursor[0],
		       (unsigned long long)cursor[1]);
}

int log_cursor_parse(const char *text, uint64_t ret[static LOG_SOURCES])
{
	size_t dot = strcspn(text, ".");

	if (text[dot] != '.' || parse_u64_n(text, dot, 16, INT64_MAX, &ret[0]) < 0 ||
	    parse_u64_n(text + dot + 1, strlen(text + dot + 1), 16, INT64_MAX, &ret[1]) < 0)
		return -EINVAL;
	return 0;
}

static int parse_sources(const struct json_at *root, struct log_filter *f, struct err *err)
{
	struct json_at list = json_member(root, "sources");
	size_t n = 0;
	int r;

	if (!json_present(&list)) {
		f->streams[LOG_STDOUT] = f->streams[LOG_STDERR] = f->streams[LOG_TTY] = true;
		return 0;
	}
	r = json_get_array(&list, 16, &n, err);
	for (size_t i = 0; r == 0 && i < n; i++) {
		struct json_at at = json_item(&list, i);
		const char *name = NULL;
		bool known = false;

		r = json_get_str(&at, &name, err);
		for (int s = LOG_STDOUT; r == 0 && s <= LOG_KERNEL; s++)
			if (strcmp(name, source_names[s]) == 0)
				f->streams[s] = known = true;
		if (r == 0 && !known)
			r = json_complain(&at, err,
					  "'%.32s' is none of stdout, stderr, tty, kernel", name);
	}
	return r;
}

static int parse_cursor(const struct json_at *root, struct log_filter *f, struct err *err)
{
	struct json_at at = json_member(root, "cursor");
	const char *text = NULL;
	int r = json_opt_str(root, "cursor", &text, err);

	if (r < 0 || !text)
		return r;
	f->has_cursor = true;
	return log_cursor_parse(text, f->cursor) < 0
		       ? json_complain(&at, err, "'%.64s' is no cursor of a log", text)
		       : 0;
}

int log_filter_parse(const char *text, struct log_filter *ret, struct err *err)
{
	static const char *const keys[] = { "sources", "tail",	 "since",  "until", "session",
					    "boot",    "cursor", "follow", NULL };
	AUTO(json_decref) json_t *value = NULL;
	struct log_filter f = { .tail = UINT64_MAX };
	uint64_t since_ms = 0, until_ms = MS_MAX, boot = 0;
	struct json_at root;
	int r;

	if (!text)
		text = "{}";
	r = json_parse("filter", text, strlen(text), FILTER_MAX, &value, err);
	if (r < 0)
		return r;
	root = json_root(value, "filter");
	r = json_only_keys(&root, keys, err);
	if (r == 0)
		r = parse_sources(&root, &f, err);
	if (r == 0)
		r = json_opt_u64(&root, "tail", 0, INT64_MAX, &f.tail, err);
	if (r == 0)
		r = json_opt_u64(&root, "since", 0, MS_MAX, &since_ms, err);
	if (r == 0)
		r = json_opt_u64(&root, "until", 0, MS_MAX, &until_ms, err);
	if (r == 0)
		r = json_opt_u64(&root, "session", 1, INT64_MAX, &f.session, err);
	if (r == 0)
		r = json_opt_u64(&root, "boot", 1, UINT32_MAX, &boot, err);
	if (r == 0)
		r = json_opt_bool(&root, "follow", &f.follow, err);
	if (r == 0)
		r = parse_cursor(&root, &f, err);
	f.since_ns = since_ms * NS_PER_MS;
	f.until_ns = until_ms * NS_PER_MS;
	f.boot = (uint32_t)boot;
	if (r == 0)
		*ret = f;
	return r;
}

bool log_filter_takes(const struct log_filter *f, const struct log_record *r)
{
	return f->streams[r->stream] && r->at_ns >= f->since_ns && r->at_ns <= f->until_ns &&
	       (f->session == 0 || r->session == f->session) &&
	       (f->boot == 0 || r->boot == f->boot);
}
