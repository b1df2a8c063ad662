/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/keys.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

int keys_parse(const char *text, struct keys *ret)
{
	struct keys k = { 0 };

	while (*text) {
		size_t len = strcspn(text, ",");
		unsigned char c = (unsigned char)text[len ? len - 1 : 0];

		if (len == 0) { /* the comma itself: ",", or at the end "a,," */
			if (text[1] != '\0' && text[1] != ',')
				return -EINVAL;
			len = 1;
		} else if (len == 6 && strncmp(text, "ctrl-", 5) == 0) {
			c = (unsigned char)toupper(c);
			if (c < '@' || c > '_') /* what a terminal makes bytes 0 to 31 of */
				return -EINVAL;
			c -= '@';
		} else if (len != 1) {
			return -EINVAL;
		}
		if (k.n == KEYS_MAX)
			return -EINVAL;
		k.bytes[k.n++] = c;
		text += len;
		if (*text == ',' && *++text == '\0')
			return -EINVAL;
	}
	*ret = k;
	return 0;
}

size_t keys_filter(struct keys *k, const uint8_t *in, size_t len, uint8_t *out, bool *ret_done)
{
	size_t n = 0;

	*ret_done = false;
	for (size_t i = 0; i < len; i++) {
		/* Give up the shortest beginning of what is held so that the rest still fits. */
		while (k->n > 0 && k->matched > 0 && in[i] != k->bytes[k->matched]) {
			size_t drop = 1;

			while (drop < k->matched &&
			       memcmp(k->bytes + drop, k->bytes, k->matched - drop) != 0)
				drop++;
			memcpy(out + n, k->bytes, drop);
			n += drop;
			k->matched -= drop;
		}
		if (k->n == 0 || in[i] != k->bytes[k->matched]) {
			out[n++] = in[i];
		} else if (++k->matched == k->n) {
			k->matched = 0;
			*ret_done = true;
			break;
		}
	}
	return n;
}
