/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "tar/limits.h"
#include "tar/pack.h"

#define BLOCK	 512u
#define OCTAL_7	 07777777ull	 /* what 7 octal digits can say */
#define OCTAL_11 077777777777ull /* what 11 can */

struct ustar {
	char name[100];
	char mode[8], uid[8], gid[8];
	char size[12], mtime[12];
	char checksum[8];
	char type;
	char link[100];
	char magic[8];
	char uname[32], gname[32];
	char major[8], minor[8];
	char rest[167];
};
static_assert(sizeof(struct ustar) == BLOCK, "one block");

/* "LENGTH KEY=VALUE\n"; the length counts its own digits. */
static int add_record(struct buf *b, const char *key, const void *value, size_t len)
{
	size_t body = 1 + strlen(key) + 1 + len + 1, total = body + 1;
	char digits[24];
	int r;

	while (body + (size_t)snprintf(digits, sizeof(digits), "%zu", total) != total)
		total++;
	r = buf_addf(b, "%s %s=", digits, key);
	if (r >= 0)
		r = buf_add(b, value, len);
	return r < 0 ? r : buf_add_u8(b, '\n');
}

static int add_text(struct buf *b, const char *key, const char *value)
{
	return add_record(b, key, value, strlen(value));
}

static int add_number(struct buf *b, const char *key, uint64_t v)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIu64, v);
	return add_text(b, key, text);
}

static int add_time(struct buf *b, const struct tar_entry *e)
{
	/* Seconds are rounded down: -0.25 s is -1 s and 750 ms. */
	bool negative = e->mtime < 0;
	uint64_t s = negative ? (uint64_t) - (e->mtime + (e->mtime_ns > 0)) : (uint64_t)e->mtime;
	uint32_t ns = negative && e->mtime_ns ? 1000000000u - e->mtime_ns : e->mtime_ns;
	char text[48];

	(void)snprintf(text, sizeof(text), "%s%" PRIu64 ".%09u", negative ? "-" : "", s, ns);
	return add_text(b, "mtime", text);
}

static int add_xattrs(struct buf *b, const struct tar_entry *e)
{
	int r = 0;

	for (size_t i = 0; i < e->n_xattrs && r >= 0; i++) {
		char key[300]; /* a name has at most 255 bytes */

		(void)snprintf(key, sizeof(key), "SCHILY.xattr.%s", e->xattrs[i].name);
		r = add_record(b, key, e->xattrs[i].value, e->xattrs[i].len);
	}
	return r;
}

/* What the plain header cannot say. */
static int add_records(struct buf *b, const struct tar_entry *e)
{
	int r = 0;

	if (e->sparse) {
		r = add_text(b, "GNU.sparse.major", "1");
		if (r >= 0)
			r = add_text(b, "GNU.sparse.minor", "0");
		if (r >= 0)
			r = add_text(b, "GNU.sparse.name", e->name);
		if (r >= 0)
			r = add_number(b, "GNU.sparse.realsize", e->size);
	}
	if (r >= 0 && !e->sparse && strlen(e->name) > 100)
		r = add_text(b, "path", e->name);
	if (r >= 0 && e->link && strlen(e->link) > 100)
		r = add_text(b, "linkpath", e->link);
	if (r >= 0 && e->stored_size > OCTAL_11)
		r = add_number(b, "size", e->stored_size);
	if (r >= 0 && e->uid > OCTAL_7)
		r = add_number(b, "uid", e->uid);
	if (r >= 0 && e->gid > OCTAL_7)
		r = add_number(b, "gid", e->gid);
	if (r >= 0 && (e->mtime_ns || e->mtime < 0 || (uint64_t)e->mtime > OCTAL_11))
		r = add_time(b, e);
	return r < 0 ? r : add_xattrs(b, e);
}

static void octal(char *to, size_t size, uint64_t v)
{
	to[size - 1] = '\0';
	for (size_t i = size - 1; i > 0; i--, v >>= 3)
		to[i - 1] = (char)('0' + (v & 7));
}

static void text(char *to, size_t size, const char *from)
{
	size_t len = strlen(from);

	memcpy(to, from, len < size ? len : size); /* all of it may be used: no NUL then */
}

static void finish(struct ustar *h)
{
	unsigned sum = 0;

	memset(h->checksum, ' ', sizeof(h->checksum));
	for (unsigned i = 0; i < BLOCK; i++)
		sum += ((const unsigned char *)h)[i];
	octal(h->checksum, 7, sum);
}

static int put_records(const struct tar_sink *sink, const struct tar_entry *e, struct err *err)
{
	static const char zeros[BLOCK];
	AUTO(buf_done) struct buf b = { .max = PAX_BYTES_MAX };
	struct ustar h = { .type = 'x', .magic = "ustar\0000" };
	int r = add_records(&b, e);

	if (r < 0)
		return err_no_memory(err);
	if (b.len == 0)
		return 0;
	text(h.name, sizeof(h.name), "PaxHeader");
	octal(h.mode, sizeof(h.mode), 0644);
	octal(h.uid, sizeof(h.uid), 0);
	octal(h.gid, sizeof(h.gid), 0);
	octal(h.size, sizeof(h.size), b.len);
	octal(h.mtime, sizeof(h.mtime), 0);
	finish(&h);
	r = sink->put(sink->user, &h, sizeof(h), err);
	if (r >= 0)
		r = sink->put(sink->user, b.data, b.len, err);
	return r < 0 ? r : sink->put(sink->user, zeros, -b.len % BLOCK, err);
}

int tar_put_head(const struct tar_sink *sink, const struct tar_entry *e, struct err *err)
{
	static const char types[] = {
		[TAR_FILE] = '0', [TAR_DIR] = '5',   [TAR_SYMLINK] = '2', [TAR_LINK] = '1',
		[TAR_CHAR] = '3', [TAR_BLOCK] = '4', [TAR_FIFO] = '6'
	};
	struct ustar h = { .type = types[e->type], .magic = "ustar\0000" };
	int r = put_records(sink, e, err);

	if (r < 0)
		return r;
	text(h.name, sizeof(h.name), e->sparse ? "GNUSparseFile.0" : e->name);
	text(h.link, sizeof(h.link), e->link ? e->link : "");
	octal(h.mode, sizeof(h.mode), e->mode);
	octal(h.uid, sizeof(h.uid), e->uid <= OCTAL_7 ? e->uid : 0);
	octal(h.gid, sizeof(h.gid), e->gid <= OCTAL_7 ? e->gid : 0);
	octal(h.size, sizeof(h.size), e->stored_size <= OCTAL_11 ? e->stored_size : 0);
	octal(h.mtime, sizeof(h.mtime),
	      e->mtime >= 0 && (uint64_t)e->mtime <= OCTAL_11 ? (uint64_t)e->mtime : 0);
	octal(h.major, sizeof(h.major), e->major);
	octal(h.minor, sizeof(h.minor), e->minor);
	finish(&h);
	return sink->put(sink->user, &h, sizeof(h), err);
}
