/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <stdlib.h>
#include <string.h>

#include "cli/log_lines.h"
#include "cli/when.h"

static void collect(void *user, const struct open_line *line, const char *text, size_t len)
{
	struct buf *b = user;

	ASSERT_EQ(buf_addf(b, "%s%d:%.*s|", line->source, (int)line->session, (int)len, text), 0);
}

static void add(struct log_lines *l, uint64_t session, const char *source, const char *text)
{
	struct log_key key = { .boot = 1, .session = session, .source = source };

	ASSERT_EQ(log_lines_add(l, &key, 1, text, strlen(text)), 0);
}

TEST(lines_of_several_streams_are_whole)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct log_lines *l = calloc(1, sizeof(*l));

	ASSERT(l);
	buf_init(&b, 1 << 20);
	l->line = collect;
	l->user = &b;
	add(l, 1, "stdout", "a");
	add(l, 1, "stderr", "x\ny");
	add(l, 2, "stdout", "\xc3");
	add(l, 1, "stdout", "b\r\n\nc");
	add(l, 2, "stdout", "\xa4\n");
	log_lines_end(l);
	ASSERT_STR(buf_cstr(&b),
		   "stderr1:x|stdout1:ab|stdout1:|stdout2:\xc3\xa4|stdout1:c|stderr1:y|");
	ASSERT_EQ(l->n_open, 0);
	free(l);
}

TEST(many_open_lines_and_a_long_one)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct log_lines *l = calloc(1, sizeof(*l));
	char *text = malloc(3 * LOG_LINE_MAX + 1);

	ASSERT(l && text);
	buf_init(&b, 1 << 20);
	l->line = collect;
	l->user = &b;
	for (uint64_t i = 0; i <= LOG_LINES_OPEN; i++)
		add(l, i, "s", "x");
	ASSERT_STR(buf_cstr(&b), "s0:x|");
	log_lines_end(l);
	buf_clear(&b);
	memset(text, 'y', 3 * LOG_LINE_MAX);
	text[3 * LOG_LINE_MAX] = '\0';
	add(l, 1, "s", text);
	ASSERT_EQ(b.len, 3 * (LOG_LINE_MAX + 4));
	log_lines_end(l);
	ASSERT_EQ(b.len, 3 * (LOG_LINE_MAX + 4));
	free(text);
	free(l);
}

TEST(control_sequences_other_than_colours_go)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "plain\ttext", "plain\ttext" },
		{ "\033[31mred\033[0m", "\033[31mred\033[0m" },
		{ "\033[2J\033[Hx", "x" },
		{ "\033]0;title\ax", "x" },
		{ "\033]52;c;aGk=\033\\x", "x" },
		{ "a\b\rb\033", "ab" },
		{ "\033[31", "" },
		{ "\033]", "" },
		{ "\033c!", "!" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *copy = strdup(cases[i].in);

		ASSERT(copy);
		copy[log_line_clean(copy, strlen(copy))] = '\0';
		ASSERT_STR(copy, cases[i].out);
		free(copy);
	}
}

TEST(times)
{
	const uint64_t now = 2000000000ull * 1000000000ull;
	char text[WHEN_TEXT_MAX];
	uint64_t ms;

	ASSERT_EQ(when_parse("10m", now, &ms), 0);
	ASSERT_EQ(ms, (2000000000ull - 600) * 1000);
	ASSERT_EQ(when_parse("2026-01-31T12:00:00.25Z", now, &ms), 0);
	ASSERT_EQ(ms, 1769860800250ull);
	ASSERT_EQ(when_parse("2026-01-31T13:00:00+01:00", now, &ms), 0);
	ASSERT_EQ(ms, 1769860800000ull);
	ASSERT_EQ(when_parse("2026-01-31", now, &ms), 0);
	ASSERT_EQ(ms, 1769817600000ull);
	ASSERT(when_parse("2026-01-31T12:00:00", now, &ms) < 0);
	ASSERT(when_parse("tomorrow", now, &ms) < 0);
	ASSERT(when_parse("", now, &ms) < 0);
	when_print(1769860800250ull * 1000000, text);
	ASSERT_STR(text, "2026-01-31T12:00:00.250Z");
}

TAP_MAIN()
