/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: the log queue
 *
 * Two buffers: one is filled, one is written, and they are swapped when the thread has time.  An entry
 * is a record in its written form, with the number of its log as mark and boot.  Once an entry was
 * dropped, all of its log are until the swap, so what is missing is missing in one place.  The thread
 * sleeps while there is nothing to write.
 */
#include "sandbox/log_queue.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "logs/writer.h"

static const char *const names[] = { [LOG_OUT] = "out", [LOG_CONSOLE] = "kernel" };
static const struct log_bounds bounds[] = {
	[LOG_OUT] = { .file_max = 10u << 20, .n_files = 4 },
	[LOG_CONSOLE] = { .file_max = 1u << 20, .n_files = 4, .keep_first = true },
};
static_assert(sizeof(names) / sizeof(names[0]) == LOG_NAME_MAX, "names of logs");

struct log_queue {
	int dir; /* borrowed */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* broadcast: fill, ending or busy */
	/* under lock */
	struct buf fill;
	uint64_t dropped[LOG_NAME_MAX]; /* bytes behind what is in fill */
	bool ending, busy;		/* busy: an entry is being written */
	/* writing thread only */
	struct buf writing;
	struct log_writer writers[LOG_NAME_MAX];
	uint64_t lost[LOG_NAME_MAX]; /* bytes that no record tells of yet */
};

void log_queue_put(struct log_queue *q, enum log_name log, const struct log_record *r)
{
	uint8_t header[LOG_RECORD_HEADER];
	struct log_record entry = *r;

	entry.boot = log;
	log_record_header(&entry, log, header);
	(void)pthread_mutex_lock(&q->lock);
	if (q->dropped[log] > 0 || LOG_QUEUE_BYTES - q->fill.len < sizeof(header) + r->len ||
	    buf_add(&q->fill, header, sizeof(header)) < 0)
		q->dropped[log] += r->len;
	else if (buf_add(&q->fill, r->data, r->len) < 0) {
		q->fill.len -= sizeof(header); /* no memory: the entry is taken back */
		q->dropped[log] += r->len;
	}
	(void)pthread_cond_broadcast(&q->changed);
	(void)pthread_mutex_unlock(&q->lock);
}

/* Tell what is missing in front of what comes next. */
static void write_lost(struct log_queue *q, enum log_name log)
{
	struct log_record lost = { .stream = LOG_LOST,
				   .at_ns = clock_wall_ns(),
				   .offset = q->lost[log] };

	if (q->lost[log] > 0 && log_writer_add(&q->writers[log], &lost) == 0)
		q->lost[log] = 0;
}

static void write_entries(struct log_queue *q)
{
	const uint8_t *at = q->writing.data;
	size_t left = q->writing.len;

	while (left > 0) {
		enum log_name log = LOG_OUT;
		struct log_record r;
		int64_t n = log_record_parse(at, left, LOG_OUT, &r);

		if (n < 0) {
			log = LOG_CONSOLE;
			n = log_record_parse(at, left, LOG_CONSOLE, &r);
		}
		assert(n > 0);
		write_lost(q, log);
		if (q->lost[log] > 0 || log_writer_add(&q->writers[log], &r) < 0)
			q->lost[log] += r.len;
		at += n;
		left -= (size_t)n;
	}
	buf_clear(&q->writing);
}

static void *write_all(void *arg)
{
	struct log_queue *q = arg;
	bool ending = false;

	(void)pthread_setname_np(pthread_self(), "log");
	while (!ending) {
		uint64_t dropped[LOG_NAME_MAX] = { 0 };
		struct buf full;

		(void)pthread_mutex_lock(&q->lock);
		q->busy = false;
		(void)pthread_cond_broadcast(&q->changed);
		while (q->fill.len == 0 && !q->ending)
			(void)pthread_cond_wait(&q->changed, &q->lock);
		full = q->fill;
		q->fill = q->writing;
		q->writing = full;
		ending = q->ending;
		q->busy = true;
		for (int i = 0; i < LOG_NAME_MAX; i++) {
			dropped[i] = q->dropped[i];
			q->dropped[i] = 0;
		}
		(void)pthread_mutex_unlock(&q->lock);
		write_entries(q);
		for (enum log_name i = 0; i < LOG_NAME_MAX; i++) {
			q->lost[i] += dropped[i];
			write_lost(q, i);
		}
	}
	return NULL;
}

void log_queue_flush(struct log_queue *q)
{
	(void)pthread_mutex_lock(&q->lock);
	while (q->fill.len > 0 || q->busy)
		(void)pthread_cond_wait(&q->changed, &q->lock);
	(void)pthread_mutex_unlock(&q->lock);
}

static void free_parts(struct log_queue *q)
{
	for (int i = 0; i < LOG_NAME_MAX; i++)
		log_writer_close(&q->writers[i]);
	buf_done(&q->fill);
	buf_done(&q->writing);
	(void)pthread_cond_destroy(&q->changed);
	(void)pthread_mutex_destroy(&q->lock);
	free(q);
}

int log_queue_new(int dir, struct log_queue **ret_queue)
{
	struct log_queue *q = calloc(1, sizeof(*q));
	sigset_t all, old;
	int r = 0;

	if (!q)
		return -ENOMEM;
	(void)pthread_mutex_init(&q->lock, NULL);
	(void)pthread_cond_init(&q->changed, NULL);
	buf_init(&q->fill, LOG_QUEUE_BYTES);
	buf_init(&q->writing, LOG_QUEUE_BYTES);
	for (int i = 0; i < LOG_NAME_MAX; i++)
		q->writers[i].fd = -1;
	for (int i = 0; r == 0 && i < LOG_NAME_MAX; i++)
		r = log_writer_open(&q->writers[i], dir, names[i], &bounds[i]);
	if (r == 0) {
		(void)sigfillset(&all);
		(void)pthread_sigmask(SIG_SETMASK, &all, &old);
		r = -pthread_create(&q->thread, NULL, write_all, q);
		(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	if (r < 0) {
		free_parts(q);
		return r;
	}
	*ret_queue = q;
	return 0;
}

void log_queue_free(struct log_queue *q)
{
	if (!q)
		return;
	(void)pthread_mutex_lock(&q->lock);
	q->ending = true;
	(void)pthread_cond_broadcast(&q->changed);
	(void)pthread_mutex_unlock(&q->lock);
	(void)pthread_join(q->thread, NULL);
	free_parts(q);
}
