/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/log_lines.h"

#include <stdio.h>
#include <string.h>

/* Bytes of the escape sequence at @text (ESC included); *colour: it sets colours (ECMA-48 SGR). */
static size_t sequence(const char *text, size_t len, bool *colour)
{
	size_t i = 2;

	*colour = false;
	if (len < 2)
		return len;
	if (text[1] == ']') { /* OSC: to BEL or ESC \ */
		while (i < len && text[i] != '\a' && text[i] != '\033')
			i++;
		if (i < len)
			i += text[i] == '\a' || i + 1 == len ? 1 : 2;
		return i;
	}
	if (text[1] != '[')
		return 2;
	while (i < len && (text[i] < 0x40 || text[i] > 0x7e))
		i++;
	if (i == len)
		return len;
	*colour = text[i] == 'm';
	return i + 1;
}

size_t log_line_clean(char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len;) {
		bool colour = false;
		size_t part = text[i] == '\033' ? sequence(text + i, len - i, &colour) : 1;
		unsigned char c = (unsigned char)text[i];

		if (colour || (part == 1 && (c == '\t' || (c >= ' ' && c != 0x7f)))) {
			memmove(text + n, text + i, part);
			n += part;
		}
		i += part;
	}
	return n;
}

static void give(struct log_lines *l, struct open_line *line)
{
	char *text = buf_cstr(&line->text);
	size_t len = line->text.len;

	if (!text)
		return;
	if (l->plain)
		len = log_line_clean(text, len);
	else if (len > 0 && text[len - 1] == '\r')
		len--;
	text[len] = '\0';
	if (!l->grep || regexec(l->grep, text, 0, NULL, 0) == 0)
		l->line(l->user, line, text, len);
	buf_clear(&line->text);
}

static void forget(struct log_lines *l, size_t i)
{
	buf_done(&l->open[i].text);
	l->n_open--;
	memmove(&l->open[i], &l->open[i + 1], (l->n_open - i) * sizeof(l->open[0]));
}

static struct open_line *line_of(struct log_lines *l, const struct log_key *key)
{
	struct open_line *o;

	for (size_t i = 0; i < l->n_open; i++) {
		o = &l->open[i];
		if (o->boot == key->boot && o->session == key->session &&
		    strncmp(o->source, key->source, sizeof(o->source) - 1) == 0)
			return o;
	}
	if (l->n_open == LOG_LINES_OPEN) {
		give(l, &l->open[0]);
		forget(l, 0);
	}
	o = &l->open[l->n_open++];
	*o = (struct open_line){ .boot = key->boot, .session = key->session };
	(void)snprintf(o->source, sizeof(o->source), "%s", key->source);
	buf_init(&o->text, LOG_LINE_MAX + 1);
	return o;
}

int log_lines_add(struct log_lines *l, const struct log_key *key, uint64_t at_ns, const void *data,
		  size_t len)
{
	struct open_line *o = line_of(l, key);
	const char *p = data;

	while (len > 0) {
		const char *end = memchr(p, '\n', len);
		size_t n = end ? (size_t)(end - p) : len;
		size_t room = LOG_LINE_MAX - o->text.len;
		int r;

		if (n > room) {
			n = room;
			end = NULL;
		}
		if (o->text.len == 0)
			o->at_ns = at_ns;
		r = buf_add(&o->text, p, n);
		if (r < 0)
			return r;
		if (end || o->text.len == LOG_LINE_MAX)
			give(l, o);
		p += n + (end != NULL);
		len -= n + (end != NULL);
	}
	if (o->text.len == 0)
		forget(l, (size_t)(o - l->open));
	return 0;
}

void log_lines_end(struct log_lines *l)
{
	while (l->n_open > 0) {
		if (l->open[0].text.len > 0)
			give(l, &l->open[0]);
		forget(l, 0);
	}
}
