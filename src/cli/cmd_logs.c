/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/num.h"
#include "cli/command.h"
#include "cli/common.h"
#include "cli/log_lines.h"
#include "cli/out.h"
#include "cli/when.h"

struct logs_opts {
	const char *tail, *since, *until, *source, *session, *boot, *grep, *format, *cursor;
	bool follow, timestamps, raw, split, show_session;
};

static const struct opt logs_options[] = {
	{ OPT_STRING, 'n', "tail", "N", "the last N lines only", offsetof(struct logs_opts, tail) },
	{ OPT_STRING, 0, "since", "TIME", "not older: 10m, 2h30m, 2026-01-31T12:00:00Z",
	  offsetof(struct logs_opts, since) },
	{ OPT_STRING, 0, "until", "TIME", "not newer", offsetof(struct logs_opts, until) },
	{ OPT_FLAG, 'f', "follow", NULL, "go on until the sandbox ends",
	  offsetof(struct logs_opts, follow) },
	{ OPT_FLAG, 't', "timestamps", NULL, "the time in front of each line",
	  offsetof(struct logs_opts, timestamps) },
	{ OPT_STRING, 0, "source", "LIST",
	  "stdout, stderr, tty, kernel or all (the first three); several with commas",
	  offsetof(struct logs_opts, source) },
	{ OPT_STRING, 0, "session", "N", "of one session", offsetof(struct logs_opts, session) },
	{ OPT_STRING, 0, "boot", "N", "of one boot, counted from 1",
	  offsetof(struct logs_opts, boot) },
	{ OPT_STRING, 0, "grep", "REGEX", "lines that match (extended regular expression)",
	  offsetof(struct logs_opts, grep) },
	{ OPT_FLAG, 0, "show-session", NULL, "the session in front of each line",
	  offsetof(struct logs_opts, show_session) },
	{ OPT_FLAG, 0, "split", NULL, "stderr of the guest to standard error",
	  offsetof(struct logs_opts, split) },
	{ OPT_FLAG, 0, "raw", NULL, "the exact bytes", offsetof(struct logs_opts, raw) },
	{ OPT_STRING, 0, "format", "FORMAT", "text or jsonl (text)",
	  offsetof(struct logs_opts, format) },
	{ OPT_STRING, 0, "cursor", "CURSOR", "go on behind a record, from --format jsonl",
	  offsetof(struct logs_opts, cursor) },
	{ .kind = OPT_END },
};

/* What the events are made into. */
struct log_printer {
	const struct logs_opts *o;
	struct log_lines lines;
	bool jsonl;
	regex_t grep;
	struct buf json;
};

static void print_line(void *user, const struct open_line *line, const char *text, size_t len)
{
	const struct log_printer *p = user;
	FILE *out = p->o->split && strcmp(line->source, "stderr") == 0 ? stderr : stdout;
	char at[WHEN_TEXT_MAX];

	if (p->o->timestamps) {
		when_print(line->at_ns, at);
		(void)fprintf(out, "%s ", at);
	}
	if (p->o->show_session)
		(void)fprintf(out, "%llu.%llu %-6s ", (unsigned long long)line->boot,
			      (unsigned long long)line->session, line->source);
	(void)fwrite(text, 1, len, out);
	(void)fputc('\n', out);
}

