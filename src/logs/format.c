/* SPDX-License-Identifier: Apache-2.0 */
#include "logs/format.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

static const char magic[8] = { 'M', 'S', 'B', 'L', 'O', 'G', '0', '1' };

struct file_header {
	char magic[8];
	uint64_t start, mark, zero;
};
static_assert(sizeof(struct file_header) == LOG_FILE_HEADER, "header of a log file");

struct record_header {
	uint64_t mark;
	uint32_t len, stream;
	uint64_t at_ns, session, offset;
	uint32_t boot, zero;
};
static_assert(sizeof(struct record_header) == LOG_RECORD_HEADER, "header of a log record");

void log_file_header(const struct log_file *f, uint8_t out[static LOG_FILE_HEADER])
{
	struct file_header h = { .start = htole64(f->start), .mark = htole64(f->mark) };

	memcpy(h.magic, magic, sizeof(magic));
	memcpy(out, &h, sizeof(h));
}

int log_file_parse(const void *data, struct log_file *ret)
{
	struct file_header h;

	memcpy(&h, data, sizeof(h));
	if (memcmp(h.magic, magic, sizeof(magic)) != 0 || le64toh(h.start) > INT64_MAX)
		return -EPROTO;
	*ret = (struct log_file){ le64toh(h.start), le64toh(h.mark) };
	return 0;
}

void log_record_header(const struct log_record *r, uint64_t mark,
		       uint8_t out[static LOG_RECORD_HEADER])
{
	struct record_header h = {
		.mark = htole64(mark),
		.len = htole32((uint32_t)r->len),
		.stream = htole32((uint32_t)r->stream),
		.at_ns = htole64(r->at_ns),
		.session = htole64(r->session),
		.offset = htole64(r->offset),
		.boot = htole32(r->boot),
	};

	memcpy(out, &h, sizeof(h));
}

int64_t log_record_parse(const void *data, size_t len, uint64_t mark, struct log_record *ret)
{
	struct record_header h;
	uint32_t n, stream;

	if (len < sizeof(h))
		return 0;
	memcpy(&h, data, sizeof(h));
	n = le32toh(h.len);
	stream = le32toh(h.stream);
	if (le64toh(h.mark) != mark || n > LOG_DATA_MAX || stream == 0 || stream >= LOG_STREAM_MAX)
		return -EPROTO;
	if (len - sizeof(h) < n)
		return 0;
	*ret = (struct log_record){
		.stream = (enum log_stream)stream,
		.boot = le32toh(h.boot),
		.at_ns = le64toh(h.at_ns),
		.session = le64toh(h.session),
		.offset = le64toh(h.offset),
		.data = (const uint8_t *)data + sizeof(h),
		.len = n,
	};
	return (int64_t)(sizeof(h) + n);
}

size_t log_record_skip(const void *data, size_t len, uint64_t mark)
{
	uint64_t wire = htole64(mark);
	const uint8_t *p =
		len > 1 ? memmem((const uint8_t *)data + 1, len - 1, &wire, sizeof(wire)) : NULL;

	if (p)
		return (size_t)(p - (const uint8_t *)data);
	return len > sizeof(wire) ? len - sizeof(wire) + 1 : len; /* its first bytes may be here */
}
