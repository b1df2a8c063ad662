/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/head.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/num.h"

/* "HTTP/1.1 200 OK", "HTTP/2 200" */
static int status_line(struct http_head *h, const char *line, size_t len)
{
	const char *space = memchr(line, ' ', len);
	size_t left = space ? (size_t)(line + len - space) : 0;
	uint64_t status;

	if (left < 4 || parse_u64_n(space + 1, 3, 10, 999, &status) < 0 || status < 100)
		return -EPROTO;
	*h = (struct http_head){ .bytes = h->bytes, .status = (unsigned)status };
	return 0;
}

static int copy(char *out, size_t size, const char *value, size_t len)
{
	if (len >= size)
		return -EPROTO;
	for (size_t i = 0; i < len; i++) {
		if (value[i] < 0x21 || value[i] == 0x7f)
			return -EPROTO;
	}
	memcpy(out, value, len);
	out[len] = '\0';
	return 0;
}

/* Only this form is ever answered to what we ask: "bytes 100-199/200", "bytes 100-199/\*". */
static int content_range(struct http_head *h, const char *value, size_t len)
{
	const char *dash, *slash;
	uint64_t last;

	if (len < 6 || strncasecmp(value, "bytes ", 6) != 0)
		return -EPROTO;
	value += 6;
	len -= 6;
	dash = memchr(value, '-', len);
	slash = memchr(value, '/', len);
	if (value[0] == '*') /* goes with 416: no range */
		return 0;
	if (!dash || !slash || slash < dash ||
	    parse_u64_n(value, (size_t)(dash - value), 10, INT64_MAX, &h->first) < 0 ||
	    parse_u64_n(dash + 1, (size_t)(slash - dash - 1), 10, INT64_MAX, &last) < 0 ||
	    last < h->first)
		return -EPROTO;
	len -= (size_t)(slash + 1 - value);
	h->total = 0;
	if (!(len == 1 && slash[1] == '*') &&
	    (parse_u64_n(slash + 1, len, 10, INT64_MAX, &h->total) < 0 || h->total <= last))
		return -EPROTO;
	h->has_range = true;
	return 0;
}

static int content_length(struct http_head *h, const char *value, size_t len)
{
	uint64_t length;

	if (parse_u64_n(value, len, 10, INT64_MAX, &length) < 0 ||
	    (h->has_length && h->length != length))
		return -EPROTO;
	h->has_length = true;
	h->length = length;
	return 0;
}

static int field(struct http_head *h, const char *name, size_t n, const char *value, size_t len)
{
	const char *semicolon;

#define IS(text) (n == sizeof(text) - 1 && strncasecmp(name, text, n) == 0)
	if (IS("content-type")) {
		semicolon = memchr(value, ';', len);
		if (semicolon)
			len = (size_t)(semicolon - value);
		while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'))
			len--;
		return copy(h->type, sizeof(h->type), value, len);
	}
	if (IS("location"))
		return copy(h->location, sizeof(h->location), value, len);
	if (IS("www-authenticate"))
		challenge_parse(&h->challenge, value, len);
	else if (IS("content-length"))
		return content_length(h, value, len);
	else if (IS("content-range"))
		return content_range(h, value, len);
#undef IS
	return 0;
}

int http_head_line(struct http_head *h, const char *line, size_t len)
{
	const char *colon, *value;

	if (len > HEAD_BYTES_MAX - h->bytes)
		return -E2BIG;
	h->bytes += len;
	while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == '\n'))
		len--;
	if (len >= 5 && memcmp(line, "HTTP/", 5) == 0)
		return status_line(h, line, len);
	colon = memchr(line, ':', len);
	if (!colon)
		return 0;
	value = colon + 1;
	len -= (size_t)(value - line);
	while (len > 0 && (*value == ' ' || *value == '\t')) {
		value++;
		len--;
	}
	while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'))
		len--;
	return field(h, line, (size_t)(colon - line), value, len);
}
