/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/cancel.h"
#include "base/num.h"
#include "image/archive.h"
#include "image/limits.h"
#include "image/stream.h"
#include "image/tree.h"
#include "tar/tar.h"

static struct member *current(struct archive *a)
{
	return a->members[a->n_members - 1];
}

/* Of one document: what it is shows later. */
static size_t doc_max(const struct archive *a)
{
	const struct image_limits *l = &a->run->store->limits;

	return l->config_bytes > l->manifest_bytes ? l->config_bytes : l->manifest_bytes;
}

/* One more member, of the cleaned name @path. */
static struct member *new_member(struct archive *a, const char *path)
{
	AUTO_FREE struct member *m = calloc(1, sizeof(*m));

	if (a->n_members == a->cap_members) {
		size_t cap = a->cap_members ? 2 * a->cap_members : 64;
		struct member **p = reallocarray(a->members, cap, sizeof(struct member *));

		if (!p)
			return NULL;
		a->members = p;
		a->cap_members = cap;
	}
	if (!m)
		return NULL;
	m->kind = MEMBER_OTHER;
	m->name = strdup(path);
	if (!m->name)
		return NULL;
	buf_init(&m->doc, doc_max(a));
	return a->members[a->n_members++] = TAKE_PTR(m);
}

static int on_entry(void *user, const struct tar_entry *e, struct err *err)
{
	struct archive *a = user;
	char path[PATH_BYTES_MAX + 1];
	struct member *m;

	a->open = false;
	if (tree_clean_path(e->name, path) < 0)
		return err_set(err, ERR_INVALID, "broken member name \"%.200s\"", e->name);
	if (e->type != TAR_FILE && e->type != TAR_SYMLINK && e->type != TAR_LINK)
		return 0;
	if (e->sparse)
		return err_set(err, ERR_INVALID, "member \"%.200s\" is sparse", path);
	if (a->n_members == ARCHIVE_MEMBERS_MAX)
		return err_set(err, ERR_INVALID, "limit-exceeded: members of an archive");
	m = new_member(a, path);
	if (!m)
		return err_no_memory(err);
	if (e->type != TAR_FILE) {
		m->kind = e->type == TAR_LINK ? MEMBER_LINK : MEMBER_SYMLINK;
		m->link = strdup(e->link);
	}
	if (e->type != TAR_FILE && !m->link)
		return err_no_memory(err);
	a->open = e->type == TAR_FILE;
	a->decided = false;
	a->n_head = 0;
	a->size = e->size;
	return 0;
}

/* What is this member, by its first bytes? */
static enum member_kind sniff(const struct archive *a)
{
	static const uint8_t gzip[] = { 0x1f, 0x8b }, zstd[] = { 0x28, 0xb5, 0x2f, 0xfd };
	static const uint8_t skip[] = { 0x2a, 0x4d, 0x18 }; /* behind a byte 0x50 to 0x5f */
	static const char blank[] = { ' ', '\t', '\r', '\n' };
	size_t i = 0;

	if (a->n_head >= 2 && memcmp(a->head, gzip, 2) == 0)
		return MEMBER_LAYER;
	if (a->n_head >= 4 && (memcmp(a->head, zstd, 4) == 0 ||
			       ((a->head[0] & 0xf0) == 0x50 && memcmp(a->head + 1, skip, 3) == 0)))
		return MEMBER_LAYER;
	if (a->n_head == sizeof(a->head) && tar_is_header(a->head))
		return MEMBER_LAYER;
	while (i < a->n_head && memchr(blank, a->head[i], sizeof(blank)))
		i++;
	if (i < a->n_head && (a->head[i] == '{' || a->head[i] == '['))
		return a->size <= doc_max(a) ? MEMBER_DOC : MEMBER_OTHER;
	/* The archive of a broken layer is told apart from a text by its name only. */
	if (a->n_head == sizeof(a->head) && memcmp(a->head + 257, "ustar", 5) == 0)
		return MEMBER_LAYER;
	return MEMBER_OTHER;
}

