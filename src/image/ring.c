/* SPDX-License-Identifier: Apache-2.0 */
#include "image/ring.h"

#include <pthread.h>
#include <stdbool.h>

struct ring {
	/* A block belongs to the writer till ring_put(), then to the reader till ring_drop(). */
	uint8_t *blocks[RING_BLOCKS]; /* owned; NULL: not used yet */
	size_t len[RING_BLOCKS];

	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* under lock */
	uint64_t n_put, n_dropped; /* blocks so far */
	bool ended, stopped;
};

int ring_new(struct ring **ret_ring)
{
	struct ring *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	(void)pthread_mutex_init(&r->lock, NULL);
	(void)pthread_cond_init(&r->changed, NULL);
	*ret_ring = r;
	return 0;
}

void ring_free(struct ring *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < RING_BLOCKS; i++)
		free(r->blocks[i]);
	(void)pthread_cond_destroy(&r->changed);
	(void)pthread_mutex_destroy(&r->lock);
	free(r);
}

int ring_room(struct ring *r, uint8_t **ret_block)
{
	uint8_t **block;
	bool stopped;

	(void)pthread_mutex_lock(&r->lock);
	while (r->n_put - r->n_dropped == RING_BLOCKS && !r->stopped)
		(void)pthread_cond_wait(&r->changed, &r->lock);
	stopped = r->stopped;
	block = &r->blocks[r->n_put % RING_BLOCKS];
	(void)pthread_mutex_unlock(&r->lock);
	if (stopped)
		return -EPIPE;
	if (!*block)
		*block = malloc(RING_BLOCK_BYTES);
	*ret_block = *block;
	return *block ? 0 : -ENOMEM;
}

void ring_put(struct ring *r, size_t len)
{
	(void)pthread_mutex_lock(&r->lock);
	r->len[r->n_put % RING_BLOCKS] = len;
	r->n_put++;
	(void)pthread_cond_signal(&r->changed);
	(void)pthread_mutex_unlock(&r->lock);
}

void ring_end(struct ring *r)
{
	(void)pthread_mutex_lock(&r->lock);
	r->ended = true;
	(void)pthread_cond_signal(&r->changed);
	(void)pthread_mutex_unlock(&r->lock);
}

int ring_get(struct ring *r, const uint8_t **ret_block, size_t *ret_len)
{
	int ret = 1;

	(void)pthread_mutex_lock(&r->lock);
	while (r->n_put == r->n_dropped && !r->ended && !r->stopped)
		(void)pthread_cond_wait(&r->changed, &r->lock);
	if (r->stopped) {
		ret = -EPIPE;
	} else if (r->n_put == r->n_dropped) {
		ret = 0;
	} else {
		*ret_block = r->blocks[r->n_dropped % RING_BLOCKS];
		*ret_len = r->len[r->n_dropped % RING_BLOCKS];
	}
	(void)pthread_mutex_unlock(&r->lock);
	return ret;
}

void ring_drop(struct ring *r)
{
	(void)pthread_mutex_lock(&r->lock);
	r->n_dropped++;
	(void)pthread_cond_signal(&r->changed);
	(void)pthread_mutex_unlock(&r->lock);
}

void ring_stop(struct ring *r)
{
	(void)pthread_mutex_lock(&r->lock);
	r->stopped = true;
	(void)pthread_cond_signal(&r->changed);
	(void)pthread_mutex_unlock(&r->lock);
}
