/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tar/limits.h"
#include "tar/pack_internal.h"

#define BLOCK	   512u
#define CHUNKS_MAX 8192u /* pieces of a sparse file; with more it is sent whole */

struct chunks {
	struct tar_chunk *items; /* owned */
	size_t n;
	uint64_t bytes;
};

static void chunks_free_auto(struct chunks *c)
{
	free(c->items);
}

/* Where the data lies. false: it is not worth it, or cannot be told. */
static bool find_chunks(int fd, const struct stat *st, struct chunks *c)
{
	off_t at = 0;

	if (st->st_size == 0 || (uint64_t)st->st_blocks * 512 >= (uint64_t)st->st_size)
		return false;
	c->items = calloc(CHUNKS_MAX, sizeof(*c->items));
	if (!c->items)
		return false;
	while (at < st->st_size) {
		off_t data = lseek(fd, at, SEEK_DATA), hole;

		if (data < 0)
			return errno == ENXIO;
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole < 0 || c->n == CHUNKS_MAX)
			return false;
		if (data >= st->st_size)
			return true;
		if (hole > st->st_size)
			hole = st->st_size;
		c->items[c->n++] = (struct tar_chunk){ .file_offset = (uint64_t)data,
						       .len = (uint64_t)(hole - data) };
		c->bytes += (uint64_t)(hole - data);
		at = hole;
	}
	return true;
}

/* Bytes of the file; one that became shorter is filled up with zeros, since its size is said. */
static int put_range(struct packer *p, int fd, uint64_t offset, uint64_t len, bool *shrunk)
{
	while (len > 0) {
		size_t n = sizeof(p->out) - p->len;
		ssize_t got = 0;

		if (n == 0) {
			if (pack_flush(p) < 0)
				return -1;
			continue;
		}
		if (n > len)
			n = (size_t)len;
		if (!*shrunk)
			got = pread(fd, p->out + p->len, n, (off_t)offset);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_sys(p->err, errno, "cannot read '%s'", (char *)p->path.data);
		if (got == 0) {
			*shrunk = true;
			memset(p->out + p->len, 0, n);
			got = (ssize_t)n;
		}
		p->len += (size_t)got;
		offset += (uint64_t)got;
		len -= (uint64_t)got;
	}
	return 0;
}

static int put_padding(struct packer *p, uint64_t len)
{
	static const char zeros[BLOCK];

	return p->sink.put(p->sink.user, zeros, -len % BLOCK, p->err);
}

static int put_sparse(struct packer *p, int fd, struct tar_entry *e, const struct chunks *c,
		      bool *shrunk)
{
	AUTO(buf_done) struct buf map = { .max = (size_t)CHUNKS_MAX * 48 };
	int r = buf_addf(&map, "%zu\n", c->n);

	for (size_t i = 0; i < c->n && r >= 0; i++)
		r = buf_addf(&map, "%" PRIu64 "\n%" PRIu64 "\n", c->items[i].file_offset,
			     c->items[i].len);
	while (r >= 0 && map.len % BLOCK)
		r = buf_add_u8(&map, 0);
	if (r < 0)
		return err_no_memory(p->err);
	e->sparse = true;
	e->stored_size = map.len + c->bytes;
	r = pack_head(p, fd, e);
	if (r >= 0)
		r = p->sink.put(p->sink.user, map.data, map.len, p->err);
	for (size_t i = 0; i < c->n && r >= 0; i++)
		r = put_range(p, fd, c->items[i].file_offset, c->items[i].len, shrunk);
	return r < 0 ? r : put_padding(p, e->stored_size);
}

int pack_file(struct packer *p, int fd, const struct stat *st)
{
	__attribute__((cleanup(chunks_free_auto))) struct chunks c = { 0 };
	struct tar_entry e;
	bool shrunk = false;
	int r;

	pack_entry(p, TAR_FILE, st, &e);
	e.size = e.stored_size = (uint64_t)st->st_size;
	if (find_chunks(fd, st, &c)) {
		r = put_sparse(p, fd, &e, &c, &shrunk);
	} else {
		r = pack_head(p, fd, &e);
		if (r >= 0)
			r = put_range(p, fd, 0, e.size, &shrunk);
		if (r >= 0)
			r = put_padding(p, e.size);
	}
	if (r >= 0 && shrunk)
		pack_warn(p, "became shorter meanwhile; zeros take the place of what is missing");
	return r;
}

/* Names and values one after the other in @store, which must not move: it is full size. */
static size_t read_xattrs(int fd, struct tar_xattr *list, uint8_t *store, size_t size)
{
	ssize_t names = flistxattr(fd, (char *)store, size / 2);
	size_t n = 0, at = size / 2;

	for (ssize_t i = 0; i < names && n < XATTRS_MAX; n++) {
		const char *name = (const char *)store + i;
		ssize_t len = fgetxattr(fd, name, store + at, size - at);

		i += (ssize_t)strlen(name) + 1;
		if (len < 0) {
			n--; /* it went away, or does not fit */
			continue;
		}
		list[n] =
			(struct tar_xattr){ .name = name, .value = store + at, .len = (size_t)len };
		at += (size_t)len;
	}
	return n;
}

int pack_head(struct packer *p, int fd, struct tar_entry *e)
{
	AUTO_FREE struct tar_xattr *list = NULL;
	AUTO_FREE uint8_t *store = NULL;

	if (p->o->xattrs && fd >= 0 && flistxattr(fd, NULL, 0) > 0) {
		list = calloc(XATTRS_MAX, sizeof(*list));
		store = malloc(2 * (size_t)XATTR_BYTES_MAX);
		if (!list || !store)
			return err_no_memory(p->err);
		e->n_xattrs = read_xattrs(fd, list, store, 2 * (size_t)XATTR_BYTES_MAX);
		e->xattrs = list;
	}
	return tar_put_head(&p->sink, e, p->err);
}
