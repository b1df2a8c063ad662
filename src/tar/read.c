/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "base/num.h"
#include "tar/limits.h"
#include "tar/pax.h"
#include "tar/tar.h"

/*
 * DOC: tar reader
 *
 * A state machine over blocks of 512 bytes.  Headers that only describe the next entry (pax,
 * GNU long names) are collected in `meta`; maps of sparse files are collected before the entry
 * is handed on, so that a handler always sees a whole entry.
 */
#define BLOCK 512u

/* Offsets in a header. */
enum {
	H_NAME = 0,
	H_MODE = 100,
	H_UID = 108,
	H_GID = 116,
	H_SIZE = 124,
	H_MTIME = 136,
	H_SUM = 148,
	H_TYPE = 156,
	H_LINK = 157,
	H_MAGIC = 257,
	H_MAJOR = 329,
	H_MINOR = 337,
	H_PREFIX = 345,
	H_SPARSE = 386,
	H_EXTENDED = 482,
	H_REAL_SIZE = 483,
};
#define SPARSE_IN_HEADER 4
#define SPARSE_IN_BLOCK	 21 /* and a flag at 504 */
#define SPARSE_MORE	 504

enum state { S_HEADER, S_META, S_SPARSE_GNU, S_SPARSE_MAP, S_DATA, S_END };

struct tar {
	const struct tar_handler *handler;
	void *user;
	uint64_t file_bytes; /* at most */
	enum state state;
	char meta_type; /* x, g, L, K */
	bool zero_block;
	uint64_t offset; /* of the next byte */
	uint8_t block[BLOCK];
	size_t have;   /* bytes in block */
	uint64_t left; /* bytes of content, without padding */
	uint64_t pad;

	struct buf meta;
	struct pax_set local, global;
	struct buf long_name, long_link;
	struct pax_fields fields;

	struct tar_entry entry;
	struct buf name, link;
	struct tar_chunk *chunks; /* owned; of old GNU and pax 1.0 */
	size_t n_chunks, cap_chunks;
	uint64_t want_numbers;
	uint64_t first_number;
	bool have_count; /* pax 1.0: the first number was read */
	bool half;
	char digits[24];
	size_t n_digits;
	uint64_t map_bytes;
};

int tar_new(const struct tar_handler *handler, void *user, uint64_t file_bytes, struct tar **ret)
{
	struct tar *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->handler = handler;
	t->user = user;
	t->file_bytes = file_bytes;
	buf_init(&t->meta, PAX_BYTES_MAX);
	pax_set_init(&t->local, PAX_BYTES_MAX);
	pax_set_init(&t->global, PAX_BYTES_MAX);
	buf_init(&t->long_name, PAX_BYTES_MAX);
	buf_init(&t->long_link, PAX_BYTES_MAX);
	buf_init(&t->name, PAX_BYTES_MAX + 1);
	buf_init(&t->link, PAX_BYTES_MAX + 1);
	*ret = t;
	return 0;
}

void tar_free(struct tar *t)
{
	if (!t)
		return;
	buf_done(&t->meta);
	pax_set_done(&t->local);
	pax_set_done(&t->global);
	buf_done(&t->long_name);
	buf_done(&t->long_link);
	buf_done(&t->name);
	buf_done(&t->link);
	pax_fields_done(&t->fields);
	free(t->chunks);
	free(t);
}

static int broken(const struct tar *t, struct err *err, const char *what)
{
	return err_set(err, ERR_INVALID, "\"%.200s\" at byte %" PRIu64 ": %s",
		       t->name.data ? (const char *)t->name.data : "", t->entry.offset, what);
}

