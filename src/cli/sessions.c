/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/sessions.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/num.h"
#include "cli/common.h"

#define LAST_SIGNAL 64 /* SIGRTMAX of Linux */

int sessions_list(struct msb_sandbox *sb, const struct msb_call *call, json_t **ret_rows,
		  struct msb_error *err)
{
	AUTO(msb_free) char *text = NULL;
	struct err e = ERR_INIT;
	int r = msb_exec_list(sb, call, &text, err);

	if (r < 0)
		return r;
	if (json_parse("sessions", text, strlen(text), COMMON_JSON_MAX, ret_rows, &e) < 0)
		return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
	return 0;
}

int sessions_read(const struct json_at *row, struct session *ret, struct msb_error *err)
{
	struct session s = { .command = "" };
	const char *state = "";
	struct err e = ERR_INIT;

	if (json_opt_u64(row, "session", 0, UINT64_MAX, &s.number, &e) < 0 ||
	    json_opt_u64(row, "clients", 0, UINT64_MAX, &s.clients, &e) < 0 ||
	    json_opt_str(row, "command", &s.command, &e) < 0 ||
	    json_opt_str(row, "started_at", &s.started_at, &e) < 0 ||
	    json_opt_str(row, "state", &state, &e) < 0 ||
	    json_opt_bool(row, "main", &s.main, &e) < 0 ||
	    json_opt_bool(row, "tty", &s.tty, &e) < 0)
		return common_error(err, MSB_E_INTERNAL, "%s", e.msg);
	s.live = strcmp(state, "ended") != 0;
	*ret = s;
	return 0;
}

int sessions_number(const char *what, const char *text, uint64_t *ret, struct msb_error *err)
{
	if (parse_u64(text, UINT64_MAX, ret) == 0)
		return 0;
	return common_error(err, MSB_E_INVALID_CONFIG,
			    "%s: '%s' is not the number of a session\nsee them: msb ps NAME", what,
			    text);
}

int signal_number(const char *text)
{
	uint64_t number;

	if (parse_u64(text, LAST_SIGNAL, &number) == 0 && number > 0)
		return (int)number;
	if (strncasecmp(text, "SIG", 3) == 0)
		text += 3;
	for (int i = 1; i < SIGRTMIN; i++) {
		const char *name = sigabbrev_np(i);

		if (name && strcasecmp(name, text) == 0)
			return i;
	}
	return -1;
}
