/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "runtime/internal.h"

static struct progress *begin(void)
{
	struct progress *p = NULL;
	struct err err = ERR_INIT;

	ASSERT_EQ(progress_new(&p, &err), 0);
	ASSERT_EQ(progress_begin(p, &err), 0);
	return p;
}

static void put(struct progress *p, const char *type, unsigned layer, uint64_t done)
{
	struct progress_event ev = { .type = type,
				     .amount = strstr(type, "progress"),
				     .layer = layer,
				     .layers = 3,
				     .done = done };

	progress_put(p, &ev);
}

/* The next event as "type layer done"; "" if there is none now. */
static const char *next(struct progress *p)
{
	static char text[256];
	struct stream_event ev = { 0 };
	struct err err = ERR_INIT;
	AUTO(json_decref) json_t *value = NULL;
	struct json_at root;
	const char *type = "";
	uint64_t layer = 0, done = 0;
	int r = progress_next(p, &ev, &err);

	ASSERT(r >= 0);
	if (r == 0)
		return "";
	if (ev.type == STREAM_END) {
		(void)snprintf(text, sizeof(text), "END %d %s", (int)ev.number,
			       ev.json ? ev.json : "");
		return text;
	}
	ASSERT_EQ(json_parse("event", ev.json, strlen(ev.json), 4096, &value, &err), 0);
	root = json_root(value, "event");
	ASSERT_EQ(json_opt_str(&root, "type", &type, &err), 0);
	ASSERT_EQ(json_opt_u64(&root, "layer", 0, 99, &layer, &err), 0);
	ASSERT_EQ(json_opt_u64(&root, "done", 0, UINT64_MAX, &done, &err), 0);
	(void)snprintf(text, sizeof(text), "%s %d %d", type, (int)layer, (int)done);
	return text;
}

static bool readable(const struct progress *p, int timeout_ms)
{
	struct pollfd fd = { .fd = progress_fd(p), .events = POLLIN };

	return poll(&fd, 1, timeout_ms) == 1;
}

TEST(states_come_in_order_and_then_the_end)
{
	AUTO(progress_close) struct progress *p = begin();

	ASSERT(!readable(p, 0));
	put(p, "resolving", 0, 0);
	put(p, "resolved", 0, 0);
	put(p, "complete", 0, 0);
	ASSERT(readable(p, -1));
	ASSERT_STR(next(p), "resolving 0 0");
	ASSERT_STR(next(p), "resolved 0 0");
	ASSERT_STR(next(p), "complete 0 0");
	ASSERT_STR(next(p), "");
	ASSERT(!readable(p, 0));
	progress_end(p, 0, "");
	ASSERT(readable(p, -1));
	ASSERT_STR(next(p), "END 0 ");
	ASSERT_STR(next(p), "");
	ASSERT(!readable(p, 0));
}

TEST(the_end_tells_the_error)
{
	AUTO(progress_close) struct progress *p = begin();

	put(p, "layer_progress", 1, 5);
	progress_end(p, 1100, "cancelled");
	ASSERT_STR(next(p), "END 1100 {\"message\":\"cancelled\"}");
}

TEST(of_amounts_the_newest_wins)
{
	AUTO(progress_close) struct progress *p = begin();

	for (unsigned i = 1; i <= 1000; i++)
		put(p, "layer_progress", 1 + i % 2, i);
	ASSERT(readable(p, -1));
	ASSERT_STR(next(p), "layer_progress 2 999");
	ASSERT_STR(next(p), "layer_progress 1 1000");
	ASSERT_STR(next(p), "");
	put(p, "layer_progress", 1,
	    1001); /* too early: it waits, the descriptor wakes the reader */
	put(p, "layer_progress", 1, 1002);
	ASSERT(readable(p, -1));
	ASSERT_STR(next(p), "layer_progress 1 1002");
}

TEST(no_amount_comes_behind_a_state_of_its_layer)
{
	AUTO(progress_close) struct progress *p = begin();

	put(p, "layer_progress", 1, 7);
	put(p, "layer_progress", 2, 8);
	put(p, "layer_complete", 1, 9);
	ASSERT_STR(next(p), "layer_complete 1 9");
	ASSERT_STR(next(p), "layer_progress 2 8");
	ASSERT_STR(next(p), "");
	ASSERT(!readable(p, 0));
}

TEST(what_repeats_takes_the_place_of_the_unread)
{
	AUTO(progress_close) struct progress *p = begin();

	put(p, "layer_retry", 1, 1);
	put(p, "layer_waiting", 1, 2);
	for (unsigned i = 3; i < 10000; i++)
		put(p, "layer_retry", 1, i);
	ASSERT_STR(next(p), "layer_waiting 1 2");
	ASSERT_STR(next(p), "layer_retry 1 9999");
	ASSERT_STR(next(p), "");
}

TEST(stages_are_different_states)
{
	AUTO(progress_close) struct progress *p = begin();
	struct progress_event a = { .type = "boot", .stage = "monitor" };
	struct progress_event b = { .type = "boot", .stage = "ready" };
	struct stream_event ev;
	struct err err = ERR_INIT;

	progress_put(p, &a);
	progress_put(p, &b);
	ASSERT_EQ(progress_next(p, &ev, &err), 1);
	ASSERT_STR(ev.json, "{\"type\":\"boot\",\"stage\":\"monitor\"}");
	ASSERT_EQ(progress_next(p, &ev, &err), 1);
	ASSERT_STR(ev.json, "{\"type\":\"boot\",\"stage\":\"ready\"}");
}

TEST(one_call_only)
{
	AUTO(progress_close) struct progress *p = begin();
	struct err err = ERR_INIT;

	ASSERT(progress_begin(p, &err) < 0);
	ASSERT_EQ(err.code, ERR_INVALID);
}

TEST(a_wait_ends_by_its_switch_and_its_time)
{
	AUTO(progress_close) struct progress *p = begin();
	AUTO(cancel_free) struct cancel *c = NULL;
	struct stream_event ev;
	struct err err = ERR_INIT;

	ASSERT_EQ(progress_wait(p, 1, NULL, &ev, &err), 0);
	ASSERT_EQ(cancel_new(&c), 0);
	cancel_fire(c);
	ASSERT(progress_wait(p, -1, c, &ev, &err) < 0);
	ASSERT_EQ(err.code, ERR_CANCELLED);
	progress_end(p, 0, "");
	ASSERT_EQ(progress_wait(p, -1, c, &ev, &err), 1);
	ASSERT_EQ(progress_wait(p, -1, NULL, &ev, &err), 0); /* it is over */
}

static void *put_many(void *user)
{
	struct progress *p = user;

	for (unsigned i = 0; i < 2000; i++)
		put(p, "layer_progress", 1 + i % 3, i);
	put(p, "complete", 0, 0);
	return NULL;
}

TEST(threads)
{
	AUTO(progress_close) struct progress *p = begin();
	pthread_t threads[3];
	struct stream_event ev = { 0 };
	struct err err = ERR_INIT;
	int completed = 0;

	for (int i = 0; i < 3; i++)
		ASSERT_EQ(pthread_create(&threads[i], NULL, put_many, p), 0);
	while (!completed) {
		ASSERT_EQ(progress_wait(p, -1, NULL, &ev, &err), 1);
		completed += strstr(ev.json, "complete") != NULL;
	}
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(pthread_join(threads[i], NULL), 0);
	progress_end(p, 0, "");
	do
		ASSERT_EQ(progress_wait(p, -1, NULL, &ev, &err), 1);
	while (ev.type != STREAM_END);
}

TAP_MAIN()
