/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cancel.h"
#include "base/io.h"
#include "image/erofs.h"
#include "image/limits.h"
#include "image/open.h"
#include "tar/tar.h"

/*
 * DOC: verify
 *
 * The data of a layer is right if it has the digest that it is named after.  Its tree file is right if
 * it has the digest that was recorded; else it is made again from the data, in the same reading.
 * All of that is done by one maker at a time, so nobody sets a file aside that another has just
 * brought back.
 */
struct rebuild {
	struct tar *tar; /* owned */
	struct arena arena;
	struct tree tree;
};

static void rebuild_done_auto(struct rebuild *b)
{
	tar_free(b->tar);
	tree_done(&b->tree);
	arena_done(&b->arena);
}

static int on_entry(void *user, const struct tar_entry *e, struct err *err)
{
	struct rebuild *b = user;

	return tree_add(&b->tree, e, err);
}

static const struct tar_handler handler = { .entry = on_entry };

static int rebuild_init(struct rebuild *b, const struct image_limits *limits, struct err *err)
{
	/* It has been a layer before: no limit of today makes it wrong. */
	if (tar_new(&handler, b, image_limits_max.file_bytes, &b->tar) < 0 ||
	    tree_init(&b->tree, &b->arena) < 0)
		return err_no_memory(err);
	b->tree.max_entries = limits->entries;
	return 0;
}

/* Read all of @fd; @b may be NULL. */
static int read_data(struct store_run *run, int fd, struct rebuild *b, uint64_t *ret_size,
		     uint8_t ret_sha[SHA256_BYTES], struct err *err)
{
	AUTO(digest_free) struct digest *d = NULL;
	AUTO_FREE uint8_t *buf = malloc(COPY_BYTES);
	uint64_t at = 0;
	ssize_t n;

	if (!buf || digest_new(&d) < 0)
		return err_no_memory(err);
	while ((n = io_pread_full(fd, buf, COPY_BYTES, at)) > 0) {
		digest_add(d, buf, (size_t)n);
		if (b && tar_feed(b->tar, buf, (size_t)n, err) < 0)
			return -err->code;
		at += (uint64_t)n;
		if (cancel_check(run->cancel, err) < 0)
			return -err->code;
	}
	if (n < 0)
		return err_sys(err, (int)-n, "reading a layer");
	digest_end(d, ret_sha);
	*ret_size = at;
	return 0;
}

static int write_tree(struct store_run *run, struct rebuild *b, int data_fd, uint64_t data_size,
		      const char *to, struct err *err)
{
	struct erofs_layer l = { .data_size = data_size, .data_fd = data_fd, .tree_fd = -1 };
	char name[STORE_NAME_MAX];
	AUTO_CLOSE int fd = -1;
	uint64_t disk;
	int r;

	if (tar_finish(b->tar, err) < 0 || tree_finish(&b->tree, err) < 0)
		return -err->code;
	r = store_run_file(run, name, &fd);
	if (r < 0)
		return err_sys(err, -r, "writing a tree");
	if (erofs_write(&b->tree, &l, 1, true, fd, &disk, err) < 0)
		return -err->code;
	return store_publish(run, name, fd, to, err);
}

