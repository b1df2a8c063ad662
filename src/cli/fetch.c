/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/fetch.h"

void fetch_put(struct json_out *o, const struct fetch_opts *f)
{
	if (f->pull)
		json_put_str(o, "pull", f->pull);
	if (f->platform)
		json_put_str(o, "platform", f->platform);
	if (f->insecure)
		json_put_bool(o, "insecure", true);
	if (f->ca_certs.n == 0)
		return;
	json_put_array(o, "ca_certs");
	for (size_t i = 0; i < f->ca_certs.n; i++)
		json_put_str(o, NULL, f->ca_certs.items[i]);
	json_put_end(o);
}
