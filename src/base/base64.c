/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

#include <errno.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const void *data, size_t len, char *out)
{
	const uint8_t *in = data;

	for (; len > 0; out += 4) {
		size_t n = len < 3 ? len : 3;
		uint32_t v = (uint32_t)in[0] << 16;

		if (n > 1)
			v |= (uint32_t)in[1] << 8;
		if (n > 2)
			v |= in[2];
		out[0] = digits[v >> 18];
		out[1] = digits[v >> 12 & 63];
		out[2] = n > 1 ? digits[v >> 6 & 63] : '=';
		out[3] = n > 2 ? digits[v & 63] : '=';
		in += n;
		len -= n;
	}
}

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '/')
		return c == '+' ? 62 : 63;
	return -1;
}

int base64_decode(const char *text, size_t len, uint8_t *out, size_t *ret_len)
{
	size_t n = 0;
	uint32_t v = 0;
	unsigned bits = 0;

	if (len % 4 == 0)
		for (int i = 0; i < 2 && len > 0 && text[len - 1] == '='; i++)
			len--;
	if (len % 4 == 1)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		int d = digit(text[i]);

		if (d < 0)
			return -EINVAL;
		v = v << 6 | (uint32_t)d;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			out[n++] = (uint8_t)(v >> bits);
		}
	}
	*ret_len = n;
	return 0;
}
