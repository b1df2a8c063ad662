/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/logs.h"

#include "lib/internal.h"

int msb_logs(struct msb *m, const char *name, const char *filter, struct msb_stream **ret_s,
	     struct msb_error *error)
{
	struct log_feed *feed = NULL;
	struct err err = ERR_INIT;

	if (!m || !name || !ret_s)
		return error_argument(!m ? "m" : !name ? "name" : "ret_s", error);
	if (home_logs(home_of(m), name, filter, &feed, &err) < 0 ||
	    stream_of_logs(feed, ret_s, &err) < 0)
		return error_out(&err, error);
	return 0;
}