/* Octal with spaces or NUL around it, or base 256. Empty is 0. */
static int field(const uint8_t *p, size_t len, int64_t *ret)
{
	const uint8_t *end = p + len;
	uint64_t v = 0;

	if (*p & 0x80) {
		bool negative = *p & 0x40;

		v = negative ? UINT64_MAX << 6 | (*p & 0x3f) : *p & 0x3f;
		for (p++; p < end; p++) {
			uint64_t top = v >> 55;

			if (top != 0 && top != UINT64_MAX >> 55)
				return -ERANGE;
			v = v << 8 | *p;
		}
		*ret = (int64_t)v;
		return 0;
	}
	while (p < end && *p == ' ')
		p++;
	for (; p < end && *p >= '0' && *p <= '7'; p++)
		v = v << 3 | (uint64_t)(*p - '0'); /* at most 12 digits */
	for (; p < end; p++) {
		if (*p != ' ' && *p != '\0')
			return -EINVAL;
	}
	*ret = (int64_t)v;
	return 0;
}

static int unsigned_field(const uint8_t *p, size_t len, uint64_t max, uint64_t *ret)
{
	int64_t v;

	if (field(p, len, &v) < 0 || v < 0 || (uint64_t)v > max)
		return -EINVAL;
	*ret = (uint64_t)v;
	return 0;
}

static bool sum_is_right(const uint8_t *b)
{
	int64_t want;
	uint32_t sum = 8 * ' ';
	int32_t signed_sum = 8 * ' ';

	for (unsigned i = 0; i < BLOCK; i++) {
		if (i >= H_SUM && i < H_SUM + 8)
			continue;
		sum += b[i];
		signed_sum += (int8_t)b[i]; /* some old writers */
	}
	return field(b + H_SUM, 8, &want) == 0 && (want == sum || want == signed_sum);
}

static bool is_zero(const uint8_t *b)
{
	return b[0] == 0 && memcmp(b, b + 1, BLOCK - 1) == 0;
}

bool tar_is_header(const uint8_t block[512])
{
	return is_zero(block) || sum_is_right(block);
}

static int set_text(struct buf *b, const void *text, size_t len, struct err *err)
{
	buf_clear(b);
	if (buf_add(b, text, len) < 0 || !buf_cstr(b))
		return err_no_memory(err);
	return 0;
}

/* Name of the header itself: prefix and name. */
static int header_name(struct tar *t, const uint8_t *b, struct err *err)
{
	size_t prefix = 0;

	/* Old GNU uses the prefix for other things. */
	if (memcmp(b + H_MAGIC, "ustar\0", 6) == 0)
		prefix = strnlen((const char *)b + H_PREFIX, 155);
	buf_clear(&t->name);
	if (prefix &&
	    (buf_add(&t->name, b + H_PREFIX, prefix) < 0 || buf_add_u8(&t->name, '/') < 0))
		return err_no_memory(err);
	if (buf_add(&t->name, b + H_NAME, strnlen((const char *)b + H_NAME, 100)) < 0 ||
	    !buf_cstr(&t->name))
		return err_no_memory(err);
	return 0;
}

static int add_chunk(struct tar *t, uint64_t offset, uint64_t len, struct err *err)
{
	if (t->n_chunks == SPARSE_CHUNKS_MAX)
		return broken(t, err, "the map of a sparse file is too long");
	if (t->n_chunks == t->cap_chunks) {
		size_t cap = t->cap_chunks ? 2 * t->cap_chunks : 16;
		struct tar_chunk *p = reallocarray(t->chunks, cap, sizeof(*p));

		if (!p)
			return err_no_memory(err);
		t->chunks = p;
		t->cap_chunks = cap;
	}
	t->chunks[t->n_chunks++] = (struct tar_chunk){ .file_offset = offset, .len = len };
	return 0;
}

/* Entries of an old GNU map; an empty one ends it. */
static int gnu_map(struct tar *t, const uint8_t *p, unsigned n, struct err *err)
{
	for (unsigned i = 0; i < n; i++, p += 24) {
		uint64_t offset, len;

		if (p[0] == 0 && p[12] == 0)
			return 0;
		if (unsigned_field(p, 12, INT64_MAX, &offset) < 0 ||
		    unsigned_field(p + 12, 12, INT64_MAX, &len) < 0)
			return broken(t, err, "broken map of a sparse file");
		if (add_chunk(t, offset, len, err) < 0)
			return -err->code;
	}
	return 0;
}