static enum image_piece tree_state(struct store *s, const char *name, uint64_t data_size,
				   const char *digest)
{
	AUTO_CLOSE int fd = openat(s->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct erofs_layer l = { .data_size = data_size };
	uint8_t sha[SHA256_BYTES];
	char text[DIGEST_TEXT_MAX];
	struct stat st;
	uint64_t disk;

	if (fd < 0 || fstat(fd, &st) < 0)
		return PIECE_MISSING;
	if (erofs_check(fd, (uint64_t)st.st_size, &disk) < 0 ||
	    disk != erofs_data_start((uint64_t)st.st_size, &l, 1) || file_digest(fd, NULL, sha) < 0)
		return PIECE_BAD;
	digest_text(sha, text);
	return !digest || strcmp(text, digest) == 0 ? PIECE_GOOD : PIECE_BAD;
}

static int set_aside(struct store_run *run, const char *name, struct err *err)
{
	char to[STORE_NAME_MAX];
	int r = store_set_aside(run->store, name, to);

	return r < 0 && r != -ENOENT ? err_sys(err, -r, "moving images/%s away", name) : 0;
}

/* The layer's maker is who calls this. */
static int verify_made(struct store_run *run, const uint8_t diff_id[SHA256_BYTES],
		       const char *tree_digest, enum image_piece *ret_data,
		       enum image_piece *ret_tree, struct err *err)
{
	AUTO(rebuild_done) struct rebuild b = { 0 };
	char data[STORE_NAME_MAX], tree[STORE_NAME_MAX];
	uint8_t sha[SHA256_BYTES];
	struct err broken = ERR_INIT;
	AUTO_CLOSE int fd = -1;
	struct stat st;
	uint64_t size = 0;
	int sys;

	store_data_name(diff_id, data);
	store_tree_name(diff_id, tree);
	fd = openat(run->store->dir_fd, data, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	*ret_data = PIECE_MISSING;
	if (fd < 0 || fstat(fd, &st) < 0) {
		sys = errno;
		*ret_tree = tree_state(run->store, tree, 0, NULL) == PIECE_MISSING ? PIECE_MISSING
										   : PIECE_GOOD;
		return sys == ENOENT ? 0 : err_sys(err, sys, "images/%s", data);
	}
	*ret_tree = tree_state(run->store, tree, (uint64_t)st.st_size, tree_digest);
	if (*ret_tree != PIECE_GOOD && rebuild_init(&b, &run->store->limits, err) < 0)
		return -err->code;
	/* A tar that does not parse is bad data, which its digest tells, too. */
	if (read_data(run, fd, *ret_tree != PIECE_GOOD ? &b : NULL, &size, sha, &broken) < 0 &&
	    broken.code != ERR_INVALID) {
		*err = broken;
		return -err->code;
	}
	*ret_data = broken.code == ERR_NONE && memcmp(sha, diff_id, SHA256_BYTES) == 0 ? PIECE_GOOD
										       : PIECE_BAD;
	if (*ret_data == PIECE_BAD)
		return set_aside(run, data, err);
	if (*ret_tree == PIECE_GOOD)
		return 0;
	if (write_tree(run, &b, fd, size, tree, err) < 0)
		return -err->code;
	*ret_tree = PIECE_REBUILT;
	return 0;
}

int layer_verify(struct store_run *run, const uint8_t diff_id[SHA256_BYTES],
		 const char *tree_digest, enum image_piece *ret_data, enum image_piece *ret_tree,
		 struct err *err)
{
	int r;

	if (store_hold(run, diff_id, err) < 0 || store_make_begin(run, diff_id, err) < 0)
		return -err->code;
	r = verify_made(run, diff_id, tree_digest, ret_data, ret_tree, err);
	store_make_end(run, diff_id);
	return r;
}

/* ---- a whole image ----------------------------------------------------------------------- */

struct verify {
	struct store_run *run;
	const struct image_files *known;
	image_piece_fn fn;
	void *user;
};

static void tell(const struct verify *v, enum image_file_kind kind, const char *name,
		 const uint8_t *sha, enum image_piece piece)
{
	const struct image_file *k = image_files_find(v->known, name);
	struct image_file f = { .kind = kind };
	struct stat st;

	(void)snprintf(f.name, sizeof(f.name), "%s", name);
	if (sha)
		digest_text(sha, f.digest);
	else if (k)
		(void)snprintf(f.digest, sizeof(f.digest), "%s", k->digest);
	if (k)
		f.size = k->size;
	else if (fstatat(v->run->store->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		f.size = (uint64_t)st.st_size;
	v->fn(v->user, &f, piece);
}

/* A document or a kept blob. */
static int verify_blob(const struct verify *v, enum image_file_kind kind,
		       const uint8_t sha[SHA256_BYTES], bool *ret_good, struct err *err)
{
	enum image_piece piece = PIECE_GOOD;
	uint8_t found[SHA256_BYTES];
	char name[STORE_NAME_MAX];
	AUTO_CLOSE int fd = -1;
	int r = 0;

	store_blob_name(sha, name);
	if (store_hold(v->run, sha, err) < 0)
		return -err->code;
	fd = openat(v->run->store->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		piece = PIECE_MISSING;
	else
		r = file_digest(fd, v->run->cancel, found);
	if (r < 0)
		return err_sys(err, -r, "reading images/%s", name);
	if (fd >= 0 && memcmp(found, sha, SHA256_BYTES) != 0) {
		piece = PIECE_BAD;
		if (set_aside(v->run, name, err) < 0)
			return -err->code;
	}
	tell(v, kind, name, sha, piece);
	*ret_good = piece == PIECE_GOOD;
	return 0;
}

static int verify_layer(const struct verify *v, const uint8_t diff_id[SHA256_BYTES], bool *all_good,
			struct err *err)
{
	enum image_piece data = PIECE_GOOD, tree = PIECE_GOOD;
	char name[STORE_NAME_MAX], data_name[STORE_NAME_MAX];
	const struct image_file *k;

	store_data_name(diff_id, data_name);
	store_tree_name(diff_id, name);
	k = image_files_find(v->known, name);
	if (layer_verify(v->run, diff_id, k ? k->digest : NULL, &data, &tree, err) < 0)
		return -err->code;
	tell(v, IMAGE_LAYER, data_name, diff_id, data);
	tell(v, IMAGE_TREE, name, NULL, tree);
	*all_good &= data == PIECE_GOOD;
	return 0;
}

/* The layers are good: what they make together can be made again. */
static int verify_merged(const struct verify *v, const char *manifest_digest,
			 const struct config *c, struct err *err)
{
	AUTO(image_free) struct image *img = NULL;
	enum image_piece piece = PIECE_GOOD;
	const struct image_file *k;
	uint8_t key[SHA256_BYTES], sha[SHA256_BYTES];
	char name[STORE_NAME_MAX], text[DIGEST_TEXT_MAX] = "";
	AUTO_CLOSE int fd = -1;

	if (merged_key(c->diff_ids, c->n_diff_ids, key, err) < 0 ||
	    store_hold(v->run, key, err) < 0)
		return -err->code;
	store_merged_name(key, name);
	k = image_files_find(v->known, name);
	fd = openat(v->run->store->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && file_digest(fd, v->run->cancel, sha) == 0)
		digest_text(sha, text);
	if (fd < 0 || (k && strcmp(text, k->digest) != 0)) {
		piece = PIECE_REBUILT;
		if (fd >= 0 && set_aside(v->run, name, err) < 0)
			return -err->code;
	}
	if (image_open(v->run, manifest_digest, NULL, &img, err) < 0)
		return -err->code;
	tell(v, IMAGE_MERGED, name, NULL, piece);
	return 0;
}

int image_verify(struct store_run *run, const char *manifest_digest,
		 const struct image_files *known, image_piece_fn fn, void *user, struct err *err)
{
	struct verify v = { .run = run, .known = known, .fn = fn, .user = user };
	AUTO(manifest_done) struct manifest m = { 0 };
	AUTO(config_done) struct config c = { 0 };
	uint8_t sha[SHA256_BYTES];
	bool good = false;

	if (digest_parse(manifest_digest, sha) < 0)
		return err_set(err, ERR_INVALID, "\"%.100s\" is no image digest", manifest_digest);
	if (verify_blob(&v, IMAGE_MANIFEST, sha, &good, err) < 0)
		return -err->code;
	for (size_t i = 0; known && i < known->n; i++) {
		const struct image_file *f = &known->items[i];
		bool one = false;

		if (f->kind != IMAGE_CONFIG && f->kind != IMAGE_DOCUMENT && f->kind != IMAGE_BLOB)
			continue;
		if (digest_parse(f->digest, sha) < 0)
			return err_set(err, ERR_INTERNAL, "\"%.100s\" is no digest", f->digest);
		if (verify_blob(&v, f->kind, sha, &one, err) < 0)
			return -err->code;
		good &= one || f->kind != IMAGE_CONFIG;
	}
	if (!good) /* without them it is not known what else there should be */
		return 0;
	IGNORE_RESULT(digest_parse(manifest_digest, sha)); /* it was one above */
	if (image_read_docs(run, sha, &m, &c, err) < 0)
		return -err->code;
	for (size_t i = 0; i < c.n_diff_ids; i++) {
		if (verify_layer(&v, c.diff_ids[i].b, &good, err) < 0)
			return -err->code;
	}
	return good ? verify_merged(&v, manifest_digest, &c, err) : 0;
}
