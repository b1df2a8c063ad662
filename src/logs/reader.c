/* SPDX-License-Identifier: Apache-2.0 */
#include "logs/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "logs/segments.h"

#define WINDOW (4ul * (LOG_RECORD_HEADER + LOG_DATA_MAX)) /* bytes: a whole record always fits */

struct log_reader {
	int dir;	  /* borrowed */
	const char *name; /* borrowed */
	uint64_t position;
	int fd;		 /* owned; -1: the file for `position` is to be found */
	uint64_t number; /* of the file */
	struct log_file file;
	uint64_t at; /* in the file: of the window */
	uint8_t window[WINDOW];
	size_t len, used;
	uint64_t lost; /* not told yet */
};

int log_reader_new(int dir, const char *name, struct log_reader **ret_reader)
{
	struct log_reader *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->dir = dir;
	r->name = name;
	r->fd = -1;
	*ret_reader = r;
	return 0;
}

static void close_file(struct log_reader *r)
{
	if (r->fd >= 0)
		(void)close(r->fd);
	r->fd = -1;
	r->len = r->used = 0;
}

void log_reader_free(struct log_reader *r)
{
	if (!r)
		return;
	close_file(r);
	free(r);
}

void log_reader_seek(struct log_reader *r, uint64_t position)
{
	close_file(r);
	r->number = r->lost = 0;
	r->position = position;
}

uint64_t log_reader_position(const struct log_reader *r)
{
	return r->position;
}

/* The file @number with its header: a descriptor, or -errno; -EPROTO: it is none yet. */
static int open_file(const struct log_reader *r, uint64_t number, struct log_file *ret)
{
	uint8_t header[LOG_FILE_HEADER];
	char name[LOG_FILE_NAME];
	AUTO_CLOSE int fd = -1;
	ssize_t n;

	log_segment_name(r->name, number, name);
	fd = openat(r->dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = io_pread_full(fd, header, sizeof(header), 0);
	if (n < 0)
		return (int)n;
	if (n < (ssize_t)sizeof(header) || log_file_parse(header, ret) < 0)
		return -EPROTO;
	return TAKE_FD(fd);
}

int64_t log_reader_oldest(const struct log_reader *r)
{
	uint64_t numbers[LOG_SEGMENTS_MAX];
	int n = log_segments(r->dir, r->name, numbers);

	for (int i = 0; i < n; i++) {
		struct log_file f = { 0 };
		AUTO_CLOSE int fd = open_file(r, numbers[i], &f);

		if (fd >= 0)
			return (int64_t)f.start;
	}
	return n < 0 ? n : 0;
}

/* Begin to read @fd, whose number is @number, at the position or at its first record. */
static void begin_file(struct log_reader *r, int fd, uint64_t number, const struct log_file *f)
{
	uint64_t first = f->start + LOG_FILE_HEADER;

	close_file(r);
	r->fd = fd;
	r->number = number;
	r->file = *f;
	if (r->position < f->start && r->position > 0)
		r->lost += f->start - r->position;
	if (r->position < first)
		r->position = first;
	r->at = r->position - f->start;
}

/* 1: a file is open; 0: there is none; -errno. */
static int find_file(struct log_reader *r)
{
	uint64_t numbers[LOG_SEGMENTS_MAX];
	int n = log_segments(r->dir, r->name, numbers);
	int best = -1;
	uint64_t best_number = 0;
	struct log_file best_file = { 0 };

	/* The last one that begins at or before the position, else the oldest one behind it. */
	for (int i = 0; i < n; i++) {
		struct log_file f = { 0 };
		int fd;

		if (numbers[i] <= r->number)
			continue;
		if (best >= 0 && r->number > 0)
			break; /* the next one */
		fd = open_file(r, numbers[i], &f);
		if (fd < 0)
			continue;
		if (best >= 0 && f.start > r->position) {
			(void)close(fd);
			break;
		}
		if (best >= 0)
			(void)close(best);
		best = fd;
		best_number = numbers[i];
		best_file = f;
	}
	if (best < 0)
		return n < 0 && n != -ENOENT ? n : 0;
	begin_file(r, best, best_number, &best_file);
	return 1;
}

/*
 * Read the window again from the next record on: what was torn there may have been cut off and written
 * anew.  1: it begins with a whole record, or a broken one; 0: with neither; -errno.
 */
static int fill(struct log_reader *r)
{
	struct log_record rec;
	ssize_t n;

	r->at += r->used;
	r->len = r->used = 0;
	n = io_pread_full(r->fd, r->window, WINDOW, r->at);
	if (n < 0)
		return (int)n;
	r->len = (size_t)n;
	return log_record_parse(r->window, r->len, r->file.mark, &rec) != 0;
}

static bool has_next_file(const struct log_reader *r)
{
	uint64_t numbers[LOG_SEGMENTS_MAX];
	int n = log_segments(r->dir, r->name, numbers);

	return n > 0 && numbers[n - 1] > r->number;
}

/* The window has no whole record any more. 1: go on; 0: wait; -errno. */
static int at_end(struct log_reader *r)
{
	int n = fill(r);

	if (n != 0)
		return n;
	if (!has_next_file(r))
		return 0;
	n = fill(r); /* what came before the next file was made */
	if (n != 0)
		return n;
	r->lost += r->len; /* a torn record */
	r->position += r->len;
	close_file(r);
	return 1;
}

int log_reader_next(struct log_reader *r, struct log_record *ret, uint64_t *ret_lost)
{
	for (;;) {
		int64_t n;
		int more;

		if (r->fd < 0) {
			more = find_file(r);
			if (more <= 0)
				return more;
		}
		n = log_record_parse(r->window + r->used, r->len - r->used, r->file.mark, ret);
		if (n > 0) {
			r->used += (size_t)n;
			r->position += (uint64_t)n;
			*ret_lost = r->lost;
			r->lost = 0;
			return 1;
		}
		if (n < 0) {
			n = (int64_t)log_record_skip(r->window + r->used, r->len - r->used,
						     r->file.mark);
			r->lost += (uint64_t)n;
			r->used += (size_t)n;
			r->position += (uint64_t)n;
			continue;
		}
		more = at_end(r);
		if (more <= 0)
			return more;
	}
}
