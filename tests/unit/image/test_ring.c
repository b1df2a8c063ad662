/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <pthread.h>
#include <string.h>

#include "image/ring.h"

#define BLOCKS 50

struct peer {
	struct ring *ring;
	size_t n; /* blocks to take or to give */
	uint64_t sum;
	int last;
};

static void *reader(void *arg)
{
	struct peer *p = arg;
	const uint8_t *data;
	size_t len;

	while (p->n > 0 && (p->last = ring_get(p->ring, &data, &len)) > 0) {
		for (size_t i = 0; i < len; i++)
			p->sum += data[i];
		ring_drop(p->ring);
		p->n--;
	}
	if (p->last > 0)
		ring_stop(p->ring);
	return NULL;
}

/* Block @i has @i + 1 bytes of value @i. */
static int give(struct ring *r, size_t i)
{
	uint8_t *block;
	int rc = ring_room(r, &block);

	if (rc < 0)
		return rc;
	memset(block, (int)i, i + 1);
	ring_put(r, i + 1);
	return 0;
}

static uint64_t sum_of(size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += i * (i + 1);
	return sum;
}

TEST(all_blocks_come_in_order)
{
	struct peer p = { .n = SIZE_MAX };
	pthread_t t;

	ASSERT_EQ(ring_new(&p.ring), 0);
	ASSERT_EQ(pthread_create(&t, NULL, reader, &p), 0);
	for (size_t i = 0; i < BLOCKS; i++)
		ASSERT_EQ(give(p.ring, i), 0);
	ring_end(p.ring);
	ASSERT_EQ(pthread_join(t, NULL), 0);
	ASSERT_EQ(p.last, 0);
	ASSERT_EQ(p.sum, sum_of(BLOCKS));
	ring_free(p.ring);
}

TEST(a_reader_that_gives_up_wakes_the_writer)
{
	struct peer p = { .n = 3 };
	size_t given = 0;
	pthread_t t;

	ASSERT_EQ(ring_new(&p.ring), 0);
	ASSERT_EQ(pthread_create(&t, NULL, reader, &p), 0);
	while (give(p.ring, given) == 0) {
		given++;
		ASSERT(given <= 3 + RING_BLOCKS);
	}
	ASSERT_EQ(pthread_join(t, NULL), 0);
	ASSERT_EQ(p.sum, sum_of(3));
	ring_free(p.ring);
}

TEST(a_writer_that_gives_up_wakes_the_reader)
{
	struct peer p = { .n = SIZE_MAX };
	pthread_t t;

	ASSERT_EQ(ring_new(&p.ring), 0);
	ASSERT_EQ(pthread_create(&t, NULL, reader, &p), 0);
	ring_stop(p.ring);
	ASSERT_EQ(pthread_join(t, NULL), 0);
	ASSERT_EQ(p.last, -EPIPE);
	ring_free(p.ring);
}

TEST(nothing_at_all)
{
	struct ring *r;
	const uint8_t *data;
	size_t len;

	ASSERT_EQ(ring_new(&r), 0);
	ring_end(r);
	ASSERT_EQ(ring_get(r, &data, &len), 0);
	ring_free(r);
}

TAP_MAIN()
