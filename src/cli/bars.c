/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bars.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "cli/out.h"

#define BARS_SAMPLE_NS (250 * NS_PER_MS)
#define BARS_LAYERS    4096 /* more than any image may have */
#define BAR_CELLS      24
#define MIN_RATE_NS    (500 * NS_PER_MS) /* of a rate that is worth showing */

void bars_init(struct bars *b, const char *name)
{
	*b = (struct bars){ .name = name };
}

void bars_done(struct bars *b)
{
	free(b->layers);
	b->layers = NULL;
	b->n_layers = 0;
}

/* ---- events ------------------------------------------------------------------------------- */

static int make_layers(struct bars *b, uint64_t n)
{
	struct bars_layer *more;

	if (n <= b->n_layers || n > BARS_LAYERS)
		return 0;
	more = reallocarray(b->layers, (size_t)n, sizeof(*more));
	if (!more)
		return -ENOMEM;
	memset(more + b->n_layers, 0, (size_t)(n - b->n_layers) * sizeof(*more));
	b->layers = more;
	b->n_layers = (size_t)n;
	return 0;
}

static uint64_t downloaded(const struct bars *b)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < b->n_layers; i++)
		sum += b->layers[i].done;
	return sum;
}

static void sample(struct bars *b, uint64_t now_ns)
{
	unsigned last = (b->n_samples + BARS_SAMPLES - 1) % BARS_SAMPLES;

	if (b->n_samples > 0 && now_ns - b->samples[last].at_ns < BARS_SAMPLE_NS)
		return;
	b->samples[b->n_samples % BARS_SAMPLES].at_ns = now_ns;
	b->samples[b->n_samples % BARS_SAMPLES].bytes = downloaded(b);
	b->n_samples++;
}

static bool is(const struct bars_event *ev, const char *type)
{
	return strcmp(ev->type, type) == 0;
}

static void layer_event(struct bars *b, struct bars_layer *l, const struct bars_event *ev)
{
	l->note[0] = '\0';
	if (is(ev, "layer_waiting")) {
		l->state = BARS_WAITING;
	} else if (is(ev, "layer_retry")) {
		l->state = BARS_RETRYING;
		(void)snprintf(l->note, sizeof(l->note), "%s", ev->message);
	} else if (is(ev, "layer_download_progress")) {
		l->state = BARS_DOWNLOADING;
		l->done = ev->done;
		l->total = ev->total ? ev->total : l->total;
	} else if (is(ev, "layer_download_complete")) {
		l->state = BARS_UNPACKING;
		l->total = ev->total ? ev->total : l->total;
		l->done = l->total;
	} else if (is(ev, "layer_materialize_progress")) {
		l->unpacked = ev->done;
	} else if (is(ev, "layer_materialize_complete")) {
		b->n_done += l->state != BARS_DONE;
		l->state = BARS_DONE;
		l->done = l->total;
	}
}

int bars_event(struct bars *b, const struct bars_event *ev, uint64_t now_ns)
{
	if (make_layers(b, ev->layers) < 0)
		return -ENOMEM;
	if (is(ev, "resolved")) {
		b->total = ev->total;
		b->note[0] = '\0';
	} else if (is(ev, "resolving")) {
		b->moved |= *ev->message != '\0';
		(void)snprintf(b->note, sizeof(b->note), "%s", ev->message);
	} else if (is(ev, "stitch_writing")) {
		b->stitching = true;
	} else if (is(ev, "complete")) {
		b->ended = true;
	} else if (ev->layer >= 1 && ev->layer <= b->n_layers) {
		b->moved = true;
		layer_event(b, &b->layers[ev->layer - 1], ev);
		sample(b, now_ns);
	}
	return 0;
}

/* ---- lines -------------------------------------------------------------------------------- */

/* Bytes of a line that fit into @width cells; one character is one cell. */
static size_t fitting(const char *line, size_t width)
{
	size_t cells = 0, i = 0;

	for (; line[i]; i++) {
		if (((unsigned char)line[i] & 0xc0) != 0x80 && cells++ == width)
			break;
	}
	return i;
}

static void add_line(struct buf *out, const char *line, const struct bars_look *look)
{
	/* A line that is drawn cut is better than none: memory for it is all that can fail. */
	IGNORE_RESULT(buf_add(out, line, fitting(line, look->width)) < 0);
	IGNORE_RESULT(buf_add(out, "\n", 1) < 0);
}

static void put_bar(char *out, size_t size, uint64_t done, uint64_t total, bool utf8)
{
	size_t full =
		total ? (size_t)((double)(done < total ? done : total) / (double)total * BAR_CELLS)
		      : 0;
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; i < BAR_CELLS && len + 4 < size; i++)
		len += (size_t)snprintf(out + len, size - len, "%s",
					i < full ? utf8 ? "━" : "#"
					: utf8	 ? "─"
						 : "-");
}

/* "38.2/62.9 MiB", or "38.2 MiB" of what has no known end. */
static void put_amount(char *out, size_t size, uint64_t done, uint64_t total)
{
	char a[32], b[32];
	const char *unit;

	out_size(done, a, sizeof(a));
	if (!total) {
		(void)snprintf(out, size, "%s", a);
		return;
	}
	out_size(total, b, sizeof(b));
	unit = strchr(b, ' ');
	if (unit && strchr(a, ' ') && strcmp(unit, strchr(a, ' ')) == 0)
		*strchr(a, ' ') = '\0';
	(void)snprintf(out, size, "%s/%s", a, b);
}

