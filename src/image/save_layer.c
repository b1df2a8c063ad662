/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: layers of a saved image
 *
 * Every byte that is read is hashed, and the digest compared when the layer is over: a damaged
 * layer ends the archive before its documents, which come last, so that it never looks whole.
 * A compressed layer goes through a temporary file, as tar wants its size first.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/cancel.h"
#include "base/io.h"
#include "base/num.h"
#include "image/limits.h"
#include "image/save.h"

struct source {
	const struct save *s;  /* borrowed */
	int fd;		       /* borrowed */
	struct digest *digest; /* owned */
};

static void source_done_auto(struct source *src)
{
	digest_free(src->digest);
}

static int damaged(const struct sha *sha, struct err *err)
{
	char text[DIGEST_TEXT_MAX];

	digest_text(sha->b, text);
	err_set(err, ERR_IO,
		"image-corrupt: the stored layer %s does not have its digest any more\n"
		"pull or load the image again",
		text);
	err_reason(err, "image-corrupt");
	return err_detail(err, ERR_NR_IMAGE, text);
}

static int source_open(const struct save *s, int fd, struct source *ret, struct err *err)
{
	*ret = (struct source){ .s = s, .fd = fd };
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return digest_new(&ret->digest) < 0 ? err_no_memory(err) : 0;
}

static ssize_t source_read(void *user, void *buf, size_t len, struct err *err)
{
	struct source *src = user;
	ssize_t n;

	if (cancel_check(src->s->run->cancel, err) < 0)
		return -(ssize_t)err->code;
	n = io_read_full(src->fd, buf, len);
	if (n < 0)
		return err_sys(err, (int)-n, "reading a layer");
	digest_add(src->digest, buf, (size_t)n);
	return n;
}

/* All is read: was it what it should be? */
static int source_check(struct source *src, const struct sha *want, struct err *err)
{
	struct sha found;

	digest_end(src->digest, found.b);
	return memcmp(found.b, want->b, SHA256_BYTES) == 0 ? 0 : damaged(want, err);
}

/* The file @fd, whose content has the digest @sha, as a member of the archive. */
static int copy_file(struct save *s, int fd, const struct sha *sha, const char *name,
		     struct err *err)
{
	AUTO(source_done) struct source src = { 0 };
	struct stat st;

	if (fstat(fd, &st) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(err, errno, "reading a layer");
	if (source_open(s, fd, &src, err) < 0 ||
	    tar_out_file(&s->out, name, (uint64_t)st.st_size, err) < 0)
		return -err->code;
	while (s->out.left > 0) {
		size_t want = s->out.left < COPY_BYTES ? (size_t)s->out.left : COPY_BYTES;
		ssize_t n = source_read(&src, s->buf, want, err);

		if (n < 0)
			return (int)n;
		if ((size_t)n < want)
			return damaged(sha, err);
		if (tar_out_add(&s->out, s->buf, want, err) < 0)
			return -err->code;
	}
	return source_check(&src, sha, err);
}

static int open_file(struct save *s, const char *name, int *ret_fd, struct err *err)
{
	*ret_fd = openat(s->run->store->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return *ret_fd < 0 ? err_sys(err, errno, "reading images/%s", name) : 0;
}

int save_plain_layer(struct save *s, const struct sha *diff_id, const char *name,
		     uint64_t *ret_size, struct err *err)
{
	char file[STORE_NAME_MAX];
	AUTO_CLOSE int fd = -1;
	struct stat st;
	int r;

	store_data_name(diff_id->b, file);
	if (open_file(s, file, &fd, err) < 0)
		return -err->code;
	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, "reading images/%s", file);
	*ret_size = (uint64_t)st.st_size;
	r = save_note_blob(s, diff_id);
	if (r < 0)
		return err_no_memory(err);
	return r > 0 ? 0 : copy_file(s, fd, diff_id, name, err);
}

/* The layer as it came, if the store keeps it. Return: 1, 0 if not, negative with *err set. */
static int find_kept(struct save *s, const struct sha *original, int *ret_fd, struct saved_layer *l,
		     struct err *err)
{
	static const uint8_t gzip[] = { 0x1f, 0x8b };
	char name[STORE_NAME_MAX];
	AUTO_CLOSE int fd = -1;
	uint8_t head[sizeof(gzip)];
	struct stat st;