/* A member that is no layer matters only if a manifest names it. */
static int bad_layer(struct archive *a, struct member *m, struct err *err)
{
	layer_free(TAKE_PTR(m->writer));
	a->n_writers--;
	if (err->code != ERR_INVALID)
		return -err->code;
	m->kind = MEMBER_BAD;
	m->bad = malloc(sizeof(*m->bad));
	if (!m->bad)
		return err_no_memory(err);
	*m->bad = *err;
	*err = ERR_INIT;
	return 0;
}

/* Let at most @max layers be under way; the oldest are waited for. */
static int settle(struct archive *a, unsigned max, struct err *err)
{
	for (size_t i = 0; i < a->n_members && a->n_writers > max; i++) {
		struct member *m = a->members[i];

		if (!m->writer)
			continue;
		if (layer_wait(m->writer, &m->layer, err) < 0) {
			if (bad_layer(a, m, err) < 0)
				return -err->code;
			continue;
		}
		layer_free(TAKE_PTR(m->writer));
		a->n_writers--;
	}
	return 0;
}

static int take(struct archive *a, const uint8_t *data, size_t len, struct err *err)
{
	struct member *m = current(a);

	switch (m->kind) {
	case MEMBER_DOC:
		a->doc_bytes += len;
		if (a->doc_bytes > ARCHIVE_DOC_BYTES_MAX)
			return err_set(err, ERR_INVALID, "limit-exceeded: documents of an archive");
		return buf_add(&m->doc, data, len) < 0 ? err_no_memory(err) : 0;
	case MEMBER_LAYER:
		return layer_feed(m->writer, data, len, err) < 0 ? bad_layer(a, m, err) : 0;
	case MEMBER_OTHER:
	case MEMBER_BAD:
	case MEMBER_SYMLINK:
	case MEMBER_LINK:
	default:
		return 0;
	}
}

static int decide(struct archive *a, struct err *err)
{
	struct member *m = current(a);

	a->decided = true;
	m->kind = sniff(a);
	if (m->kind == MEMBER_LAYER) {
		if (settle(a, layer_jobs() - 1, err) < 0 || layer_new(a->run, &m->writer, err) < 0)
			return -err->code;
		a->n_writers++;
	}
	return take(a, a->head, a->n_head, err);
}

static int on_data(void *user, const uint8_t *data, size_t len, struct err *err)
{
	struct archive *a = user;

	if (!a->open)
		return 0;
	if (!a->decided) {
		size_t n = sizeof(a->head) - a->n_head < len ? sizeof(a->head) - a->n_head : len;

		memcpy(a->head + a->n_head, data, n);
		a->n_head += n;
		data += n;
		len -= n;
		if (a->n_head < sizeof(a->head))
			return 0;
		if (decide(a, err) < 0)
			return -err->code;
	}
	return len ? take(a, data, len, err) : 0;
}

/* A name that holds a digest must have that content. */
static int check_name(const struct member *m, struct err *err)
{
	uint8_t want[SHA256_BYTES];
	const char *hex = m->name + strlen(BLOB_DIR);

	if (strncmp(m->name, BLOB_DIR, strlen(BLOB_DIR)) != 0 ||
	    hex_decode(hex, strlen(hex), want, sizeof(want)) < 0)
		return 0;
	if (memcmp(want, m->sha, sizeof(want)) != 0) {
		char found[DIGEST_TEXT_MAX];

		digest_text(m->sha, found);
		return err_set(err, ERR_INVALID, "digest-mismatch: \"%s\" has the content of %s",
			       m->name, found);
	}
	return 0;
}

static int on_end(void *user, struct err *err)
{
	struct archive *a = user;
	struct member *m;

	if (!a->open)
		return 0;
	a->open = false;
	if (!a->decided && decide(a, err) < 0)
		return -err->code;
	m = current(a);
	if (m->kind == MEMBER_LAYER) {
		if (layer_end(m->writer, m->sha, err) < 0)
			return bad_layer(a, m, err);
	} else if (m->kind == MEMBER_DOC) {
		digest_of(m->doc.data, m->doc.len, m->sha);
	} else {
		return 0;
	}
	return check_name(m, err);
}