/* One JSON line: the library's object, but for the time as text, and the bytes. */
static int print_json(struct log_printer *p, const struct json_at *root, uint64_t at_ns,
		      const struct msb_event *ev, struct msb_error *err)
{
	static const char *const numbers[] = { "session", "boot" };
	const char *source = "", *cursor = "", *text = NULL;
	char at[WHEN_TEXT_MAX];
	struct err e = ERR_INIT;
	struct json_out o;
	uint64_t n = 0;

	buf_clear(&p->json);
	json_out_init(&o, &p->json);
	json_put_object(&o, NULL);
	when_print(at_ns, at);
	json_put_str(&o, "at", at);
	for (size_t i = 0; i < 2; i++) {
		if (json_opt_u64(root, numbers[i], 0, INT64_MAX, &n, &e) < 0)
			return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
		json_put_u64(&o, numbers[i], n);
	}
	if (json_opt_str(root, "source", &source, &e) < 0 ||
	    json_opt_str(root, "cursor", &cursor, &e) < 0)
		return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
	json_put_str(&o, "source", source);
	json_put_i64(&o, "offset", ev->number);
	if (json_text_is_valid(ev->data, ev->len)) {
		json_put_strn(&o, "text", ev->data, ev->len);
	} else {
		AUTO_FREE char *code = malloc(BASE64_ENCODED(ev->len) + 1);

		if (!code)
			return common_error(err, MSB_E_NO_MEMORY, "out of memory");
		base64_encode(ev->data, ev->len, code);
		json_put_strn(&o, "base64", code, BASE64_ENCODED(ev->len));
	}
	json_put_str(&o, "cursor", cursor);
	json_put_end(&o);
	if (common_json(&o, &p->json, &text, err) < 0)
		return -(int)err->code;
	(void)printf("%s\n", text);
	return 0;
}

static int print_event(struct log_printer *p, const struct msb_event *ev, struct msb_error *err)
{
	AUTO(json_decref) json_t *value = NULL;
	struct log_key key = { .source = "" };
	struct err e = ERR_INIT;
	struct json_at root;
	uint64_t at_ns = 0;

	if (p->o->raw) {
		FILE *out = p->o->split && ev->channel == MSB_STDERR ? stderr : stdout;

		(void)fwrite(ev->data, 1, ev->len, out);
		return 0;
	}
	if (json_parse("record", ev->json, strlen(ev->json), COMMON_JSON_MAX, &value, &e) < 0)
		return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
	root = json_root(value, "record");
	if (json_opt_u64(&root, "at", 0, INT64_MAX, &at_ns, &e) < 0 ||
	    json_opt_u64(&root, "boot", 0, INT64_MAX, &key.boot, &e) < 0 ||
	    json_opt_u64(&root, "session", 0, INT64_MAX, &key.session, &e) < 0 ||
	    json_opt_str(&root, "source", &key.source, &e) < 0)
		return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
	if (p->jsonl)
		return print_json(p, &root, at_ns, ev, err);
	if (log_lines_add(&p->lines, &key, at_ns, ev->data, ev->len) < 0)
		return common_error(err, MSB_E_NO_MEMORY, "out of memory");
	return 0;
}

static int put_sources(struct json_out *f, const char *list, struct msb_error *err)
{
	static const char *const names[] = { "stdout", "stderr", "tty", "kernel", "all", NULL };
	char name[32];

	json_put_array(f, "sources");
	for (const char *p = list; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
		int chosen;

		(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(p, ","), p);
		chosen = common_choice("source", name, names, err);
		if (chosen < 0)
			return chosen;
		for (int i = 0; i < 4; i++)
			if (chosen == i || chosen == 4)
				json_put_str(f, NULL, names[i]);
	}
	json_put_end(f);
	return 0;
}

static int put_number(struct json_out *f, const char *key, const char *text, struct msb_error *err)
{
	uint64_t n;

	if (!text)
		return 0;
	if (parse_u64(text, UINT32_MAX, &n) < 0)
		return common_error(err, MSB_E_INVALID_CONFIG, "--%s: '%.64s' is no number", key,
				    text);
	json_put_u64(f, key, n);
	return 0;
}

static int put_time(struct json_out *f, const char *key, const char *text, struct msb_error *err)
{
	uint64_t ms;

	if (!text)
		return 0;
	if (when_parse(text, clock_wall_ns(), &ms) < 0)
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "--%s: '%.64s' is no time: write 10m or 2026-01-31T12:00:00Z",
				    key, text);
	json_put_u64(f, key, ms);
	return 0;
}

static int filter_json(const struct logs_opts *o, struct buf *b, const char **ret_text,
		       struct msb_error *err)
{
	struct json_out f;
	int r = 0;

