/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/exit_record.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/io.h"
#include "proto/launch.h"
#include "runtime/identity.h"
#include "runtime/internal.h"

static const char *const record_keys[] = {
	"v",	  "id",	   "name",  "engine", "boot",	 "started_at",	 "ended_at", "reason",
	"detail", "stage", "errno", "main",   "flushed", "console_tail", "totals",   NULL,
};
static const char *const main_keys[] = { "code", "signal", "core", "oom", NULL };

static const struct {
	const char *reason;
	bool crashed;
} reasons[] = {
	{ "main-exited", false },      { "stop-requested", false }, { "killed", false },
	{ "drained", false },	       { "max-duration", false },   { "idle", false },
	{ "guest-poweroff", false },   { "parent-exited", false },  { "host-signal", false },
	{ "secret-violation", false }, { "boot-failed", true },	    { "guest-panic", true },
	{ "agent-lost", true },	       { "engine-failed", true },   { "net-failed", true },
	{ "host-io", true },	       { "monitor-killed", true },  { "host-rebooted", true },
};

const char *exit_reason_status(const char *reason)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (strcmp(reason, reasons[i].reason) == 0)
			return reasons[i].crashed ? "crashed" : "stopped";
	return NULL;
}

/* Text that a terminal may see: what is not printable ASCII becomes a space or '?'. */
static void copy_text(char *out, size_t size, const char *text)
{
	size_t n = 0;

	for (; text[n] && n + 1 < size; n++) {
		unsigned char c = (unsigned char)text[n];

		out[n] = c == '\n' || (c >= ' ' && c < 0x7f) ? (char)c : c < ' ' ? ' ' : '?';
	}
	out[n] = '\0';
}

static int get_text(const struct json_at *root, const char *key, char *out, size_t size,
		    struct err *err)
{
	const char *text = NULL;
	int r = json_opt_str(root, key, &text, err);

	if (r == 0 && text)
		copy_text(out, size, text);
	return r;
}

static int get_main(const struct json_at *root, struct exit_record *rec, struct err *err)
{
	struct json_at at = json_member(root, "main");
	uint64_t code = 0, sig = 0;
	int r;

	rec->code = -1;
	if (!json_present(&at))
		return 0;
	r = json_only_keys(&at, main_keys, err);
	if (r == 0)
		r = json_opt_u64(&at, "code", 0, 255, &code, err);
	if (r == 0)
		r = json_opt_u64(&at, "signal", 0, 64, &sig, err);
	rec->code = (int32_t)code;
	rec->signal = (int32_t)sig;
	return r;
}

static int check_id(const struct json_at *root, const char *id, struct err *err)
{
	struct json_at at = json_member(root, "id");
	const char *text;
	int r = json_get_str(&at, &text, err);

	if (r == 0 && id && strcmp(text, id) != 0)
		return json_complain(&at, err, "is of another sandbox");
	return r;
}

int exit_record_parse(const void *text, size_t len, const char *id, struct exit_record *ret_record,
		      struct err *err)
{
	AUTO(json_decref) json_t *value = NULL;
	struct exit_record rec = { 0 };
	struct json_at root, at;
	uint64_t version = 0, sys = 0;
	const char *reason;
	int r;

	r = json_parse("exit record", text, len, EXIT_RECORD_MAX, &value, err);
	if (r < 0)
		return r;
	root = json_root(value, "exit record");
	r = json_only_keys(&root, record_keys, err);
	at = json_member(&root, "v");
	if (r == 0)
		r = json_get_u64(&at, 1, 1, &version, err);
	if (r == 0)
		r = check_id(&root, id, err);
	at = json_member(&root, "reason");
	if (r == 0)
		r = json_get_str(&at, &reason, err);
	if (r == 0 && !exit_reason_status(reason))
		return json_complain(&at, err, "there is no such reason");
	if (r == 0)
		copy_text(rec.reason, sizeof(rec.reason), reason);
	if (r == 0)
		r = get_text(&root, "stage", rec.stage, sizeof(rec.stage), err);
	if (r == 0)
		r = get_text(&root, "detail", rec.detail, sizeof(rec.detail), err);
	if (r == 0)
		r = get_text(&root, "console_tail", rec.console_tail, sizeof(rec.console_tail),
			     err);
	if (r == 0)
		r = json_opt_u64(&root, "errno", 0, 4095, &sys, err);
	if (r == 0)
		r = json_opt_bool(&root, "flushed", &rec.flushed, err);
	if (r == 0)
		r = json_opt_u64(&root, "ended_at", 0, INT64_MAX, &rec.ended_at, err);
	if (r == 0)
		r = get_main(&root, &rec, err);
	if (r < 0)
		return r;
	rec.sys = (int32_t)sys;
	*ret_record = rec;
	return 0;
}

int exit_record_read(int run_fd, const char *id, struct exit_record *ret_record, struct err *err)
{
	AUTO_CLOSE int fd = openat(run_fd, EXIT_RECORD_NAME,
				   O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	AUTO_FREE char *text = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0 && errno == ENOENT) {
		*ret_record = (struct exit_record){ .reason = "monitor-killed",
						    .code = -1,
						    .ended_at = clock_wall_ns() };
		return 0;
	}
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, errno, "open the exit record of '%s'", id);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_INVALID, "the exit record of '%s' is no file", id);
	text = malloc(EXIT_RECORD_MAX + 1);
	if (!text)
		return err_no_memory(err);
	n = io_read_full(fd, text, EXIT_RECORD_MAX + 1);
	if (n < 0)
		return err_sys(err, (int)-n, "read the exit record of '%s'", id);
	return exit_record_parse(text, (size_t)n, id, ret_record, err);
}

void exit_record_take(int run_fd, const char *id, struct exit_record *ret_record)
{
	struct err ignored = ERR_INIT;

	if (exit_record_read(run_fd, id, ret_record, &ignored) < 0)
		*ret_record = (struct exit_record){ .reason = "monitor-killed",
						    .code = -1,
						    .ended_at = clock_wall_ns() };
	/* The last word of a folder that is older than the host's boot can only be that. */
	if (strcmp(ret_record->reason, "monitor-killed") == 0 && identity_rebooted(run_fd))
		(void)snprintf(ret_record->reason, sizeof(ret_record->reason), "host-rebooted");
}

void exit_record_of_row(const struct state_sandbox *row, struct exit_record *ret_record)
{
	*ret_record = (struct exit_record){
		.code = row->exit_code,
		.signal = row->exit_signal,
		.flushed = row->flushed,
		.ended_at = row->ended_at,
	};
	(void)snprintf(ret_record->reason, sizeof(ret_record->reason), "%s",
		       row->reason ? row->reason : "");
}

char *exit_record_json(const struct exit_record *record)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct err err = ERR_INIT;
	struct json_out o;
	char *json = NULL;

	buf_init(&b, 4096);
	json_out_init(&o, &b);
	json_put_object(&o, NULL);
	json_put_str(&o, "status",
		     record->reason[0] ? exit_reason_status(record->reason) : "created");
	json_put_str(&o, "reason", record->reason[0] ? record->reason : NULL);
	if (record->code < 0)
		json_put_null(&o, "exit_code");
	else
		json_put_i64(&o, "exit_code", record->code);
	if (record->signal == 0)
		json_put_null(&o, "signal");
	else
		json_put_i64(&o, "signal", record->signal);
	json_put_bool(&o, "flushed", record->flushed);
	json_put_end(&o);
	if (json_out_end(&o) < 0 || take_json(&b, &json, &err) < 0)
		return NULL;
	return json;
}