/* Offsets in the archive, order, sizes: chunks are in order and do not overlap. */
static int check_map(struct tar *t, struct tar_chunk *chunks, size_t n, struct err *err)
{
	struct tar_entry *e = &t->entry;
	uint64_t end = 0, data = e->data_offset, stored = 0;

	for (size_t i = 0; i < n; i++) {
		struct tar_chunk *c = &chunks[i];

		if (c->file_offset < end || c->len > e->size || c->file_offset > e->size - c->len)
			return broken(t, err, "the map of a sparse file is not in order");
		c->data_offset = data + stored;
		end = c->file_offset + c->len;
		stored += c->len;
	}
	if (stored != e->stored_size)
		return broken(t, err, "the map of a sparse file does not fit its data");
	e->sparse = true;
	e->chunks = chunks;
	e->n_chunks = n;
	return 0;
}

/* The entry is complete: hand it on and expect its content. */
static int emit(struct tar *t, struct err *err)
{
	struct tar_entry *e = &t->entry;
	uint64_t size = e->size > e->stored_size ? e->size : e->stored_size;
	int r;

	if (size > t->file_bytes) {
		err_set(err, ERR_INVALID,
			"\"%.200s\" at byte %" PRIu64 ": limit-exceeded: file_bytes is %" PRIu64
			", the limit is %" PRIu64
			"; if you trust the image, raise images.limits.file_bytes in config.json",
			(const char *)t->name.data, e->offset, size, t->file_bytes);
		(void)err_reason(err, "limit-exceeded");
		return err_detail(err, ERR_NR_IMAGE, "images.limits.file_bytes");
	}
	e->name = (const char *)t->name.data;
	e->link = (const char *)t->link.data;
	e->xattrs = t->fields.xattrs;
	e->n_xattrs = t->fields.n_xattrs;
	t->left = e->stored_size;
	t->pad = -(e->stored_size + t->map_bytes) % BLOCK;
	t->state = S_DATA;
	r = t->handler->entry(t->user, e, err);
	pax_fields_done(&t->fields);
	buf_clear(&t->local.bytes);
	buf_clear(&t->long_name);
	buf_clear(&t->long_link);
	return r;
}

static int entry_names(struct tar *t, const uint8_t *b, struct err *err)
{
	const struct pax_fields *f = &t->fields;
	const void *name = NULL;
	size_t len = 0;

	if (f->sparse_name) {
		name = f->sparse_name;
		len = f->sparse_name_len;
	} else if (f->path) {
		name = f->path;
		len = f->path_len;
	} else if (t->long_name.len) {
		name = t->long_name.data;
		len = strnlen(name, t->long_name.len);
	}
	if (name && set_text(&t->name, name, len, err) < 0)
		return -err->code;
	if (name && memchr(name, '\0', len))
		return broken(t, err, "a name with a NUL byte");
	if (f->link) {
		name = f->link;
		len = f->link_len;
		if (memchr(name, '\0', len))
			return broken(t, err, "a link name with a NUL byte");
	} else if (t->long_link.len) {
		name = t->long_link.data;
		len = strnlen(name, t->long_link.len);
	} else {
		name = b + H_LINK;
		len = strnlen(name, 100);
	}
	return set_text(&t->link, name, len, err);
}

