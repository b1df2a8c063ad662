/* SPDX-License-Identifier: Apache-2.0 */
#include "tar/pax.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/num.h"
#include "tar/limits.h"

void pax_set_init(struct pax_set *s, size_t max)
{
	buf_init(&s->bytes, max);
}

void pax_set_done(struct pax_set *s)
{
	buf_done(&s->bytes);
}

struct record {
	const uint8_t *key, *value;
	size_t key_len, value_len;
	size_t total;
};

/* The record at the front of @p. */
static int cut_record(const uint8_t *p, size_t len, struct record *r)
{
	const uint8_t *space = memchr(p, ' ', len < 21 ? len : 21), *eq;
	uint64_t total;
	size_t head;

	if (!space || parse_u64_n((const char *)p, (size_t)(space - p), 10, len, &total) < 0)
		return -EINVAL;
	head = (size_t)(space - p) + 1;
	if (total < head + 2 || p[total - 1] != '\n')
		return -EINVAL;
	eq = memchr(space + 1, '=', (size_t)total - head - 1);
	if (!eq || eq == space + 1)
		return -EINVAL;
	r->key = space + 1;
	r->key_len = (size_t)(eq - r->key);
	r->value = eq + 1;
	r->value_len = (size_t)(p + total - 1 - r->value);
	r->total = (size_t)total;
	return 0;
}

int pax_set_add(struct pax_set *s, const uint8_t *body, size_t len)
{
	struct record r;
	size_t at = 0;

	/* Some writers leave zeros behind the last record. */
	while (at < len && body[at] != '\0') {
		if (cut_record(body + at, len - at, &r) < 0 || memchr(r.key, '\0', r.key_len))
			return -EINVAL;
		at += r.total;
	}
	return buf_add(&s->bytes, body, at);
}

void pax_fields_done(struct pax_fields *f)
{
	for (size_t i = 0; i < f->n_xattrs; i++)
		free((void *)(uintptr_t)f->xattrs[i].name);
	free(f->xattrs);
	free(f->chunks);
	*f = (struct pax_fields){ 0 };
}

/* Room for one more item in an array that doubles. */
static int grow(void **items, size_t n, size_t item_size, size_t max)
{
	void *p;

	if (n >= max)
		return -E2BIG;
	if (n & (n - 1))
		return 0;
	p = reallocarray(*items, n ? 2 * n : 1, item_size);
	if (!p)
		return -ENOMEM;
	*items = p;
	return 0;
}

static int add_chunk(struct pax_fields *f, uint64_t offset, uint64_t len)
{
	int r = grow((void **)&f->chunks, f->n_chunks, sizeof(*f->chunks), SPARSE_CHUNKS_MAX);

	if (r < 0)
		return r;
	f->chunks[f->n_chunks++] = (struct tar_chunk){ .file_offset = offset, .len = len };
	return 0;
}

static int number(const struct record *r, uint64_t max, uint64_t *ret)
{
	return parse_u64_n((const char *)r->value, r->value_len, 10, max, ret) < 0 ? -EINVAL : 0;
}

/* "-12.5": seconds rounded down, and nanoseconds. */
static int parse_time(const struct record *r, int64_t *ret_s, uint32_t *ret_ns)
{
	const uint8_t *p = r->value, *end = p + r->value_len, *dot;
	bool negative = p < end && *p == '-';
	uint64_t s = 0;
	uint32_t ns = 0, scale = 100000000;
	bool more = false;

	if (negative)
		p++;
	dot = memchr(p, '.', (size_t)(end - p));
	if (parse_u64_n((const char *)p, (size_t)((dot ? dot : end) - p), 10, INT64_MAX - 1, &s) <
	    0)
		return -EINVAL;
	for (p = dot ? dot + 1 : end; p < end; p++, scale /= 10) {
		if (*p < '0' || *p > '9')
			return -EINVAL;
		ns += (uint32_t)(*p - '0') * scale;
		more |= scale == 0 && *p != '0';
	}
	if (negative && (ns || more)) {
		*ret_s = -(int64_t)s - 1;
		*ret_ns = ns ? 1000000000u - ns - more : 999999999u;
	} else {
		*ret_s = negative ? -(int64_t)s : (int64_t)s;
		*ret_ns = ns;
	}
	return 0;
}

