/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "logs/reader.h"
#include "logs/segments.h"
#include "logs/writer.h"
#include "remove_tree.h"

static const struct log_bounds small = { .file_max = 4096, .n_files = 3 };

static int folder(char top[static 32])
{
	int dir;

	(void)snprintf(top, 32, "/tmp/logs_XXXXXX");
	ASSERT(mkdtemp(top));
	dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT(dir >= 0);
	return dir;
}

static void done(int dir, const char *top)
{
	(void)close(dir);
	remove_tree(AT_FDCWD, top);
}

static int add(struct log_writer *w, uint64_t n, size_t len)
{
	uint8_t data[1024];
	struct log_record r = {
		.stream = LOG_STDOUT, .session = n, .offset = n, .data = data, .len = len
	};

	memset(data, (int)(n % 251), sizeof(data));
	return log_writer_add(w, &r);
}

/* The next record that is no mark; 0 if there is none. */
static uint64_t next(struct log_reader *reader, uint64_t *lost)
{
	struct log_record r = { 0 };
	uint64_t gone = 0;
	int n;

	do {
		n = log_reader_next(reader, &r, &gone);
		if (lost)
			*lost += gone;
	} while (n == 1 && r.stream != LOG_STDOUT);
	ASSERT(n >= 0);
	for (size_t i = 0; n == 1 && i < r.len; i++)
		ASSERT_EQ(r.data[i], r.session % 251);
	return n == 1 ? r.session : 0;
}

TEST(records_come_back)
{
	AUTO(log_reader_free) struct log_reader *reader = NULL;
	struct log_record r;
	struct log_writer w;
	uint64_t lost = 1;
	char top[32];
	int dir = folder(top);

	ASSERT_EQ(log_writer_open(&w, dir, "out", &small), 0);
	ASSERT_EQ(add(&w, 1, 10), 0);
	ASSERT_EQ(log_reader_new(dir, "out", &reader), 0);
	ASSERT_EQ(log_reader_next(reader, &r, &lost), 1);
	ASSERT_EQ(r.stream, LOG_BOOT);
	ASSERT_EQ(r.boot, 1);
	ASSERT_EQ(lost, 0);
	ASSERT_EQ(next(reader, NULL), 1);
	ASSERT_EQ(next(reader, NULL), 0);
	ASSERT_EQ(add(&w, 2, 0), 0);
	ASSERT_EQ(next(reader, NULL), 2);
	log_writer_close(&w);
	done(dir, top);
}

TEST(a_reader_follows_over_files)
{
	AUTO(log_reader_free) struct log_reader *reader = NULL;
	struct log_writer w;
	uint64_t lost = 0;
	char top[32];
	int dir = folder(top);

	ASSERT_EQ(log_writer_open(&w, dir, "out", &small), 0);
	ASSERT_EQ(log_reader_new(dir, "out", &reader), 0);
	for (uint64_t n = 1; n <= 100; n++) {
		ASSERT_EQ(add(&w, n, 700), 0);
		ASSERT_EQ(next(reader, &lost), n);
	}
	ASSERT(w.number > 10);
	ASSERT_EQ(lost, 0);
	log_writer_close(&w);
	done(dir, top);
}

TEST(old_files_go_and_are_told)
{
	AUTO(log_reader_free) struct log_reader *reader = NULL;
	uint64_t numbers[LOG_SEGMENTS_MAX], lost = 0, n = 0, first, cursor;
	struct log_writer w;
	char top[32];
	int dir = folder(top);

	ASSERT_EQ(log_writer_open(&w, dir, "out", &small), 0);
	ASSERT_EQ(add(&w, 1, 700), 0);
	ASSERT_EQ(log_reader_new(dir, "out", &reader), 0);
	ASSERT_EQ(next(reader, &lost), 1);
	cursor = log_reader_position(reader);
	for (n = 2; n <= 100; n++)
		ASSERT_EQ(add(&w, n, 700), 0);
	ASSERT_EQ(log_segments(dir, "out", numbers), 3);
	ASSERT(log_reader_oldest(reader) > (int64_t)cursor);
	/* It holds the file it reads; behind that is a gap. */
	for (n = 2; n <= 5; n++)
		ASSERT_EQ(next(reader, &lost), n);
	ASSERT_EQ(lost, 0);
	first = next(reader, &lost);
	ASSERT(first > 80);
	ASSERT(lost >= (first - 6) * 700);
	for (n = first + 1; n <= 100; n++)
		ASSERT_EQ(next(reader, &lost), n);
	/* A position is found again. */
	cursor = log_reader_position(reader);
	ASSERT_EQ(add(&w, 101, 700), 0);
	log_reader_seek(reader, cursor);
	lost = 0;
	ASSERT_EQ(next(reader, &lost), 101);
	ASSERT_EQ(lost, 0);
	log_writer_close(&w);
	done(dir, top);
}

