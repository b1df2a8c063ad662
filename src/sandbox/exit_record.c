/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/exit_record.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/defer.h"
#include "base/io.h"
#include "json/json.h"
#include "proto/launch.h"

#define TMP_NAME EXIT_RECORD_NAME ".tmp"

int exit_record_encode(struct buf *b, const struct exit_record *r)
{
	struct json_out o;

	json_out_init(&o, b);
	json_put_object(&o, NULL);
	json_put_u64(&o, "v", 1);
	json_put_str(&o, "id", r->id);
	json_put_str(&o, "name", r->name);
	json_put_str(&o, "engine", r->engine);
	json_put_str(&o, "boot", r->boot);
	json_put_u64(&o, "started_at", r->started_at);
	json_put_u64(&o, "ended_at", r->ended_at);
	json_put_str(&o, "reason", r->reason);
	json_put_str(&o, "detail", r->detail);
	json_put_str(&o, "stage", r->stage);
	json_put_i64(&o, "errno", r->sys);
	if (r->has_main) {
		json_put_object(&o, "main");
		json_put_u64(&o, "code", r->main_code);
		json_put_u64(&o, "signal", r->main_signal);
		json_put_end(&o);
	} else {
		json_put_null(&o, "main");
	}
	json_put_bool(&o, "flushed", r->flushed);
	json_put_strn(&o, "console_tail", r->console_tail, r->console_tail_len);
	json_put_end(&o);
	return json_out_end(&o);
}

int exit_record_write(int dir_fd, const void *record, size_t len, bool durable, struct err *err)
{
	AUTO_CLOSE int fd = -1;
	int r;

	fd = openat(dir_fd, TMP_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(err, errno, "create the exit record");
	r = io_write_full(fd, record, len);
	if (r < 0)
		return err_sys(err, -r, "write the exit record");
	if (durable && fsync(fd) < 0)
		return err_sys(err, errno, "write the exit record");
	if (renameat(dir_fd, TMP_NAME, dir_fd, EXIT_RECORD_NAME) < 0)
		return err_sys(err, errno, "rename the exit record");
	return 0;
}