	json_out_init(&f, b);
	json_put_object(&f, NULL);
	if (o->source)
		r = put_sources(&f, o->source, err);
	if (r == 0)
		r = put_number(&f, "tail", o->tail, err);
	if (r == 0)
		r = put_number(&f, "session", o->session, err);
	if (r == 0)
		r = put_number(&f, "boot", o->boot, err);
	if (r == 0)
		r = put_time(&f, "since", o->since, err);
	if (r == 0)
		r = put_time(&f, "until", o->until, err);
	if (r < 0)
		return r;
	if (o->cursor)
		json_put_str(&f, "cursor", o->cursor);
	json_put_bool(&f, "follow", o->follow);
	json_put_end(&f);
	return common_json(&f, b, ret_text, err);
}

static int print_all(struct log_printer *p, struct msb_stream *s, struct msb_error *err)
{
	struct msb_event ev = { .struct_size = sizeof(ev) };

	for (;;) {
		int r = msb_stream_next(s, &ev, err);

		if (r == 0) { /* it will be silent for a while */
			if (fflush(stdout) != 0)
				return 0;
			r = msb_stream_wait(s, -1, NULL, &ev, err);
		}
		if (r < 0)
			return r;
		if (r == 0 || ev.type == MSB_EV_END)
			break;
		if (ev.type == MSB_EV_LOST)
			out_remark("%lld bytes of the log are gone", (long long)ev.number);
		if (ev.type == MSB_EV_LOG) {
			r = print_event(p, &ev, err);
			if (r < 0)
				return r;
		}
		if (ferror(stdout))
			return 0;
	}
	log_lines_end(&p->lines);
	return 0;
}

static int check_options(const struct logs_opts *o, bool *ret_jsonl, struct msb_error *err)
{
	static const char *const formats[] = { "text", "jsonl", NULL };
	int format = common_choice("format", o->format, formats, err);

	if (format < 0)
		return format;
	*ret_jsonl = format == 1;
	if (o->raw && (format == 1 || o->grep || o->timestamps || o->show_session))
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "--raw gives bytes as they are; leave out --format, --grep, "
				    "--timestamps and --show-session");
	if (format == 1 && o->grep)
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "--grep is for lines of text; leave out --format jsonl");
	return 0;
}

static int logs_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
		    struct msb_error *err)
{
	const struct logs_opts *o = opts;
	AUTO(buf_done) struct buf filter = { 0 };
	AUTO(msb_close) struct msb *m = NULL;
	AUTO(msb_stream_close) struct msb_stream *s = NULL;
	AUTO_FREE struct log_printer *p = calloc(1, sizeof(*p));
	const char *text = NULL;
	int r = common_arguments(rest, 1, 1, "the sandbox", err);

	if (!p)
		return common_error(err, MSB_E_NO_MEMORY, "out of memory");
	buf_init(&filter, COMMON_JSON_MAX);
	buf_init(&p->json, COMMON_JSON_MAX);
	p->o = o;
	p->lines.plain = isatty(STDOUT_FILENO);
	p->lines.line = print_line;
	p->lines.user = p;
	if (r == 0)
		r = check_options(o, &p->jsonl, err);
	if (r == 0)
		r = filter_json(o, &filter, &text, err);
	if (r < 0)
		return r;
	if (o->grep && regcomp(&p->grep, o->grep, REG_EXTENDED | REG_NOSUB) != 0)
		return common_error(err, MSB_E_INVALID_CONFIG,
				    "--grep: '%.64s' is no regular expression", o->grep);
	p->lines.grep = o->grep ? &p->grep : NULL;
	r = common_open(cli, NULL, &m, err);
	if (r >= 0)
		r = msb_logs(m, rest->args[0], text, &s, err);
	if (r >= 0)
		r = print_all(p, s, err);
	log_lines_end(&p->lines);
	buf_done(&p->json);
	if (o->grep)
		regfree(&p->grep);
	return r;
}

const struct command cmd_logs = {
	.name = "logs",
	.group = "Sandboxes",
	.args = "[OPTIONS] NAME",
	.summary = "show what a sandbox has written",
	.example = "msb logs -f my-app",
	.opts = logs_options,
	.opts_size = sizeof(struct logs_opts),
	.run = logs_run,
};