static int on_bytes(void *user, const uint8_t *data, size_t len, struct err *err)
{
	return tar_feed(user, data, len, err);
}

/* As io_read_full(), but the run's switch ends a wait for more as well. */
static ssize_t read_block(int fd, uint8_t *buf, const char *what, struct cancel *cancel,
			  struct err *err)
{
	size_t have = 0;

	while (have < COPY_BYTES) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (cancel_poll(cancel, &p, 1, -1, err) < 0)
			return -(ssize_t)err->code;
		n = read(fd, buf + have, COPY_BYTES - have);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return err_sys(err, errno, "reading %s", what);
		if (n == 0)
			break;
		have += n > 0 ? (size_t)n : 0;
	}
	return (ssize_t)have;
}

static int read_stream(struct archive *a, int fd, const char *what, struct err *err)
{
	static const struct tar_handler handler = { on_entry, on_data, on_end };
	AUTO(stream_free) struct stream *stream = NULL;
	AUTO(tar_free) struct tar *tar = NULL;
	AUTO_FREE uint8_t *buf = malloc(COPY_BYTES);
	ssize_t n;

	if (!buf || tar_new(&handler, a, FILE_BYTES_MAX, &tar) < 0 ||
	    stream_new(on_bytes, tar, INT64_MAX, &stream) < 0)
		return err_no_memory(err);
	do {
		n = read_block(fd, buf, what, a->run->cancel, err);
		if (n < 0)
			return -err->code;
		if (n > 0 && stream_feed(stream, buf, (size_t)n, err) < 0)
			return err_wrap(err, "%s", what);
	} while (n > 0);
	if (stream_finish(stream, err) < 0 || tar_finish(tar, err) < 0)
		return err_wrap(err, "%s", what);
	if (settle(a, 0, err) < 0)
		return err_wrap(err, "%s", what);
	if (a->n_members == 0)
		return err_set(err, ERR_INVALID, "%s is no image archive: it is empty", what);
	return 0;
}

int archive_open(struct archive *a, struct store_run *run, int fd, const char *what,
		 struct err *err)
{
	struct stat st;

	*a = (struct archive){ .run = run, .what = what, .dir_fd = -1 };
	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, "reading %s", what);
	if (!S_ISDIR(st.st_mode))
		return read_stream(a, fd, what, err);
	a->dir_fd = fd;
	return 0;
}

int archive_take_file(struct archive *a, const char *name, int fd, uint64_t size, struct err *err)
{
	const struct tar_entry e = { .type = TAR_FILE, .name = name, .size = size };
	AUTO_FREE uint8_t *buf = malloc(COPY_BYTES);
	ssize_t n;

	if (!buf)
		return err_no_memory(err);
	if (on_entry(a, &e, err) < 0)
		return -err->code;
	do {
		n = read_block(fd, buf, a->what, a->run->cancel, err);
		if (n < 0)
			return (int)n;
		if (n > 0 && on_data(a, buf, (size_t)n, err) < 0)
			return err_wrap(err, "%s/%s", a->what, name);
	} while (n > 0);
	if (on_end(a, err) < 0 || settle(a, 0, err) < 0)
		return err_wrap(err, "%s/%s", a->what, name);
	return 0;
}

int archive_add_doc(struct archive *a, const char *name, const struct buf *doc, struct err *err)
{
	struct member *m = new_member(a, name);

	if (!m || buf_add(&m->doc, doc->data, doc->len) < 0)
		return err_no_memory(err);
	m->kind = MEMBER_DOC;
	digest_of(m->doc.data, m->doc.len, m->sha);
	return 0;
}

void archive_done(struct archive *a)
{
	for (size_t i = 0; i < a->n_members; i++) {
		struct member *m = a->members[i];

		layer_free(m->writer);
		if (m->kind == MEMBER_LAYER && m->layer.tree_name[0])
			layer_drop(a->run, &m->layer);
		buf_done(&m->doc);
		free(m->name);
		free(m->link);
		free(m->bad);
		free(m);
	}
	free(a->members);
	*a = (struct archive){ 0 };
}
