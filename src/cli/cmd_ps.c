/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/common.h"
#include "cli/listing.h"
#include "cli/names.h"
#include "cli/out.h"
#include "cli/rows.h"
#include "cli/sessions.h"
#include "cli/show.h"

#define ANSWER_MS 3000 /* for the agent of a busy guest; without it the sessions are not known */

struct ps_opts {
	struct listing_opts list;
	struct rows_opts rows;
	bool all;
};

static const struct opt ps_options[] = {
	{ OPT_FLAG, 'a', "all", NULL, "also those that are down", offsetof(struct ps_opts, all) },
	ROWS_OPTIONS(struct ps_opts),
	LISTING_OPTIONS(struct ps_opts, "print names only; of one NAME its state only"),
	{ .kind = OPT_END },
};

/* ---- what the agents say -------------------------------------------------------------------- */

struct question {
	struct msb *m; /* borrowed */
	const char *name;
	json_t *sessions; /* owned; NULL: not known */
};

static int ask(void *user, const struct msb_call *call, struct msb_error *err)
{
	struct question *q = user;
	AUTO(msb_sandbox_close) struct msb_sandbox *sb = NULL;
	struct msb_call limited = *call;
	int r = msb_sandbox_get(q->m, q->name, &sb, err);

	limited.timeout_ms = ANSWER_MS;
	return r < 0 ? r : sessions_list(sb, &limited, &q->sessions, err);
}

static const char *member(const json_t *row, const char *key)
{
	const char *text = json_string_value(json_object_get(row, key));

	return text ? text : "";
}

static bool is_up(const json_t *row)
{
	return strcmp(member(row, "status"), "running") == 0;
}

/* "sessions" and "uptime_ms" into each row. */
static int complete(json_t *rows, const struct question *questions, struct msb_error *err)
{
	int r = 0;

	for (size_t i = 0; i < json_array_size(rows); i++) {
		json_t *row = json_array_get(rows, i);
		json_t *up = json_null();

		if (is_up(row))
			up = json_integer((json_int_t)out_age_ms(member(row, "started_at")));
		r |= json_object_set_new(row, "uptime_ms", up);
		if (questions[i].sessions)
			r |= json_object_set(row, "sessions", questions[i].sessions);
		else
			r |= json_object_set_new(row, "sessions", json_null());
	}
	return r < 0 ? common_error(err, MSB_E_NO_MEMORY, "out of memory") : 0;
}

/* 0, 128 + signal, or negative. */
static int ask_all(struct msb *m, json_t *rows, struct msb_error *err)
{
	size_t n = json_array_size(rows), n_up = 0;
	AUTO_FREE struct question *questions = calloc(n + 1, sizeof(*questions));
	AUTO_FREE struct show_job *jobs = calloc(n + 1, sizeof(*jobs));
	int r = 0;

	if (!questions || !jobs)
		return common_error(err, MSB_E_NO_MEMORY, "out of memory");
	for (size_t i = 0; i < n; i++) {
		const json_t *row = json_array_get(rows, i);

		questions[i] = (struct question){ .m = m, .name = member(row, "id") };
		if (is_up(row))
			jobs[n_up++] = (struct show_job){ .name = questions[i].name,
							  .run = ask,
							  .user = &questions[i] };
	}
	if (n_up > 0)
		r = show_run(jobs, n_up, SHOW_NONE, err);
	if (r == 0)
		r = complete(rows, questions, err);
	else if (r > 0)
		r += EXIT_SIGNAL;
	for (size_t i = 0; i < n; i++)
		json_decref(questions[i].sessions);
	return r;
}

/* ---- tables --------------------------------------------------------------------------------- */

static int count_live(const struct json_at *item, char *buf, size_t size, struct err *e)
{
	struct json_at sessions = json_member(item, "sessions");
	size_t n, n_live = 0;
	int r;

	(void)snprintf(buf, size, "-");
	if (!json_present(&sessions))
		return 0;
	r = json_get_array(&sessions, SIZE_MAX, &n, e);
	for (size_t i = 0; r >= 0 && i < n; i++)
		n_live += strcmp(member(json_item(&sessions, i).value, "state"), "ended") != 0;
	(void)snprintf(buf, size, "%zu", n_live);
	return r;
}

static int ps_row(const struct json_at *item, struct listing_row *row, struct err *e)
{
	uint64_t up = 0, cpus = 0, memory = 0;
	int r = json_opt_str(item, "name", &row->cells[0], e);

	r = r < 0 ? r : json_opt_str(item, "status", &row->cells[1], e);
	r = r < 0 ? r : json_opt_u64(item, "uptime_ms", 0, UINT64_MAX, &up, e);
	r = r < 0 ? r : json_opt_str(item, "engine", &row->cells[3], e);
	r = r < 0 ? r : json_opt_u64(item, "cpus", 0, UINT64_MAX, &cpus, e);
	r = r < 0 ? r : json_opt_u64(item, "memory_bytes", 0, UINT64_MAX, &memory, e);
	if (is_up(item->value))
		out_duration(up, row->text[2], LISTING_CELL);
	(void)snprintf(row->text[4], LISTING_CELL, "%" PRIu64, cpus);
	out_size(memory, row->text[5], LISTING_CELL);
	r = r < 0 ? r : count_live(item, row->text[6], LISTING_CELL, e);
	row->cells[2] = row->text[2];
	for (size_t i = 4; i <= 6; i++)
		row->cells[i] = row->text[i];
	row->name = row->cells[0];
	return r;
}