static int entry_type(struct tar *t, const uint8_t *b, struct err *err)
{
	struct tar_entry *e = &t->entry;
	size_t n = t->name.len;

	switch (b[H_TYPE]) {
	case '\0':
		e->type = n && t->name.data[n - 1] == '/' ? TAR_DIR : TAR_FILE;
		return 0;
	case '0':
	case '7':
	case 'S':
		e->type = TAR_FILE;
		return 0;
	case '1':
		e->type = TAR_LINK;
		return 0;
	case '2':
		e->type = TAR_SYMLINK;
		return 0;
	case '3':
		e->type = TAR_CHAR;
		return 0;
	case '4':
		e->type = TAR_BLOCK;
		return 0;
	case '5':
		e->type = TAR_DIR;
		return 0;
	case '6':
		e->type = TAR_FIFO;
		return 0;
	default:
		return broken(t, err, "an entry of unknown type");
	}
}

static int entry_numbers(struct tar *t, const uint8_t *b, struct err *err)
{
	const struct pax_fields *f = &t->fields;
	struct tar_entry *e = &t->entry;
	uint64_t mode, uid = f->uid, gid = f->gid, major = 0, minor = 0;

	if (unsigned_field(b + H_MODE, 8, UINT32_MAX, &mode) < 0)
		return broken(t, err, "broken mode");
	if ((!f->has_uid && unsigned_field(b + H_UID, 8, UINT32_MAX, &uid) < 0) ||
	    (!f->has_gid && unsigned_field(b + H_GID, 8, UINT32_MAX, &gid) < 0))
		return broken(t, err, "broken owner");
	e->stored_size = f->size;
	if (!f->has_size && unsigned_field(b + H_SIZE, 12, INT64_MAX, &e->stored_size) < 0)
		return broken(t, err, "broken size");
	e->mtime = f->mtime;
	e->mtime_ns = f->has_mtime ? f->mtime_ns : 0;
	if (!f->has_mtime && field(b + H_MTIME, 12, &e->mtime) < 0)
		return broken(t, err, "broken time");
	if ((e->type == TAR_CHAR || e->type == TAR_BLOCK) &&
	    (unsigned_field(b + H_MAJOR, 8, (1u << 12) - 1, &major) < 0 ||
	     unsigned_field(b + H_MINOR, 8, (1u << 20) - 1, &minor) < 0))
		return broken(t, err, "broken device number");
	e->mode = mode & 07777;
	e->uid = (uint32_t)uid;
	e->gid = (uint32_t)gid;
	e->major = (uint32_t)major;
	e->minor = (uint32_t)minor;
	/* As in Go's reader: only files have content, whatever the size says. */
	if (e->type != TAR_FILE)
		e->stored_size = 0;
	e->size = e->stored_size;
	return 0;
}

static int old_gnu_sparse(struct tar *t, const uint8_t *b, struct err *err)
{
	if (unsigned_field(b + H_REAL_SIZE, 12, INT64_MAX, &t->entry.size) < 0)
		return broken(t, err, "broken size of a sparse file");
	if (gnu_map(t, b + H_SPARSE, SPARSE_IN_HEADER, err) < 0)
		return -err->code;
	if (b[H_EXTENDED]) {
		t->state = S_SPARSE_GNU;
		return 0;
	}
	if (check_map(t, t->chunks, t->n_chunks, err) < 0)
		return -ERR_INVALID;
	return emit(t, err);
}

static int pax_sparse(struct tar *t, struct err *err)
{
	struct pax_fields *f = &t->fields;

	if (!f->has_real_size)
		return broken(t, err, "a sparse file without its size");
	t->entry.size = f->real_size;
	if (f->sparse_1_0) {
		t->have_count = t->half = false;
		t->n_digits = 0;
		t->want_numbers = 1;
		t->left = t->entry.stored_size;
		t->state = S_SPARSE_MAP;
		return 0;
	}
	if (f->sparse_map) {
		f->n_chunks = 0;
		free(TAKE_PTR(f->chunks));
		if (pax_sparse_map(f) < 0)
			return broken(t, err, "broken map of a sparse file");
	}
	if (check_map(t, f->chunks, f->n_chunks, err) < 0)
		return -err->code;
	/* The map lies in the fields, which end with the call of the handler. */
	return emit(t, err);
}

