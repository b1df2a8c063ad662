/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/internal.h"

void put_time(struct json_out *o, const char *key, uint64_t ns)
{
	time_t s = (time_t)(ns / NS_PER_S);
	char text[32] = "";
	struct tm tm;

	if (ns && gmtime_r(&s, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) > 0)
		json_put_str(o, key, text);
	else
		json_put_null(o, key);
}

void list_begin(struct buf *b, struct json_out *o)
{
	buf_init(b, LIST_MAX);
	json_out_init(o, b);
	json_put_array(o, NULL);
}

int list_end(struct buf *b, struct json_out *o, char **ret_json, struct err *err)
{
	json_put_end(o);
	if (json_out_end(o) < 0)
		return err_no_memory(err);
	return take_json(b, ret_json, err);
}

static int put_sandbox(void *user, const struct state_sandbox *sb)
{
	struct json_out *o = user;

	json_put_object(o, NULL);
	json_put_str(o, "name", sb->name);
	json_put_str(o, "id", sb->id);
	json_put_str(o, "image_digest", sb->image_digest);
	json_put_str(o, "status", sb->status);
	json_put_str(o, "reason", sb->reason);
	json_put_bool(o, "ephemeral", sb->ephemeral);
	if (sb->exit_code < 0)
		json_put_null(o, "exit_code");
	else
		json_put_i64(o, "exit_code", sb->exit_code);
	put_time(o, "created_at", sb->created_at);
	put_time(o, "started_at", sb->started_at);
	put_time(o, "ended_at", sb->ended_at);
	json_put_end(o);
	return o->error;
}

int home_sandbox_list(struct home *home, char **ret_json, struct err *err)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct json_out o;
	int r;

	r = home_reconcile(home, err);
	if (r < 0)
		return r;
	list_begin(&b, &o);
	r = state_sandbox_list(home->state, put_sandbox, &o, err);
	return r < 0 ? r : list_end(&b, &o, ret_json, err);
}