TEST(the_first_file_of_a_boot_stays)
{
	static const struct log_bounds keep = { .file_max = 4096,
						.n_files = 3,
						.keep_first = true };
	uint64_t numbers[LOG_SEGMENTS_MAX];
	struct log_writer w;
	char top[32];
	int dir = folder(top);

	for (int boot = 1; boot <= 2; boot++) {
		uint64_t first;

		ASSERT_EQ(log_writer_open(&w, dir, "kernel", &keep), 0);
		ASSERT_EQ(w.boot, boot);
		first = w.number;
		for (uint64_t n = 1; n <= 100; n++)
			ASSERT_EQ(add(&w, n, 700), 0);
		ASSERT_EQ(log_segments(dir, "kernel", numbers), 4);
		ASSERT_EQ(numbers[0], first);
		log_writer_close(&w);
	}
	done(dir, top);
}

/* The file that is written last, and its size. */
static int last_file(int dir, off_t *ret_size)
{
	uint64_t numbers[LOG_SEGMENTS_MAX];
	int n = log_segments(dir, "out", numbers), fd;
	char name[LOG_FILE_NAME];
	struct stat st;

	ASSERT(n > 0);
	log_segment_name("out", numbers[n - 1], name);
	fd = openat(dir, name, O_RDWR | O_CLOEXEC);
	ASSERT(fd >= 0 && fstat(fd, &st) == 0);
	*ret_size = st.st_size;
	return fd;
}

TEST(a_torn_record_is_ignored_and_cut_off)
{
	AUTO(log_reader_free) struct log_reader *reader = NULL;
	struct log_writer w;
	char top[32];
	int dir = folder(top);
	off_t size;

	ASSERT_EQ(log_writer_open(&w, dir, "out", &small), 0);
	ASSERT_EQ(add(&w, 1, 100), 0);
	ASSERT_EQ(add(&w, 2, 100), 0);
	log_writer_close(&w);
	for (off_t cut = 1; cut < 148; cut += 49) {
		int fd = last_file(dir, &size);

		ASSERT_EQ(ftruncate(fd, size - cut), 0);
		ASSERT_EQ(log_reader_new(dir, "out", &reader), 0);
		ASSERT_EQ(next(reader, NULL), 1);
		ASSERT_EQ(log_writer_open(&w, dir, "out", &small), 0); /* puts its mark there */
		ASSERT_EQ(add(&w, 3, 100), 0);
		ASSERT_EQ(next(reader, NULL), 3);
		log_writer_close(&w);
		log_reader_free(TAKE_PTR(reader));
		/* As it was before. */
		ASSERT_EQ(ftruncate(fd, LOG_FILE_HEADER), 0);
		(void)close(fd);
		ASSERT_EQ(log_writer_open(&w, dir, "out", &small), 0);
		ASSERT_EQ(add(&w, 1, 100), 0);
		ASSERT_EQ(add(&w, 2, 100), 0);
		log_writer_close(&w);
	}
	done(dir, top);
}

TEST(a_broken_record_is_skipped)
{
	AUTO(log_reader_free) struct log_reader *reader = NULL;
	uint64_t lost = 0;
	struct log_writer w;
	char top[32];
	int dir = folder(top), fd;
	off_t size;

	ASSERT_EQ(log_writer_open(&w, dir, "out", &small), 0);
	for (uint64_t n = 1; n <= 3; n++)
		ASSERT_EQ(add(&w, n, 100), 0);
	fd = last_file(dir, &size);
	ASSERT_EQ(pwrite(fd, "\xff\xff\xff\xff", 4, size - 2 * 148 + 8), 4); /* length of the 2nd */
	ASSERT_EQ(log_reader_new(dir, "out", &reader), 0);
	ASSERT_EQ(next(reader, &lost), 1);
	ASSERT_EQ(next(reader, &lost), 3);
	ASSERT_EQ(lost, 148);
	(void)close(fd);
	log_writer_close(&w);
	done(dir, top);
}

TAP_MAIN()
