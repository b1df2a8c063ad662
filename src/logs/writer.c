/* SPDX-License-Identifier: Apache-2.0 */
#include "logs/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "logs/segments.h"

#define WINDOW (2ul * (LOG_RECORD_HEADER + LOG_DATA_MAX)) /* bytes: a whole record always fits */

/* Walk over the records of the last file: the last boot, and where the whole records end. */
static int find_end(struct log_writer *w)
{
	AUTO_FREE uint8_t *window = malloc(WINDOW);
	struct log_record r;
	uint64_t at = LOG_FILE_HEADER;

	if (!window)
		return -ENOMEM;
	for (;;) {
		ssize_t n = io_pread_full(w->fd, window, WINDOW, at);
		size_t used = 0;
		int64_t len;

		if (n < 0)
			return (int)n;
		while ((len = log_record_parse(window + used, (size_t)n - used, w->file.mark,
					       &r))) {
			if (len < 0)
				len = (int64_t)log_record_skip(window + used, (size_t)n - used,
							       w->file.mark);
			else
				w->boot = r.boot;
			used += (size_t)len;
		}
		if (used == 0)
			break;
		at += used;
	}
	w->size = at;
	return ftruncate(w->fd, (off_t)at) < 0 ? -errno : 0;
}

static void remove_old(const struct log_writer *w)
{
	uint64_t numbers[LOG_SEGMENTS_MAX];
	int n = log_segments(w->dir, w->name, numbers);
	char file[LOG_FILE_NAME];

	for (int i = 0; i < n; i++) {
		if (numbers[i] + w->bounds.n_files > w->number ||
		    (w->bounds.keep_first && numbers[i] == w->first))
			continue;
		log_segment_name(w->name, numbers[i], file);
		(void)unlinkat(w->dir, file, 0);
	}
}

/* Go on in a new file. */
static int rotate(struct log_writer *w)
{
	struct log_file next = { .start = w->file.start + w->size };
	uint8_t header[LOG_FILE_HEADER];
	AUTO_CLOSE int fd = -1;
	char file[LOG_FILE_NAME];

	if (getrandom(&next.mark, sizeof(next.mark), 0) != (ssize_t)sizeof(next.mark))
		return -EIO;
	log_segment_name(w->name, w->number + 1, file);
	fd = openat(w->dir, file, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	log_file_header(&next, header);
	if (io_write_full(fd, header, sizeof(header)) < 0) {
		(void)unlinkat(w->dir, file, 0);
		return -EIO;
	}
	if (w->fd >= 0)
		(void)close(w->fd);
	w->fd = TAKE_FD(fd);
	w->file = next;
	w->size = LOG_FILE_HEADER;
	w->number++;
	remove_old(w);
	return 0;
}

/* The last file, if it is one that can be gone on with. */
static int open_last(struct log_writer *w)
{
	uint64_t numbers[LOG_SEGMENTS_MAX];
	uint8_t header[LOG_FILE_HEADER];
	char file[LOG_FILE_NAME];
	int n = log_segments(w->dir, w->name, numbers);

	if (n <= 0)
		return n;
	w->number = numbers[n - 1];
	log_segment_name(w->name, w->number, file);
	w->fd = openat(w->dir, file, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (w->fd < 0)
		return -errno;
	if (io_pread_full(w->fd, header, sizeof(header), 0) == (ssize_t)sizeof(header) &&
	    log_file_parse(header, &w->file) == 0)
		return find_end(w);
	(void)close(TAKE_FD(w->fd)); /* torn as it was made: a new one takes its place */
	return 0;
}

int log_writer_open(struct log_writer *w, int dir, const char *name,
		    const struct log_bounds *bounds)
{
	struct log_record mark = { .stream = LOG_BOOT, .at_ns = clock_wall_ns() };
	int r;

	*w = (struct log_writer){ .dir = dir, .name = name, .bounds = *bounds, .fd = -1 };
	w->out = malloc(LOG_RECORD_HEADER + LOG_DATA_MAX);
	r = w->out ? open_last(w) : -ENOMEM;
	w->boot++;
	if (r == 0 && (w->fd < 0 || bounds->keep_first))
		r = rotate(w);
	w->first = w->number;
	if (r == 0)
		r = log_writer_add(w, &mark);
	if (r < 0)
		log_writer_close(w);
	return r;
}

void log_writer_close(struct log_writer *w)
{
	if (w->fd >= 0)
		(void)close(w->fd);
	w->fd = -1;
	free(TAKE_PTR(w->out));
}

int log_writer_add(struct log_writer *w, const struct log_record *record)
{
	uint64_t len = LOG_RECORD_HEADER + record->len;
	struct log_record r = *record;
	ssize_t n;

	if (w->fd < 0)
		return -EBADF;
	if (w->size + len > w->bounds.file_max && w->size > LOG_FILE_HEADER) {
		int error = rotate(w);

		if (error < 0)
			return error;
	}
	r.boot = w->boot;
	log_record_header(&r, w->file.mark, w->out);
	if (r.len > 0)
		memcpy(w->out + LOG_RECORD_HEADER, r.data, r.len);
	n = pwrite(w->fd, w->out, len, (off_t)w->size);
	if (n != (ssize_t)len) {
		int error = n < 0 ? -errno : -ENOSPC;

		IGNORE_RESULT(ftruncate(w->fd, (off_t)w->size) < 0); /* else readers skip it */
		return error;
	}
	w->size += len;
	return 0;
}
