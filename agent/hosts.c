/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "settings.h"

#define BEGIN "# microsandbox begin\n"
#define END   "# microsandbox end\n"

static bool starts(const char *p, size_t len, const char *what)
{
	size_t n = strlen(what);

	return len >= n && memcmp(p, what, n) == 0;
}

int hosts_merge(const char *old, size_t old_len, const char *hostname, struct buf *out)
{
	bool inside = false;
	int r = 0;

	while (old_len > 0 && r >= 0) {
		const char *nl = memchr(old, '\n', old_len);
		size_t len = nl ? (size_t)(nl - old) + 1 : old_len;

		if (starts(old, len, BEGIN))
			inside = true;
		if (!inside)
			r = buf_add(out, old, len);
		if (!inside && !nl && r >= 0)
			r = buf_add_u8(out, '\n');
		if (starts(old, len, END))
			inside = false;
		old += len;
		old_len -= len;
	}
	if (r < 0)
		return r;
	return buf_addf(out,
			BEGIN "127.0.0.1\tlocalhost\n"
			      "::1\tlocalhost ip6-localhost ip6-loopback\n"
			      "%s%s%s" END,
			hostname ? "127.0.1.1\t" : "", hostname ? hostname : "",
			hostname ? "\n" : "");
}
