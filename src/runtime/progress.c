/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: progress
 *
 * Changes of state stand in `queue` until they are read.  Amounts stand in `amounts`, one for each
 * kind and layer, which also keep when the next may be told.  The descriptor is a timerfd that is set to
 * the moment at which there is something to read; who looks takes nothing from it.
 */
#include "runtime/progress.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "json/json.h"
#include "runtime/internal.h"

#define AMOUNT_GAP_NS (100 * NS_PER_MS) /* between two amounts of a kind and layer */
#define JSON_MAX      4096		/* bytes of one event */

struct item {
	struct item *next;					   /* owned */
	const char *type;					   /* static */
	char reference[512], digest[144], stage[24], message[160]; /* "": not known */
	unsigned layer, layers;
	uint64_t done, total;
	/* an amount */
	bool unread;
	uint64_t due_ns; /* when it may be told, CLOCK_MONOTONIC */
};

struct progress {
	int fd; /* owned */
	pthread_mutex_t lock;
	/* under lock */
	struct item *queue, *amounts; /* owned */
	bool begun, ended, told;
	int end_number;
	char end_message[ERR_MSG_MAX];
	/* reading thread only */
	struct buf json; /* of the last event */
};

int progress_new(struct progress **ret_progress, struct err *err)
{
	struct progress *p = calloc(1, sizeof(*p));

	if (!p)
		return err_no_memory(err);
	p->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (p->fd < 0) {
		free(p);
		return err_sys(err, errno, "make a stream");
	}
	(void)pthread_mutex_init(&p->lock, NULL);
	buf_init(&p->json, JSON_MAX);
	*ret_progress = p;
	return 0;
}

static void free_items(struct item *i)
{
	while (i) {
		struct item *next = i->next;

		free(i);
		i = next;
	}
}

void progress_close(struct progress *p)
{
	if (!p)
		return;
	free_items(p->queue);
	free_items(p->amounts);
	buf_done(&p->json);
	(void)close(p->fd);
	(void)pthread_mutex_destroy(&p->lock);
	free(p);
}

/* Set the descriptor to the moment of the next event; under lock. */
static void arm(struct progress *p)
{
	uint64_t at = UINT64_MAX;
	struct itimerspec when = { 0 };

	for (const struct item *i = p->amounts; i; i = i->next)
		if (i->unread && i->due_ns < at)
			at = i->due_ns;
	if (at == 0 || p->queue || (p->ended && !p->told))
		at = 1; /* long ago; 0 would mean never */
	if (at != UINT64_MAX) {
		when.it_value.tv_sec = (time_t)(at / NS_PER_S);
		when.it_value.tv_nsec = (long)(at % NS_PER_S);
	}
	(void)timerfd_settime(p->fd, TFD_TIMER_ABSTIME, &when, NULL);
}

int progress_begin(struct progress *p, struct err *err)
{
	bool used;

	if (!p)
		return 0;
	(void)pthread_mutex_lock(&p->lock);
	used = p->begun;
	p->begun = true;
	(void)pthread_mutex_unlock(&p->lock);
	return used ? err_set(err, ERR_INVALID, "a progress stream serves one call only") : 0;
}

static struct item **find(struct item **list, const struct progress_event *ev)
{
	const char *stage = ev->stage ? ev->stage : "";

	while (*list && ((*list)->layer != ev->layer || strcmp((*list)->type, ev->type) != 0 ||
			 strcmp((*list)->stage, stage) != 0))
		list = &(*list)->next;
	return list;
}

static void copy_text(char *out, size_t size, const char *text)
{
	(void)snprintf(out, size, "%s", text ? text : "");
}

static void fill(struct item *i, const struct progress_event *ev)
{
	i->type = ev->type;
	copy_text(i->reference, sizeof(i->reference), ev->reference);
	copy_text(i->digest, sizeof(i->digest), ev->digest);
	copy_text(i->stage, sizeof(i->stage), ev->stage);
	copy_text(i->message, sizeof(i->message), ev->message);
	i->layer = ev->layer;
	i->layers = ev->layers;
	i->done = ev->done;
	i->total = ev->total;
}

/* The item to fill: that of the same kind and layer, or a new one at the end. NULL: no memory. */
static struct item *item_for(struct item **list, const struct progress_event *ev, bool move)
{
	struct item **at = find(list, ev), *i = *at;

	if (i && move) { /* what is newer stands behind what came before it */
		*at = i->next;
		i->next = NULL;
		while (*at)
			at = &(*at)->next;
		*at = i;
	} else if (!i) {
		*at = i = calloc(1, sizeof(*i));
	}
	return i;
}