static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Attribute names of LIBARCHIVE.xattr are URL-encoded, values are base64. */
static int url_decode(const uint8_t *text, size_t len, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int hi, lo;

		if (text[i] != '%') {
			out[n++] = (char)text[i];
			continue;
		}
		if (i + 2 >= len)
			return -EINVAL;
		hi = hex_value(text[i + 1]);
		lo = hex_value(text[i + 2]);
		if (hi < 0 || lo < 0 || (hi | lo) == 0)
			return -EINVAL;
		out[n++] = (char)(hi << 4 | lo);
		i += 2;
	}
	out[n] = '\0';
	return 0;
}

/* The slot of attribute @name (owned by it afterwards), new or to be overwritten. */
static int xattr_slot(struct pax_fields *f, char *name, struct tar_xattr **ret)
{
	int r;

	for (size_t i = 0; i < f->n_xattrs; i++) {
		if (strcmp(f->xattrs[i].name, name) == 0) {
			free((void *)(uintptr_t)f->xattrs[i].name);
			f->xattrs[i] = (struct tar_xattr){ .name = name };
			*ret = &f->xattrs[i];
			return 0;
		}
	}
	r = grow((void **)&f->xattrs, f->n_xattrs, sizeof(*f->xattrs), XATTRS_MAX);
	if (r < 0) {
		free(name);
		return r;
	}
	f->xattrs[f->n_xattrs] = (struct tar_xattr){ .name = name };
	*ret = &f->xattrs[f->n_xattrs++];
	return 0;
}

static int add_xattr(struct pax_fields *f, const uint8_t *name, size_t name_len,
		     const struct record *r, enum tar_xattr_kind kind)
{
	struct tar_xattr *x;
	char *copy;
	int rc;

	f->xattr_bytes += name_len + r->value_len;
	if (f->xattr_bytes > XATTR_BYTES_MAX)
		return -E2BIG;
	copy = strndup((const char *)name, name_len);
	if (!copy)
		return -ENOMEM;
	rc = xattr_slot(f, copy, &x);
	if (rc < 0)
		return rc;
	x->value = r->value;
	x->len = r->value_len;
	x->kind = kind;
	return 0;
}

static int add_libarchive(struct pax_fields *f, const uint8_t *name, size_t name_len,
			  const struct record *r)
{
	struct tar_xattr *x;
	char *buf;
	size_t len = r->value_len, n = 0;
	int rc;

	f->xattr_bytes += name_len + len;
	if (f->xattr_bytes > XATTR_BYTES_MAX)
		return -E2BIG;
	while (len > 0 && r->value[len - 1] == '\n')
		len--;
	/* Name and decoded value share an allocation; freed by the name. */
	buf = malloc(name_len + 1 + BASE64_DECODED(len));
	if (!buf)
		return -ENOMEM;
	if (url_decode(name, name_len, buf) < 0 ||
	    base64_decode((const char *)r->value, len, (uint8_t *)buf + name_len + 1, &n) < 0) {
		free(buf);
		return -EINVAL;
	}
	rc = xattr_slot(f, buf, &x);
	if (rc < 0)
		return rc;
	x->value = (uint8_t *)buf + name_len + 1;
	x->len = n;
	return 0;
}

static bool key_is(const struct record *r, const char *key)
{
	return r->key_len == strlen(key) && memcmp(r->key, key, r->key_len) == 0;
}

/* Bytes of the key behind @prefix, or 0. */
static size_t key_behind(const struct record *r, const char *prefix)
{
	size_t n = strlen(prefix);

	return r->key_len > n && memcmp(r->key, prefix, n) == 0 ? r->key_len - n : 0;
}