static int read_fields(struct tar *t, struct err *err)
{
	const char *key = "";
	int r = pax_apply(&t->global, &t->fields, &key);

	if (r == 0)
		r = pax_apply(&t->local, &t->fields, &key);
	if (r == -ENOMEM)
		return err_no_memory(err);
	if (r < 0)
		return err_set(err, ERR_INVALID, "\"%.200s\" at byte %" PRIu64 ": %s for %s",
			       (const char *)t->name.data, t->entry.offset,
			       r == -E2BIG ? "limit-exceeded" : "broken pax value", key);
	return 0;
}

static int start_meta(struct tar *t, const uint8_t *b, struct err *err)
{
	if (unsigned_field(b + H_SIZE, 12, PAX_BYTES_MAX, &t->left) < 0)
		return broken(t, err, "an extended header of that size");
	t->meta_type = (char)b[H_TYPE];
	t->pad = -t->left % BLOCK;
	buf_clear(&t->meta);
	t->state = S_META;
	return 0;
}

static int end_meta(struct tar *t, struct err *err)
{
	struct buf *to = t->meta_type == 'L' ? &t->long_name : &t->long_link;
	int r = 0;

	switch (t->meta_type) {
	case 'x':
		r = pax_set_add(&t->local, t->meta.data, t->meta.len);
		break;
	case 'g':
		r = pax_set_add(&t->global, t->meta.data, t->meta.len);
		break;
	default:
		buf_clear(to);
		r = buf_add(to, t->meta.data, t->meta.len);
		break;
	}
	if (r == -EINVAL)
		return broken(t, err, "broken pax header");
	if (r == -ENOBUFS)
		return broken(t, err, "limit-exceeded: pax headers");
	return r < 0 ? err_no_memory(err) : 0;
}

/* Does the header describe the next one? */
static bool is_meta(uint8_t type)
{
	return type == 'x' || type == 'g' || type == 'L' || type == 'K';
}

static int on_header(struct tar *t, struct err *err)
{
	const uint8_t *b = t->block;

	t->entry = (struct tar_entry){ .offset = t->offset - BLOCK, .data_offset = t->offset };
	t->n_chunks = 0;
	t->map_bytes = 0;
	if (is_zero(b)) {
		/* Two of them end the archive; some writers leave a single one in between. */
		t->state = t->zero_block ? S_END : S_HEADER;
		t->zero_block = true;
		return 0;
	}
	t->zero_block = false;
	if (header_name(t, b, err) < 0)
		return -err->code;
	if (!sum_is_right(b))
		return broken(t, err, "wrong checksum of a header");
	if (is_meta(b[H_TYPE]))
		return start_meta(t, b, err);
	if (read_fields(t, err) < 0 || entry_names(t, b, err) < 0 || entry_type(t, b, err) < 0 ||
	    entry_numbers(t, b, err) < 0)
		return -err->code;
	if (b[H_TYPE] == 'S')
		return old_gnu_sparse(t, b, err);
	if (t->entry.type == TAR_FILE && (t->fields.sparse_old || t->fields.sparse_1_0))
		return pax_sparse(t, err);
	return emit(t, err);
}

static int on_gnu_block(struct tar *t, struct err *err)
{
	if (gnu_map(t, t->block, SPARSE_IN_BLOCK, err) < 0)
		return -err->code;
	t->entry.data_offset = t->offset;
	if (t->block[SPARSE_MORE])
		return 0;
	if (check_map(t, t->chunks, t->n_chunks, err) < 0)
		return -ERR_INVALID;
	return emit(t, err);
}

/* One decimal number of a pax 1.0 map. */
static int map_number(struct tar *t, struct err *err)
{
	uint64_t v;

	if (parse_u64_n(t->digits, t->n_digits, 10, INT64_MAX, &v) < 0)
		return broken(t, err, "broken map of a sparse file");
	t->n_digits = 0;
	t->want_numbers--;
	if (!t->have_count) {
		if (v > SPARSE_CHUNKS_MAX)
			return broken(t, err, "the map of a sparse file is too long");
		t->have_count = true;
		t->want_numbers = 2 * v;
		return 0;
	}
	t->half = !t->half;
	if (t->half) {
		t->first_number = v;
		return 0;
	}
	return add_chunk(t, t->first_number, v, err);
}

