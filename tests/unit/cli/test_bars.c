/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <string.h>

#include "base/clock.h"
#include "cli/bars.h"

#define MIB (1ull << 20)

static void put(struct bars *b, const char *type, unsigned layer, uint64_t done, uint64_t total,
		uint64_t at_ms)
{
	struct bars_event ev = { .type = type,
				 .message = "",
				 .digest = "",
				 .stage = "",
				 .layer = layer,
				 .layers = 3,
				 .done = done,
				 .total = total };

	ASSERT_EQ(bars_event(b, &ev, at_ms * NS_PER_MS), 0);
}

/* The lines of @n pulls on a terminal of that size. */
static const char *lines(const struct bars *const *all, size_t n, size_t width, size_t height,
			 bool utf8, uint64_t at_ms, size_t *ret_n)
{
	static char text[65536];
	struct bars_look look = { .width = width, .height = height, .utf8 = utf8 };
	struct buf b;
	size_t drawn;

	buf_init(&b, sizeof(text) - 1);
	drawn = bars_draw(all, n, &look, at_ms * NS_PER_MS, &b);
	memcpy(text, b.data ? b.data : (const uint8_t *)"", b.len);
	text[b.len] = '\0';
	buf_done(&b);
	if (ret_n)
		*ret_n = drawn;
	return text;
}

static const char *one(const struct bars *b, size_t width, size_t height, bool utf8, uint64_t at_ms)
{
	const struct bars *const all[] = { b };

	return lines(all, 1, width, height, utf8, at_ms, NULL);
}

TEST(what_is_here_shows_nothing)
{
	struct bars b;

	bars_init(&b, "python:3.12");
	put(&b, "resolving", 0, 0, 0, 0);
	put(&b, "resolved", 0, 0, 0, 1);
	ASSERT_STR(one(&b, 80, 24, true, 2), "");
	put(&b, "complete", 0, 0, 0, 3);
	ASSERT_STR(one(&b, 80, 24, true, 4), "");
	bars_done(&b);
}

TEST(the_whole_and_its_layers)
{
	struct bars b;

	bars_init(&b, "python:3.12");
	put(&b, "resolving", 0, 0, 0, 0);
	put(&b, "resolved", 0, 0, 40 * MIB, 0);
	put(&b, "layer_download_progress", 1, 0, 10 * MIB, 0);
	put(&b, "layer_download_progress", 2, 0, 20 * MIB, 0);
	put(&b, "layer_waiting", 3, 0, 10 * MIB, 0);
	put(&b, "layer_download_progress", 2, 10 * MIB, 20 * MIB, 1000);
	put(&b, "layer_download_complete", 1, 10 * MIB, 10 * MIB, 1000);
	put(&b, "layer_materialize_progress", 1, 5 * MIB, 0, 1000);
	ASSERT_STR(one(&b, 80, 24, false, 1000),
		   "python:3.12 0/3 layers   50%  20.0/40.0 MiB  20.0 MiB/s  1s left\n"
		   "  layer 1   unpacking  5.0 MiB\n"
		   "  layer 2   ############------------  10.0/20.0 MiB\n"
		   "  layer 3   another pull has it; waiting for that\n");
	put(&b, "layer_materialize_complete", 1, 0, 0, 1000);
	put(&b, "layer_materialize_complete", 1, 0, 0, 1000); /* twice counts once */
	ASSERT(strstr(one(&b, 80, 24, true, 1000), "python:3.12 1/3 layers   50%"));
	ASSERT(strstr(one(&b, 80, 24, true, 1000), "━━━━━━━━━━━━────────────"));
	put(&b, "stitch_writing", 0, 0, 0, 1000);
	ASSERT(strstr(one(&b, 80, 24, true, 1000), "joining layers"));
	put(&b, "complete", 0, 0, 0, 1000);
	ASSERT_STR(one(&b, 80, 24, true, 1000), "");
	bars_done(&b);
}

TEST(never_wider_or_higher_than_the_terminal)
{
	struct bars b[3];
	const struct bars *const all[] = { &b[0], &b[1], &b[2] };

	for (size_t i = 0; i < 3; i++) {
		bars_init(&b[i], "registry.example.com/some/long/path/of/an/image:with-a-tag");
		put(&b[i], "resolved", 0, 0, 40 * MIB, 0);
		for (unsigned l = 1; l <= 3; l++)
			put(&b[i], "layer_download_progress", l, MIB, 10 * MIB, 0);
	}
	for (size_t width = 1; width < 120; width += 7) {
		for (size_t height = 1; height < 20; height++) {
			size_t n, drawn = 0, cells = 0;
			const char *text = lines(all, 3, width, height, true, 100, &n);

			ASSERT(n <= (height > 1 ? height - 1 : 1));
			for (; *text; text++) {
				if (*text == '\n') {
					drawn++;
					cells = 0;
				} else {
					cells += ((unsigned char)*text & 0xc0) != 0x80;
				}
				ASSERT(cells <= width);
			}
			ASSERT_EQ(drawn, n);
		}
	}
	/* All wholes first, if not all fits. */
	ASSERT(!strstr(lines(all, 3, 100, 4, true, 100, NULL), "layer 1 "));
	ASSERT(strstr(lines(all, 3, 100, 5, true, 100, NULL), "layer 1 "));
	for (size_t i = 0; i < 3; i++)
		bars_done(&b[i]);
}

TEST(reasons_are_shown)
{
	struct bars b;
	struct bars_event ev = { .type = "layer_retry",
				 .message = "connection reset",
				 .digest = "",
				 .stage = "",
				 .layer = 2,
				 .layers = 3 };

	bars_init(&b, "x");
	ASSERT_EQ(bars_event(&b, &ev, 0), 0);
	ASSERT(strstr(one(&b, 80, 24, true, 0), "  layer 2   trying again: connection reset\n"));
	ev.type = "resolving";
	ev.message = "waiting for another pull of it";
	ev.layer = 0;
	ASSERT_EQ(bars_event(&b, &ev, 0), 0);
	ASSERT(strstr(one(&b, 80, 24, true, 0), "x  waiting for another pull of it\n"));
	bars_done(&b);
}

TEST(odd_events_change_nothing)
{
	struct bars b;

	bars_init(&b, "x");
	put(&b, "of_a_newer_library", 0, 0, 0, 0);
	put(&b, "layer_download_progress", 4000000000u, 1, 1, 0);
	ASSERT_EQ(b.n_layers, 3);
	ASSERT_STR(one(&b, 80, 24, true, 0), "");
	bars_done(&b);
}

TAP_MAIN()
