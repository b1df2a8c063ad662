/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/out.h"

#include <errno.h>
#include <langinfo.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/defer.h"
#include "cli/command.h"

#define OUT_GAP		4 /* spaces between columns */
#define OUT_MAX_COLUMNS 16

bool out_utf8(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

/* What a person can do about it, as a command that can be pasted; NULL: nothing to say. */
static const char *hint_of(const struct msb_error *err)
{
	switch (err->code) {
	case MSB_E_IMAGE_NOT_FOUND:
		return err->reason[0]
			       ? NULL /* a registry said so */
			       : "see what is there: msb image ls; bring one in: msb pull REFERENCE";
	case MSB_E_NO_DEFAULT_COMMAND:
		return "put a command behind --: msb run IMAGE -- CMD";
	case MSB_E_NO_MEMORY:
		return "ask for less: -m 256M";
	default:
		return NULL;
	}
}

void out_error(const struct msb_error *err)
{
	const char *arrow = out_utf8() ? "→" : "->", *line = err->message, *hint = hint_of(err);
	bool first = true;

	/* The first line is the sentence; the others are hints and console lines. */
	while (*line) {
		int len = (int)strcspn(line, "\n");

		if (first)
			(void)fprintf(stderr, "error: %.*s\n", len, line);
		else
			(void)fprintf(stderr, "  %s %.*s\n", arrow, len, line);
		first = false;
		line += len + (line[len] == '\n');
	}
	if (hint)
		(void)fprintf(stderr, "  %s %s\n", arrow, hint);
}

void out_action(const char *verb, const char *target)
{
	(void)fprintf(stderr, "   %s %-12s %s\n", out_utf8() ? "✓" : "ok", verb, target);
}

void out_remark(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)fputs("! ", stderr);
	(void)vfprintf(stderr, fmt, ap);
	(void)fputc('\n', stderr);
	va_end(ap);
}

struct out_table {
	size_t n_columns, n_rows;
	char **cells; /* owned, n_rows * n_columns; row 0 is the header */
};

static int add_row(struct out_table *t, const char *const *cells)
{
	char **more = reallocarray(t->cells, (t->n_rows + 1) * t->n_columns, sizeof(*more));

	if (!more)
		return -ENOMEM;
	t->cells = more;
	for (size_t i = 0; i < t->n_columns; i++) {
		char *copy = strdup(cells[i]);

		if (!copy) {
			while (i-- > 0)
				free(t->cells[t->n_rows * t->n_columns + i]);
			return -ENOMEM;
		}
		t->cells[t->n_rows * t->n_columns + i] = copy;
	}
	t->n_rows++;
	return 0;
}

struct out_table *out_table_new(size_t n_columns, const char *const *header)
{
	struct out_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->n_columns = n_columns;
	if (add_row(t, header) < 0) {
		out_table_free(t);
		return NULL;
	}
	return t;
}

int out_table_row(struct out_table *t, const char *const *cells)
{
	return add_row(t, cells);
}

static size_t width_of(const char *cell)
{
	size_t n = 0;

	for (; *cell; cell++)
		n += ((unsigned char)*cell & 0xc0) != 0x80;
	return n;
}

void out_table_print(struct out_table *t, bool with_header)
{
	size_t widths[OUT_MAX_COLUMNS] = { 0 };

	for (size_t row = with_header ? 0 : 1; row < t->n_rows; row++)
		for (size_t i = 0; i < t->n_columns; i++) {
			size_t w = width_of(t->cells[row * t->n_columns + i]);

			if (w > widths[i])
				widths[i] = w;
		}
	for (size_t row = with_header ? 0 : 1; row < t->n_rows; row++) {
		for (size_t i = 0; i < t->n_columns; i++) {
			const char *cell = t->cells[row * t->n_columns + i];
			bool last = i + 1 == t->n_columns;

			printf("%s%*s", cell,
			       last ? 0 : (int)(widths[i] - width_of(cell) + OUT_GAP), "");
		}
		printf("\n");
	}
}

void out_table_free(struct out_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_rows * t->n_columns; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
}

void out_size(uint64_t bytes, char *buf, size_t size)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double v = (double)bytes;
	size_t i = 0;

	while (v >= 1024 && i + 1 < sizeof(units) / sizeof(units[0])) {
		v /= 1024;
		i++;
	}
	(void)snprintf(buf, size, i == 0 ? "%.0f %s" : "%.1f %s", v, units[i]);
}

void out_duration(uint64_t ms, char *buf, size_t size)
{
	unsigned long long s = ms / 1000;

	if (s < 60)
		(void)snprintf(buf, size, "%llu.%llus", s, (unsigned long long)(ms % 1000 / 100));
	else if (s < 3600)
		(void)snprintf(buf, size, "%llum%llus", s / 60, s % 60);
	else if (s < 86400)
		(void)snprintf(buf, size, "%lluh%llum", s / 3600, s / 60 % 60);
	else
		(void)snprintf(buf, size, "%llud%lluh", s / 86400, s / 3600 % 24);
}

uint64_t out_age_ms(const char *rfc3339)
{
	struct tm tm = { 0 };
	int64_t age;

	if (!rfc3339 || !strptime(rfc3339, "%Y-%m-%dT%H:%M:%S", &tm))
		return 0;
	age = (int64_t)time(NULL) - (int64_t)timegm(&tm);
	return age > 0 ? (uint64_t)age * 1000 : 0;
}

void out_time(const char *rfc3339, char *buf, size_t size)
{
	static const struct {
		uint64_t seconds;
		char unit;
	} units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
	uint64_t age = out_age_ms(rfc3339) / 1000;
	size_t i = 0;

	(void)snprintf(buf, size, "%s", rfc3339 ? rfc3339 : "");
	if (!rfc3339 || !isatty(STDOUT_FILENO))
		return;
	while (i + 1 < sizeof(units) / sizeof(units[0]) && age < units[i].seconds)
		i++;
	(void)snprintf(buf, size, "%llu%c ago", (unsigned long long)(age / units[i].seconds),
		       units[i].unit);
}

void out_write_failed(int sys)
{
	(void)fprintf(stderr, "error: write to standard output: %s\n", strerrordesc_np(sys));
}

int out_finish(int code)
{
	errno = 0;
	if (fflush(stdout) != EOF)
		return code;
	if (errno == EPIPE)
		return EXIT_PIPE_CLOSED;
	out_write_failed(errno);
	return EXIT_ITEM_FAILED;
}
