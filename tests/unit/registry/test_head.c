/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include "registry/head.h"

/* All lines of @text, each ended by CR LF. */
static int take(struct http_head *h, const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "\n") + 1;
		int r = http_head_line(h, text, len);

		if (r < 0)
			return r;
		text += len;
	}
	return 0;
}

TEST(fields)
{
	struct http_head h = { 0 };

	ASSERT_EQ(take(&h, "HTTP/1.1 206 Partial Content\r\nContent-type:  text/x ; q=1 \r\n"
			   "CONTENT-LENGTH: 5\r\nContent-Range: bytes 10-14/99\r\nX-Other: \x01\r\n"
			   "Location: https://a/b?c\r\nno field\r\n\r\n"),
		  0);
	ASSERT_EQ(h.status, 206);
	ASSERT_STR(h.type, "text/x");
	ASSERT(h.has_length && h.length == 5);
	ASSERT(h.has_range && h.first == 10 && h.total == 99);
	ASSERT_STR(h.location, "https://a/b?c");
}

TEST(a_status_line_starts_anew)
{
	struct http_head h = { 0 };

	ASSERT_EQ(take(&h, "HTTP/1.1 100 Continue\r\nLocation: /x\r\nContent-Length: 3\r\n\r\n"
			   "HTTP/2 200\r\nContent-Length: 4\r\n"),
		  0);
	ASSERT_EQ(h.status, 200);
	ASSERT_STR(h.location, "");
	ASSERT_EQ(h.length, 4);
}

TEST(ranges)
{
	static const struct {
		const char *name, *line;
		int r;
		bool has;
		uint64_t first, total;
	} cases[] = {
		{ "size not told", "Content-Range: bytes 0-0/*\r\n", 0, true, 0, 0 },
		{ "none", "Content-Range: bytes */99\r\n", 0, false, 0, 0 },
		{ "other unit", "Content-Range: lines 0-1/2\r\n", -EPROTO },
		{ "backwards", "Content-Range: bytes 5-4/9\r\n", -EPROTO },
		{ "past the end", "Content-Range: bytes 5-9/9\r\n", -EPROTO },
		{ "too large", "Content-Range: bytes 9223372036854775808-9223372036854775809/*\r\n",
		  -EPROTO },
		{ "signs", "Content-Range: bytes +1-2/9\r\n", -EPROTO },
		{ "no slash", "Content-Range: bytes 1-2\r\n", -EPROTO },
		{ "slash first", "Content-Range: bytes /1-2\r\n", -EPROTO },
	};

	for_cases(c, cases) {
		struct http_head h = { 0 };

		ASSERT_EQ(take(&h, c->line), c->r);
		if (c->r == 0) {
			ASSERT_EQ(h.has_range, c->has);
			ASSERT(!c->has || (h.first == c->first && h.total == c->total));
		}
	}
}

TEST(broken)
{
	static const struct {
		const char *name, *text;
	} cases[] = {
		{ "status", "HTTP/1.1 abc\r\n" },
		{ "no status", "HTTP/1.1\r\n" },
		{ "small status", "HTTP/1.1 099 X\r\n" },
		{ "length", "Content-Length: -1\r\n" },
		{ "two lengths", "Content-Length: 1\r\nContent-Length: 2\r\n" },
		{ "blank in location", "Location: /a b\r\n" },
		{ "type", "Content-Type: a\tb\r\n" },
	};

	for_cases(c, cases) {
		struct http_head h = { 0 };

		ASSERT_EQ(take(&h, c->text), -EPROTO);
	}
}

TEST(too_many_bytes)
{
	struct http_head h = { 0 };
	char line[1024];
	unsigned n = 0;

	memset(line, 'x', sizeof(line));
	while (http_head_line(&h, line, sizeof(line)) == 0)
		n++;
	ASSERT_EQ(n, HEAD_BYTES_MAX / sizeof(line));
	ASSERT_EQ(http_head_line(&h, "HTTP/1.1 200 OK\r\n", 17), -E2BIG);
}

TAP_MAIN()
