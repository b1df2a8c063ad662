/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_BARS_H
#define CLI_BARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * What one pull looks like on a terminal: a line for the whole, one for each layer at work.  It
 * does no I/O and reads no clock: events in, lines out.
 */
#define BARS_SAMPLES 16 /* of the rate, BARS_SAMPLE_NS apart: the last 4 s */

enum bars_state {
	BARS_IDLE,
	BARS_WAITING,
	BARS_DOWNLOADING,
	BARS_RETRYING,
	BARS_UNPACKING,
	BARS_DONE
};

struct bars_layer {
	enum bars_state state;
	uint64_t done, total; /* bytes of the download */
	uint64_t unpacked;    /* bytes */
	char note[80];	      /* why it is tried again; may be "" */
};

struct bars {
	const char *name;	   /* borrowed */
	struct bars_layer *layers; /* owned; by number, from 1 */
	size_t n_layers, n_done;
	uint64_t total; /* bytes to download at most; 0: not known */
	bool moved;	/* something was transferred: there is something to show */
	bool stitching, ended;
	char note[80]; /* of the whole; may be "" */
	struct {
		uint64_t at_ns, bytes;
	} samples[BARS_SAMPLES]; /* a ring */
	unsigned n_samples;
};

void bars_init(struct bars *b, const char *name);
void bars_done(struct bars *b);

/* One event of a progress stream, as in the API. Strings are borrowed; "" and 0: not said. */
struct bars_event {
	const char *type, *message, *digest, *stage;
	uint64_t layer, layers, done, total;
};
/* -ENOMEM; an event that it does not know changes nothing. */
int bars_event(struct bars *b, const struct bars_event *ev, uint64_t now_ns);

struct bars_look {
	size_t width, height; /* of the terminal, in cells */
	bool utf8, colour;
};
/**
 * bars_draw() - Lines of several pulls, each ended by a newline
 * @out:	The lines are added to it
 *
 * Never wider than the terminal, never more lines than it has but one.  Return: how many.
 */
size_t bars_draw(const struct bars *const *all, size_t n, const struct bars_look *look,
		 uint64_t now_ns, struct buf *out);

#endif /* CLI_BARS_H */