/* Bytes a second over the last samples; 0: not known. */
static uint64_t rate(const struct bars *b, uint64_t now_ns)
{
	unsigned first = b->n_samples > BARS_SAMPLES ? b->n_samples % BARS_SAMPLES : 0;
	uint64_t span, bytes = downloaded(b);

	if (b->n_samples == 0)
		return 0;
	span = now_ns - b->samples[first].at_ns;
	if (span < MIN_RATE_NS || bytes <= b->samples[first].bytes)
		return 0;
	return (uint64_t)((double)(bytes - b->samples[first].bytes) * (double)NS_PER_S /
			  (double)span);
}

static void put_seconds(char *out, size_t size, uint64_t s)
{
	if (s < 60)
		(void)snprintf(out, size, "%us left", (unsigned)s);
	else if (s < 3600)
		(void)snprintf(out, size, "%um%us left", (unsigned)(s / 60), (unsigned)(s % 60));
	else
		(void)snprintf(out, size, "%uh%um left", (unsigned)(s / 3600 % 1000),
			       (unsigned)(s % 3600 / 60));
}

static void draw_whole(const struct bars *b, const struct bars_look *look, uint64_t now_ns,
		       struct buf *out)
{
	uint64_t done = downloaded(b), per_s = rate(b, now_ns);
	char line[512], amount[80], speed[40], left[40];
	size_t len;

	len = (size_t)snprintf(line, 300, "%.256s", b->name);
	len = len < 299 ? len : 299;
	if (b->note[0] || b->n_layers == 0) {
		(void)snprintf(line + len, sizeof(line) - len, "  %s",
			       b->note[0] ? b->note : "asking the registry");
		add_line(out, line, look);
		return;
	}
	put_amount(amount, sizeof(amount), done, b->total);
	len += (size_t)snprintf(line + len, sizeof(line) - len, " %zu/%zu layers", b->n_done,
				b->n_layers);
	if (b->total)
		len += (size_t)snprintf(line + len, sizeof(line) - len, "  %3u%%",
					(unsigned)((double)(done < b->total ? done : b->total) *
						   100 / (double)b->total));
	len += (size_t)snprintf(line + len, sizeof(line) - len, "  %s", amount);
	if (b->stitching) {
		(void)snprintf(line + len, sizeof(line) - len, "  joining layers");
	} else if (per_s && done < b->total) {
		out_size(per_s, speed, sizeof(speed));
		put_seconds(left, sizeof(left), (b->total - done + per_s - 1) / per_s);
		(void)snprintf(line + len, sizeof(line) - len, "  %s/s  %s", speed, left);
	}
	add_line(out, line, look);
}

static void draw_layer(const struct bars_layer *l, size_t number, const struct bars_look *look,
		       struct buf *out)
{
	char line[512], bar[BAR_CELLS * 4 + 1], amount[80];
	const char *on = look->colour ? "\033[36m" : "", *off = look->colour ? "\033[0m" : "";
	struct bars_look wide = *look;

	switch (l->state) {
	case BARS_WAITING:
		(void)snprintf(line, sizeof(line),
			       "  layer %-3zu another pull has it; waiting for that", number);
		break;
	case BARS_RETRYING:
		(void)snprintf(line, sizeof(line), "  layer %-3zu trying again: %s", number,
			       l->note);
		break;
	case BARS_UNPACKING:
		out_size(l->unpacked, amount, sizeof(amount));
		(void)snprintf(line, sizeof(line), "  layer %-3zu unpacking  %s", number,
			       l->unpacked ? amount : "");
		break;
	case BARS_IDLE:
	case BARS_DOWNLOADING:
	case BARS_DONE:
		put_bar(bar, sizeof(bar), l->done, l->total, look->utf8);
		put_amount(amount, sizeof(amount), l->done, l->total);
		if (look->width < BAR_CELLS + 40) { /* no room for a bar: no escape to be cut */
			(void)snprintf(line, sizeof(line), "  layer %-3zu %s", number, amount);
			break;
		}
		(void)snprintf(line, sizeof(line), "  layer %-3zu %s%s%s  %s", number, on, bar, off,
			       amount);
		wide.width += strlen(on) + strlen(off); /* they take no cells */
		break;
	}
	add_line(out, line, &wide);
}

static bool at_work(const struct bars_layer *l)
{
	return l->state != BARS_IDLE && l->state != BARS_DONE;
}

size_t bars_draw(const struct bars *const *all, size_t n, const struct bars_look *look,
		 uint64_t now_ns, struct buf *out)
{
	size_t room = look->height > 1 ? look->height - 1 : 1, n_lines = 0, wholes = 0;

	for (size_t i = 0; i < n; i++)
		wholes += !all[i]->ended && all[i]->moved;
	for (size_t i = 0; i < n && n_lines < room; i++) {
		const struct bars *b = all[i];

		if (b->ended || !b->moved)
			continue;
		draw_whole(b, look, now_ns, out);
		n_lines++;
		wholes--;
		/* Layers get what the lines of the other pulls leave. */
		for (size_t k = 0; k < b->n_layers && n_lines + wholes < room; k++) {
			if (!at_work(&b->layers[k]))
				continue;
			draw_layer(&b->layers[k], k + 1, look, out);
			n_lines++;
		}
	}
	return n_lines;
}