void progress_put(struct progress *p, const struct progress_event *ev)
{
	struct item *i;

	if (!p)
		return;
	(void)pthread_mutex_lock(&p->lock);
	i = item_for(ev->amount ? &p->amounts : &p->queue, ev, !ev->amount);
	if (!i) {
		p->end_number = ERR_NR_NO_MEMORY;
		copy_text(p->end_message, sizeof(p->end_message), "no memory for an event");
	} else {
		fill(i, ev);
		i->unread = true;
	}
	for (struct item *a = p->amounts; !ev->amount && a; a = a->next)
		if (a->layer == ev->layer)
			a->unread = false;
	arm(p);
	(void)pthread_mutex_unlock(&p->lock);
}

void progress_end(struct progress *p, int number, const char *message)
{
	if (!p)
		return;
	(void)pthread_mutex_lock(&p->lock);
	for (struct item *a = p->amounts; a; a = a->next)
		a->unread = false;
	p->ended = true;
	if (number) {
		p->end_number = number;
		copy_text(p->end_message, sizeof(p->end_message), message);
	}
	arm(p);
	(void)pthread_mutex_unlock(&p->lock);
}

int progress_fd(const struct progress *p)
{
	return p->fd;
}

static void put_text(struct json_out *o, const char *key, const char *text)
{
	if (*text)
		json_put_str(o, key, text);
}

static int tell_item(struct progress *p, const struct item *i, struct stream_event *ev,
		     struct err *err)
{
	struct json_out o;

	buf_clear(&p->json);
	json_out_init(&o, &p->json);
	json_put_object(&o, NULL);
	json_put_str(&o, "type", i->type);
	put_text(&o, "reference", i->reference);
	put_text(&o, "digest", i->digest);
	put_text(&o, "stage", i->stage);
	if (i->layer)
		json_put_u64(&o, "layer", i->layer);
	if (i->layers)
		json_put_u64(&o, "layers", i->layers);
	if (i->done || i->total)
		json_put_u64(&o, "done", i->done);
	if (i->total)
		json_put_u64(&o, "total", i->total);
	put_text(&o, "message", i->message);
	json_put_end(&o);
	*ev = (struct stream_event){ .type = STREAM_PROGRESS };
	ev->json = json_out_end(&o) == 0 ? buf_cstr(&p->json) : NULL;
	return ev->json ? 1 : err_no_memory(err);
}

static int tell_end(struct progress *p, struct stream_event *ev, struct err *err)
{
	struct json_out o;

	*ev = (struct stream_event){ .type = STREAM_END, .number = p->end_number };
	if (!p->end_number)
		return 1;
	buf_clear(&p->json);
	json_out_init(&o, &p->json);
	json_put_object(&o, NULL);
	json_put_str(&o, "message", p->end_message);
	json_put_end(&o);
	ev->json = json_out_end(&o) == 0 ? buf_cstr(&p->json) : NULL;
	return ev->json ? 1 : err_no_memory(err);
}

/* An amount that may be told now; under lock. */
static struct item *due_amount(struct progress *p, uint64_t now)
{
	struct item *first = NULL;

	for (struct item *a = p->amounts; a; a = a->next)
		if (a->unread && a->due_ns <= now && (!first || a->due_ns < first->due_ns))
			first = a;
	if (first) {
		first->unread = false;
		first->due_ns = now + AMOUNT_GAP_NS;
	}
	return first;
}

int progress_next(struct progress *p, struct stream_event *ret_ev, struct err *err)
{
	struct stream_event ev = { 0 };
	struct item *i;
	int r = 0;

	(void)pthread_mutex_lock(&p->lock);
	if (p->queue) {
		i = p->queue;
		p->queue = i->next;
		r = tell_item(p, i, &ev, err);
		free(i);
	} else if ((i = due_amount(p, clock_now_ns()))) {
		r = tell_item(p, i, &ev, err);
	} else if (p->ended && !p->told) {
		p->told = true;
		r = tell_end(p, &ev, err);
	}
	arm(p);
	(void)pthread_mutex_unlock(&p->lock);
	if (r == 1)
		*ret_ev = ev;
	return r;
}

static bool is_over(struct progress *p)
{
	bool over;

	(void)pthread_mutex_lock(&p->lock);
	over = p->told;
	(void)pthread_mutex_unlock(&p->lock);
	return over;
}

int progress_wait(struct progress *p, int64_t timeout_ms, struct cancel *cancel,
		  struct stream_event *ret_ev, struct err *err)
{
	uint64_t start = clock_now_ns();

	for (;;) {
		struct pollfd fd = { .fd = p->fd, .events = POLLIN };
		int r = progress_next(p, ret_ev, err);

		if (r != 0 || is_over(p))
			return r;
		r = cancel_poll(cancel, &fd, 1, left_ms(start, timeout_ms), err);
		if (r <= 0)
			return r;
	}
}
