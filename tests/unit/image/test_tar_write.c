/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/defer.h"
#include "base/io.h"
#include "image/tar_write.h"
#include "tar/tar.h"

struct seen {
	struct {
		char name[100];
		enum tar_type type;
		uint64_t size, got;
		uint32_t mode;
	} e[8];
	size_t n;
};

static int on_entry(void *user, const struct tar_entry *e, struct err *err)
{
	struct seen *s = user;

	(void)snprintf(s->e[s->n].name, sizeof(s->e[0].name), "%s", e->name);
	s->e[s->n].type = e->type;
	s->e[s->n].size = e->size;
	s->e[s->n++].mode = e->mode;
	return 0;
}

static int on_data(void *user, const uint8_t *data, size_t len, struct err *err)
{
	struct seen *s = user;

	s->e[s->n - 1].got += len;
	return 0;
}

static const struct tar_handler handler = { .entry = on_entry, .data = on_data };

/* What our reader makes of the file; 0 if it is whole. */
static int read_back(int fd, struct seen *s)
{
	struct err err = ERR_INIT;
	struct tar *t = NULL;
	uint8_t buf[512];
	int r = tar_new(&handler, s, UINT64_MAX, &t);
	ssize_t n;

	ASSERT_EQ(r, 0);
	ASSERT_EQ(lseek(fd, 0, SEEK_SET), 0);
	while (r == 0 && (n = io_read_full(fd, buf, sizeof(buf))) > 0)
		r = tar_feed(t, buf, (size_t)n, &err);
	if (r == 0)
		r = tar_finish(t, &err);
	tar_free(t);
	return r;
}

TEST(what_is_written_can_be_read)
{
	AUTO_CLOSE int fd = memfd_create("tar", MFD_CLOEXEC);
	struct tar_out t;
	struct err err = ERR_INIT;
	static const uint8_t data[1000];
	struct seen s = { 0 };

	ASSERT(fd >= 0);
	tar_out_init(&t, fd, NULL);
	ASSERT_EQ(tar_out_folder(&t, "blobs/", &err), 0);
	ASSERT_EQ(tar_out_file(&t, "empty", 0, &err), 0);
	ASSERT_EQ(tar_out_add(&t, data, 0, &err), 0);
	ASSERT_EQ(tar_out_file(&t, "blobs/block", 512, &err), 0);
	ASSERT_EQ(tar_out_add(&t, data, 512, &err), 0);
	ASSERT_EQ(tar_out_file(&t, "blobs/odd", 1000, &err), 0);
	ASSERT_EQ(tar_out_add(&t, data, 600, &err), 0);
	ASSERT_EQ(tar_out_add(&t, data, 400, &err), 0);
	ASSERT_EQ(tar_out_end(&t, &err), 0);
	ASSERT_EQ(lseek(fd, 0, SEEK_END), 512 * (1 + 1 + 2 + 3 + 2));
	ASSERT_EQ(read_back(fd, &s), 0);
	ASSERT_EQ(s.n, 4);
	ASSERT_EQ(s.e[0].type, TAR_DIR);
	ASSERT_EQ(s.e[0].mode, 0755);
	ASSERT_EQ(s.e[2].got, 512);
	ASSERT_STR(s.e[3].name, "blobs/odd");
	ASSERT_EQ(s.e[3].type, TAR_FILE);
	ASSERT_EQ(s.e[3].mode, 0644);
	ASSERT_EQ(s.e[3].size, 1000);
	ASSERT_EQ(s.e[3].got, 1000);
}

TEST(more_than_eleven_octal_digits)
{
	AUTO_CLOSE int fd = memfd_create("tar", MFD_CLOEXEC);
	struct tar_out t;
	struct err err = ERR_INIT;
	uint64_t size = (8ull << 30) + 77;
	struct seen s = { 0 };

	ASSERT(fd >= 0);
	tar_out_init(&t, fd, NULL);
	ASSERT_EQ(tar_out_file(&t, "large", size, &err), 0);
	ASSERT(read_back(fd, &s) < 0); /* only the header is there */
	ASSERT_EQ(s.n, 1);
	ASSERT_EQ(s.e[0].size, size);
}

TEST(nobody_reads_and_the_switch_ends_it)
{
	AUTO(cancel_free) struct cancel *cancel = NULL;
	static const uint8_t data[1 << 20];
	struct err err = ERR_INIT;
	struct tar_out t;
	int ends[2];

	ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
	ASSERT_EQ(cancel_new_within(NULL, clock_now_ns() + 10 * NS_PER_MS, &cancel), 0);
	tar_out_init(&t, ends[1], cancel);
	ASSERT_EQ(tar_out_file(&t, "more than a pipe holds", sizeof(data), &err), 0);
	ASSERT(tar_out_add(&t, data, sizeof(data), &err) < 0);
	ASSERT_EQ(err.code, ERR_TIMEOUT);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

TEST(a_full_device_is_told)
{
	AUTO_CLOSE int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct tar_out t;
	struct err err = ERR_INIT;

	ASSERT(fd >= 0);
	tar_out_init(&t, fd, NULL);
	ASSERT(tar_out_end(&t, &err) < 0);
	ASSERT_EQ(err.sys, ENOSPC);
}

TAP_MAIN()
