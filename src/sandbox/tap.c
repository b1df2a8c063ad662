/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/tap.h"

#include <endian.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/iov.h"
#include "proto/agent.h"
#include "proto/frame.h"
#include "sandbox/log_queue.h"

#define SESSIONS  2048 /* remembered; the agent has at most 1024 live ones */
#define SMALL_MAX 1024 /* bytes of a STARTED or GAP message */

/* How much of a session is in the log. */
struct logged {
	uint64_t session;
	uint64_t up_to[2]; /* offsets: stdout or tty, stderr */
};

struct taps {
	struct log_queue *queue; /* borrowed */
	enum launch_capture capture;
	void (*left)(void *user, const struct tap_left *left); /* NULL: nobody asks */
	void *user;					       /* borrowed */
	struct logged sessions[SESSIONS]; /* by session % SESSIONS: numbers count up */
	uint8_t chunk[LOG_DATA_MAX];	  /* scratch */
};

struct tap {
	struct vsock_tap base;
	struct taps *taps; /* borrowed */
	bool dead;	   /* it broke the protocol, or nothing of it belongs into the log */
	bool started, exited;
	bool quiet;		 /* its end is told to nobody */
	uint64_t session, at[2]; /* offset of the next byte */
	uint8_t header[FRAME_HEADER];
	size_t header_len;
	uint16_t type;
	uint32_t left; /* bytes of the payload to come */
	uint8_t small[SMALL_MAX];
	size_t small_len;
};

int taps_new(struct log_queue *queue, enum launch_capture capture, struct taps **ret_taps)
{
	struct taps *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->queue = queue;
	t->capture = capture;
	*ret_taps = t;
	return 0;
}

void taps_free(struct taps *taps)
{
	free(taps);
}

/* What is known of a session; NULL: a newer one took its place. */
static struct logged *logged_of(struct taps *taps, uint64_t session)
{
	struct logged *l = &taps->sessions[session % SESSIONS];

	if (l->session > session)
		return NULL;
	if (l->session < session)
		*l = (struct logged){ .session = session };
	return l;
}

static void output(struct tap *t, const uint8_t *data, size_t len)
{
	int channel = t->type == FRAME_STDERR;
	uint64_t offset = t->at[channel];
	struct logged *l = logged_of(t->taps, t->session);
	size_t skip = 0;
	struct log_record r = {
		.stream = t->type == FRAME_TTY	    ? LOG_TTY
			  : t->type == FRAME_STDERR ? LOG_STDERR
						    : LOG_STDOUT,
		.session = t->session,
	};

	t->at[channel] += len;
	if (!l || l->up_to[channel] >= offset + len)
		return;
	if (l->up_to[channel] > offset)
		skip = (size_t)(l->up_to[channel] - offset);
	l->up_to[channel] = offset + len;
	r.at_ns = clock_wall_ns();
	r.offset = offset + skip;
	r.data = data + skip;
	r.len = len - skip;
	log_queue_put(t->taps->queue, LOG_OUT, &r);
}

static bool is_output(uint16_t type)
{
	return type == FRAME_STDOUT || type == FRAME_STDERR || type == FRAME_TTY;
}

static bool is_small(uint16_t type)
{
	return type == FRAME_STARTED || type == FRAME_GAP;
}

static void take_small(struct tap *t)
{
	struct exec_started started = { 0 };
	struct output_gap gap = { 0 };

	if (t->type == FRAME_STARTED) {
		t->dead = t->started || exec_started_decode(t->small, t->small_len, &started) < 0 ||
			  started.session == 0 || started.out_from > INT64_MAX ||
			  started.err_from > INT64_MAX || started.no_log ||
			  (t->taps->capture == CAPTURE_MAIN && !started.main);
		t->started = true;
		t->session = started.session;
		t->at[0] = started.out_from;
		t->at[1] = started.err_from;
	} else if (output_gap_decode(t->small, t->small_len, &gap) < 0 || gap.bytes > INT64_MAX) {
		t->dead = true;
	} else {
		t->at[gap.type == FRAME_STDERR] += gap.bytes;
	}
	t->small_len = 0;
}

static void take_header(struct tap *t)
{
	uint16_t type;
	uint32_t len;

	memcpy(&type, t->header, sizeof(type));
	memcpy(&len, t->header + 4, sizeof(len));
	t->type = le16toh(type);
	t->left = le32toh(len);
	t->exited |= t->type == FRAME_EXITED || t->type == FRAME_FAILED;
	t->dead = t->left > FRAME_MAX_PAYLOAD || (is_small(t->type) && t->left > SMALL_MAX) ||
		  (!t->started && t->type != FRAME_HELLO && t->type != FRAME_STARTED);
	if (t->left == 0)
		t->header_len = 0;
}

/* Bytes of the payload. */
static void take_payload(struct tap *t, const uint8_t *data, size_t len)
{
	t->left -= (uint32_t)len;
	if (is_output(t->type)) {
		output(t, data, len);
	} else if (is_small(t->type)) {
		memcpy(t->small + t->small_len, data, len);
		t->small_len += len;
		if (t->left == 0)
			take_small(t);
	}
	if (t->left == 0)
		t->header_len = 0;
}

void tap_feed(struct vsock_tap *tap, const void *data, size_t len)
{
	struct tap *t = (struct tap *)tap;
	const uint8_t *p = data;

	while (len > 0 && !t->dead) {
		bool head = t->header_len < FRAME_HEADER;
		size_t want = head ? FRAME_HEADER - t->header_len : t->left;
		size_t n = len < want ? len : want;

		if (head) {
			memcpy(t->header + t->header_len, p, n);
			t->header_len += n;
			if (t->header_len == FRAME_HEADER)
				take_header(t);
		} else {
			take_payload(t, p, n > LOG_DATA_MAX ? (n = LOG_DATA_MAX) : n);
		}
		p += n;
		len -= n;
	}
}

static void tap_data(struct vsock_tap *base, const struct iovec *iov, size_t n, size_t len)
{
	struct tap *t = (struct tap *)base;

	for (size_t done = 0; done < len && !t->dead;) {
		size_t got = iov_copy_out(iov, n, done, t->taps->chunk, sizeof(t->taps->chunk));

		if (got == 0)
			return;
		tap_feed(base, t->taps->chunk, got);
		done += got;
	}
}

static void tap_end(struct vsock_tap *base)
{
	struct tap *t = (struct tap *)base;
	struct tap_left left = { t->session, { t->at[0], t->at[1] } };

	if (t->started && !t->exited && !t->dead && !t->quiet && t->taps->left)
		t->taps->left(t->taps->user, &left);
	free(t);
}

struct vsock_tap *tap_new(struct taps *taps)
{
	struct tap *t = taps && taps->capture != CAPTURE_NONE ? calloc(1, sizeof(*t)) : NULL;

	if (!t)
		return NULL;
	t->base = (struct vsock_tap){ .data = tap_data, .end = tap_end };
	t->taps = taps;
	return &t->base;
}

struct vsock_tap *tap_again(struct taps *taps)
{
	struct vsock_tap *t = tap_new(taps);

	if (t)
		((struct tap *)t)->quiet = true;
	return t;
}

void taps_on_left(struct taps *taps, void (*left)(void *user, const struct tap_left *left),
		  void *user)
{
	taps->left = left;
	taps->user = user;
}