static int apply_sparse(struct pax_fields *f, const struct record *r)
{
	uint64_t n;

	if (key_is(r, "GNU.sparse.major"))
		return number(r, 1, &f->sparse_major);
	if (key_is(r, "GNU.sparse.minor"))
		return number(r, 1, &f->sparse_minor);
	if (key_is(r, "GNU.sparse.name")) {
		f->sparse_name = r->value;
		f->sparse_name_len = r->value_len;
	} else if (key_is(r, "GNU.sparse.realsize") || key_is(r, "GNU.sparse.size")) {
		f->sparse_old |= key_is(r, "GNU.sparse.size");
		f->has_real_size = true;
		return number(r, INT64_MAX, &f->real_size);
	} else if (key_is(r, "GNU.sparse.map")) {
		f->sparse_map = r->value;
		f->sparse_map_len = r->value_len;
		f->sparse_old = true;
	} else if (key_is(r, "GNU.sparse.offset")) {
		f->has_pending = true;
		return number(r, INT64_MAX, &f->pending_offset);
	} else if (key_is(r, "GNU.sparse.numbytes")) {
		if (!f->has_pending || number(r, INT64_MAX, &n) < 0)
			return -EINVAL;
		f->has_pending = false;
		f->sparse_old = true;
		return add_chunk(f, f->pending_offset, n);
	}
	return 0;
}

static int apply_xattr(struct pax_fields *f, const struct record *r)
{
	size_t n = key_behind(r, "SCHILY.xattr.");

	if (n)
		return add_xattr(f, r->key + r->key_len - n, n, r, TAR_XATTR_BINARY);
	n = key_behind(r, "LIBARCHIVE.xattr.");
	if (n)
		return add_libarchive(f, r->key + r->key_len - n, n, r);
	n = key_behind(r, "SCHILY.acl.");
	if (n && (key_is(r, "SCHILY.acl.access") || key_is(r, "SCHILY.acl.default"))) {
		const char *name = key_is(r, "SCHILY.acl.access") ? "system.posix_acl_access"
								  : "system.posix_acl_default";

		return add_xattr(f, (const uint8_t *)name, strlen(name), r, TAR_XATTR_ACL_TEXT);
	}
	return 0;
}

/* An empty value takes back what a global header said. */
static int apply_record(struct pax_fields *f, const struct record *r)
{
	bool given = r->value_len > 0;

	if (key_is(r, "path")) {
		f->path = given ? r->value : NULL;
		f->path_len = r->value_len;
	} else if (key_is(r, "linkpath")) {
		f->link = given ? r->value : NULL;
		f->link_len = r->value_len;
	} else if (key_is(r, "size")) {
		f->has_size = given;
		return given ? number(r, INT64_MAX, &f->size) : 0;
	} else if (key_is(r, "uid")) {
		f->has_uid = given;
		return given ? number(r, UINT32_MAX, &f->uid) : 0;
	} else if (key_is(r, "gid")) {
		f->has_gid = given;
		return given ? number(r, UINT32_MAX, &f->gid) : 0;
	} else if (key_is(r, "mtime")) {
		f->has_mtime = given;
		return given ? parse_time(r, &f->mtime, &f->mtime_ns) : 0;
	} else if (key_behind(r, "GNU.sparse.")) {
		return apply_sparse(f, r);
	}
	return apply_xattr(f, r);
}

int pax_apply(const struct pax_set *s, struct pax_fields *f, const char **ret_key)
{
	static const char *const keys[] = { "path", "linkpath", "size", "uid", "gid", "mtime" };
	struct record r;
	size_t at = 0;
	int rc;

	while (at < s->bytes.len) {
		rc = cut_record(s->bytes.data + at, s->bytes.len - at, &r);
		assert(rc == 0); /* checked by pax_set_add() */
		rc = apply_record(f, &r);
		if (rc < 0) {
			*ret_key = key_behind(&r, "GNU.sparse.") ? "GNU.sparse" : "an attribute";
			for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
				if (key_is(&r, keys[i]))
					*ret_key = keys[i];
			}
			return rc;
		}
		at += r.total;
	}
	f->sparse_1_0 = f->sparse_major == 1;
	return 0;
}

int pax_sparse_map(struct pax_fields *f)
{
	const uint8_t *p = f->sparse_map, *end = p + f->sparse_map_len;
	uint64_t v[2];
	unsigned n = 0;
	int r;

	while (p < end) {
		const uint8_t *comma = memchr(p, ',', (size_t)(end - p));
		const uint8_t *stop = comma ? comma : end;

		if (parse_u64_n((const char *)p, (size_t)(stop - p), 10, INT64_MAX, &v[n]) < 0)
			return -EINVAL;
		if (++n == 2) {
			r = add_chunk(f, v[0], v[1]);
			if (r < 0)
				return r;
			n = 0;
		}
		p = comma ? comma + 1 : end;
	}
	return n == 0 ? 0 : -EINVAL;
}