static const struct listing ps_listing = {
	.what = "running sandboxes",
	.header = (const char *const[]){ "NAME", "STATUS", "UP", "ENGINE", "CPUS", "MEM",
					 "SESSIONS", NULL },
	.row = ps_row,
};

static int session_row(const struct json_at *item, struct listing_row *row, struct err *e)
{
	struct msb_error error = { 0 };
	struct session s;

	if (sessions_read(item, &s, &error) < 0)
		return err_set(e, ERR_INTERNAL, "%s", error.message);
	(void)snprintf(row->text[0], LISTING_CELL, "%" PRIu64, s.number);
	(void)snprintf(row->text[2], LISTING_CELL, "%" PRIu64, s.clients);
	out_duration(out_age_ms(s.started_at), row->text[3], LISTING_CELL);
	row->cells[0] = row->text[0];
	row->cells[1] = s.main ? "main" : s.tty ? "terminal" : "exec";
	row->cells[2] = row->text[2];
	row->cells[3] = s.live ? row->text[3] : "ended";
	row->cells[4] = s.command;
	row->name = row->cells[0];
	return 0;
}

static const struct listing session_listing = {
	.what = "sessions",
	.header = (const char *const[]){ "SESSION", "KIND", "CLIENTS", "UP", "COMMAND", NULL },
	.row = session_row,
};

/* ---- the command ---------------------------------------------------------------------------- */

/* Those that are named, in that order. */
static int pick(struct msb *m, const struct opt_rest *rest, json_t **ret_rows,
		struct msb_error *err)
{
	AUTO(json_decref) json_t *all = NULL, *chosen = json_array();
	int r = names_list(m, &all, err);

	for (int i = 0; r >= 0 && i < rest->n_args; i++) {
		json_t *found = NULL;

		for (size_t k = 0; k < json_array_size(all) && !found; k++) {
			json_t *row = json_array_get(all, k);

			if (strcmp(member(row, "name"), rest->args[i]) == 0 ||
			    strcmp(member(row, "id"), rest->args[i]) == 0)
				found = row;
		}
		if (!found) {
			r = common_error(err, MSB_E_SANDBOX_NOT_FOUND, "no sandbox named '%s'",
					 rest->args[i]);
			(void)snprintf(err->subject, sizeof(err->subject), "%s", rest->args[i]);
			names_hint(m, err);
		} else if (!chosen || json_array_append(chosen, found) < 0) {
			r = common_error(err, MSB_E_NO_MEMORY, "out of memory");
		}
	}
	*ret_rows = r < 0 ? NULL : TAKE_PTR(chosen);
	return r;
}

static int keep_live(const struct json_at *row, json_t *live, struct msb_error *err)
{
	json_t *all = json_object_get(row->value, "sessions");
	int r = live ? 0 : -1;

	for (size_t i = 0; r == 0 && i < json_array_size(all); i++)
		if (strcmp(member(json_array_get(all, i), "state"), "ended") != 0)
			r = json_array_append(live, json_array_get(all, i));
	return r < 0 ? common_error(err, MSB_E_NO_MEMORY, "out of memory") : 0;
}

static int print_named(const struct ps_opts *o, const struct json_at *rows, struct msb_error *err)
{
	struct listing_opts plain = { .no_header = o->list.no_header };
	struct json_at row = json_item(rows, 0);
	AUTO(json_decref) json_t *live = json_array();
	struct json_at sessions;
	int r;

	if (o->list.quiet) {
		for (size_t i = 0; i < json_array_size(rows->value); i++)
			printf("%s\n", member(json_item(rows, i).value, "status"));
		return 0;
	}
	r = listing_print(&ps_listing, &o->list, rows, err);
	if (r >= 0)
		r = keep_live(&row, live, err);
	if (r < 0 || json_array_size(rows->value) != 1 || json_array_size(live) == 0)
		return r;
	printf("\n");
	sessions = json_root(live, "sessions");
	return listing_print(&session_listing, &plain, &sessions, err);
}

static int ps_run(const struct cli *cli, const void *opts, const struct opt_rest *rest,
		  struct msb_error *err)
{
	const struct ps_opts *o = opts;
	AUTO(msb_close) struct msb *m = NULL;
	AUTO(json_decref) json_t *rows = NULL;
	int format = listing_check(&ps_listing, &o->list, err), r = format;
	bool brief = o->list.quiet && format == LISTING_TABLE;
	struct json_at at;

	if (r >= 0)
		r = rows_check(&o->rows, err);
	if (r >= 0)
		r = common_arguments(rest, 0, INT32_MAX, "NAME", err);
	if (r >= 0)
		r = common_open(cli, NULL, &m, err);
	if (r >= 0)
		r = rest->n_args > 0
			    ? pick(m, rest, &rows, err)
			    : rows_list(m, &o->rows, o->all ? NULL : "running", "name", &rows, err);
	if (r >= 0 && !brief)
		r = ask_all(m, rows, err);
	if (r != 0)
		return r;
	at = json_root(rows, "sandboxes");
	if (rest->n_args > 0 && format == LISTING_TABLE)
		return print_named(o, &at, err);
	return listing_print(&ps_listing, &o->list, &at, err);
}

const struct command cmd_ps = {
	.name = "ps",
	.group = "Sandboxes",
	.args = "[OPTIONS] [NAME...]",
	.summary = "show what runs; of one NAME its sessions too",
	.example = "msb ps my-app",
	.opts = ps_options,
	.opts_size = sizeof(struct ps_opts),
	.run = ps_run,
};