static int on_map_block(struct tar *t, struct err *err)
{
	for (unsigned i = 0; i < BLOCK && t->want_numbers > 0; i++) {
		if (t->block[i] == '\n') {
			if (map_number(t, err) < 0)
				return -err->code;
		} else if (t->n_digits == sizeof(t->digits)) {
			return broken(t, err, "broken map of a sparse file");
		} else {
			t->digits[t->n_digits++] = (char)t->block[i];
		}
	}
	if (t->left < BLOCK)
		return broken(t, err, "broken map of a sparse file");
	t->left -= BLOCK;
	t->map_bytes += BLOCK;
	if (t->want_numbers > 0)
		return 0;
	t->entry.stored_size = t->left;
	t->entry.data_offset = t->offset;
	if (check_map(t, t->chunks, t->n_chunks, err) < 0)
		return -ERR_INVALID;
	return emit(t, err);
}

static int on_block(struct tar *t, struct err *err)
{
	t->have = 0;
	if (t->state == S_HEADER)
		return on_header(t, err);
	return t->state == S_SPARSE_GNU ? on_gnu_block(t, err) : on_map_block(t, err);
}

/* Content is over, and its padding. */
static int end_of_content(struct tar *t, struct err *err)
{
	bool meta = t->state == S_META;

	t->state = S_HEADER;
	if (meta)
		return end_meta(t, err);
	return t->handler->end ? t->handler->end(t->user, err) : 0;
}

/* Content of a file or of an extended header. */
static int content(struct tar *t, const uint8_t *data, size_t *len, struct err *err)
{
	size_t n = *len;

	if (t->left > 0) {
		n = n < t->left ? n : (size_t)t->left;
		if (t->state == S_META && buf_add(&t->meta, data, n) < 0)
			return err_no_memory(err);
		if (t->state == S_DATA && t->handler->data &&
		    t->handler->data(t->user, data, n, err) < 0)
			return -err->code;
		t->left -= n;
	} else {
		n = n < t->pad ? n : (size_t)t->pad;
		t->pad -= n;
	}
	t->offset += n;
	*len = n;
	return 0;
}

int tar_feed(struct tar *t, const uint8_t *data, size_t len, struct err *err)
{
	while (len > 0 || ((t->state == S_DATA || t->state == S_META) && t->left + t->pad == 0)) {
		size_t n = len;

		if (t->state == S_END) {
			t->offset += len;
			return 0;
		}
		if (t->state == S_DATA || t->state == S_META) {
			if (t->left + t->pad == 0) {
				if (end_of_content(t, err) < 0)
					return -err->code;
				continue;
			}
			if (content(t, data, &n, err) < 0)
				return -err->code;
		} else {
			n = n < BLOCK - t->have ? n : BLOCK - t->have;
			memcpy(t->block + t->have, data, n);
			t->have += n;
			t->offset += n;
			if (t->have == BLOCK && on_block(t, err) < 0)
				return -err->code;
		}
		data += n;
		len -= n;
	}
	return 0;
}

int tar_finish(struct tar *t, struct err *err)
{
	if (t->state == S_END)
		return 0;
	if (t->state == S_DATA && t->left == 0) /* only padding is missing */
		return end_of_content(t, err);
	if (t->state != S_HEADER)
		return broken(t, err, "the archive ends inside this entry");
	if (t->have > 0)
		return err_set(err, ERR_INVALID,
			       "the archive ends inside a header at byte %" PRIu64, t->offset);
	if (t->local.bytes.len || t->long_name.len || t->long_link.len)
		return broken(t, err, "the archive ends behind an extended header");
	return 0;
}
