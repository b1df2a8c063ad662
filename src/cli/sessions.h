/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_SESSIONS_H
#define CLI_SESSIONS_H

#include <microsandbox.h>
#include <stdbool.h>
#include <stdint.h>

#include "json/json.h"

/* Sessions of a sandbox as msb_exec_list() has them; negative results have *err set. */

/* One reference to the array. */
int sessions_list(struct msb_sandbox *sb, const struct msb_call *call, json_t **ret_rows,
		  struct msb_error *err);

/* A session that runs. */
struct session {
	uint64_t number;
	const char *command, *started_at; /* borrowed from the row */
	uint64_t clients;
	bool main, tty, live;
};
int sessions_read(const struct json_at *row, struct session *ret, struct msb_error *err);

/* "7", or an error that names the argument. */
int sessions_number(const char *what, const char *text, uint64_t *ret, struct msb_error *err);

/* TERM, SIGTERM or 15; negative: no signal of Linux. */
int signal_number(const char *text);

#endif /* CLI_SESSIONS_H */
