/* SPDX-License-Identifier: Apache-2.0 */
#include <microsandbox.h>
#include <stdlib.h>

#include "lib/internal.h"
#include "runtime/runtime.h"

int msb_save(struct msb *m, int kind, const char *const *names, const char *path, int fd,
	     const char *options, const struct msb_call *call, char **ret_json,
	     struct msb_error *error)
{
	const struct save_to to = { .path = path, .fd = fd };
	struct err err = ERR_INIT;
	struct waiting_call w;
	char *json = NULL;
	int r;

	if (!m || !names)
		return error_argument(m ? "names" : "m", error);
	if (call_begin(call, &w, &err) < 0)
		return error_out(&err, error);
	if (kind != MSB_IMAGE)
		r = err_set(&err, ERR_INVALID, "saving of kind %d is not supported yet", kind);
	else
		r = home_image_save((struct home *)m, names, &to, options, &w.call, &json, &err);
	if (r == 0 && ret_json)
		*ret_json = json;
	else
		free(json);
	return call_end(&w, r, &err, error);
}