	if (store_hold(s->run, original->b, err) < 0)
		return -err->code;
	store_blob_name(original->b, name);
	fd = openat(s->run->store->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0 ||
	    io_pread_full(fd, head, sizeof(head), 0) != (ssize_t)sizeof(head))
		return 0;
	l->kind = memcmp(head, gzip, sizeof(gzip)) == 0 ? COMPRESS_GZIP : COMPRESS_ZSTD;
	l->size = (uint64_t)st.st_size;
	*ret_fd = TAKE_FD(fd);
	return 1;
}

/* Where compressed bytes go. */
struct sink {
	struct source *src; /* borrowed */
	int fd;		    /* borrowed */
	struct digest *digest;
	uint64_t size;
};

static void sink_done_auto(struct sink *k)
{
	digest_free(k->digest);
}

static ssize_t sink_read(void *user, void *buf, size_t len, struct err *err)
{
	struct sink *k = user;

	return source_read(k->src, buf, len, err);
}

static int sink_write(void *user, const void *data, size_t len, struct err *err)
{
	struct sink *k = user;
	int r = io_write_full(k->fd, data, len);

	if (r < 0)
		return err_sys(err, -r, "writing a compressed layer");
	digest_add(k->digest, data, len);
	k->size += len;
	return 0;
}

/* Compress the layer into the file @to; fills the rest of @l. */
static int compress_layer(struct save *s, struct saved_layer *l, int to, struct err *err)
{
	AUTO(source_done) struct source src = { 0 };
	AUTO(sink_done) struct sink sink = { .src = &src, .fd = to };
	const struct compress_io io = { sink_read, sink_write, &sink };
	char file[STORE_NAME_MAX];
	AUTO_CLOSE int fd = -1;

	store_data_name(l->diff_id.b, file);
	if (open_file(s, file, &fd, err) < 0 || source_open(s, fd, &src, err) < 0)
		return -err->code;
	if (digest_new(&sink.digest) < 0)
		return err_no_memory(err);
	if (compress_run(l->kind, s->o->threads, &io, err) < 0 ||
	    source_check(&src, &l->diff_id, err) < 0)
		return -err->code;
	digest_end(sink.digest, l->blob.b);
	l->size = sink.size;
	return 0;
}

static int not_exact(const struct sha *original, struct err *err)
{
	char text[DIGEST_TEXT_MAX];

	err_set(err, ERR_INVALID,
		"the image would get another digest: its compressed layers are not kept\n"
		"leave out --exact, or set images.keep_blobs in config.json and pull it with -f");
	err_reason(err, "digest-changes");
	digest_text(original->b, text);
	return err_detail(err, ERR_NR_IMAGE, text);
}

static int add_anew(struct save *s, const struct saved_layer *l, struct err *err)
{
	struct saved_layer *p = reallocarray(s->anew, s->n_anew + 1, sizeof(*p));

	if (!p)
		return err_no_memory(err);
	s->anew = p;
	p[s->n_anew++] = *l;
	return 0;
}

static int compress_anew(struct save *s, struct saved_layer *l, const struct sha *original,
			 struct err *err)
{
	char file[STORE_NAME_MAX], name[STORE_NAME_MAX];
	AUTO_CLOSE int fd = -1;
	int r;

	for (size_t i = 0; i < s->n_anew; i++) {
		if (s->anew[i].kind == l->kind &&
		    memcmp(&s->anew[i].diff_id, &l->diff_id, sizeof(l->diff_id)) == 0) {
			*l = s->anew[i];
			return 0;
		}
	}
	r = store_run_file(s->run, file, &fd);
	if (r < 0)
		return err_sys(err, -r, "writing a compressed layer");
	(void)unlinkat(s->run->store->dir_fd, file, 0); /* the descriptor is enough */
	if (compress_layer(s, l, fd, err) < 0)
		return -err->code;
	if (s->o->exact && memcmp(&l->blob, original, sizeof(*original)) != 0)
		return not_exact(original, err);
	r = save_note_blob(s, &l->blob);
	if (r < 0)
		return err_no_memory(err);
	store_blob_name(l->blob.b, name);
	if (r == 0 && copy_file(s, fd, &l->blob, name, err) < 0)
		return -err->code;
	return add_anew(s, l, err);
}

/* The bytes of the manifest's own layer, kept in the file @fd. */
static int copy_kept(struct save *s, int fd, const struct sha *original, struct err *err)
{
	char name[STORE_NAME_MAX];
	int r = save_note_blob(s, original);

	if (r < 0)
		return err_no_memory(err);
	store_blob_name(original->b, name);
	return r > 0 ? 0 : copy_file(s, fd, original, name, err);
}

int save_layer(struct save *s, const struct sha *diff_id, const struct sha *original,
	       struct saved_layer *ret, struct err *err)
{
	static const enum compress_kind asked[] = {
		[SAVE_AS_IT_IS] = COMPRESS_GZIP, /* what cannot stay as it is */
		[SAVE_NONE] = COMPRESS_NONE,
		[SAVE_GZIP] = COMPRESS_GZIP,
		[SAVE_ZSTD] = COMPRESS_ZSTD,
	};
	bool plain = memcmp(original, diff_id, sizeof(*diff_id)) == 0;
	struct saved_layer l = { .diff_id = *diff_id, .blob = *original };
	char name[STORE_NAME_MAX];
	AUTO_CLOSE int kept = -1;
	int r = plain ? 0 : find_kept(s, original, &kept, &l, err);

	if (r < 0)
		return r;
	if (r > 0 && (s->o->compress == SAVE_AS_IT_IS || l.kind == asked[s->o->compress])) {
		r = copy_kept(s, kept, original, err);
	} else if (s->o->compress == SAVE_NONE || (plain && s->o->compress == SAVE_AS_IT_IS)) {
		if (!plain && s->o->exact)
			return not_exact(original, err);
		l.kind = COMPRESS_NONE;
		l.blob = *diff_id;
		store_blob_name(diff_id->b, name);
		r = save_plain_layer(s, diff_id, name, &l.size, err);
	} else {
		l.kind = asked[s->o->compress];
		r = compress_anew(s, &l, original, err);
	}
	if (r == 0)
		*ret = l;
	return r;
}
