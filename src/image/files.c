/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/io.h"
#include "image/limits.h"
#include "image/open.h"

#define STAT_BLOCK 512u /* bytes of st_blocks */

static const char *const kinds[] = {
	[IMAGE_MANIFEST] = "manifest", [IMAGE_CONFIG] = "config", [IMAGE_LAYER] = "layer",
	[IMAGE_TREE] = "tree",	       [IMAGE_MERGED] = "merged", [IMAGE_DOCUMENT] = "document",
	[IMAGE_BLOB] = "blob",
};
static_assert(sizeof(kinds) / sizeof(kinds[0]) == IMAGE_FILE_KIND_MAX, "kinds[]");

const char *image_file_kind_name(enum image_file_kind kind)
{
	return kinds[kind];
}

int image_file_kind_parse(const char *name, enum image_file_kind *ret)
{
	for (int i = 0; i < IMAGE_FILE_KIND_MAX; i++) {
		if (strcmp(kinds[i], name) == 0) {
			*ret = (enum image_file_kind)i;
			return 0;
		}
	}
	return -EINVAL;
}

void image_files_done(struct image_files *f)
{
	free(f->items);
	free(f->platform);
	*f = (struct image_files){ 0 };
}

int image_files_add(struct image_files *f, const struct image_file *file)
{
	struct image_file *p = reallocarray(f->items, f->n + 1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	f->items = p;
	p[f->n++] = *file;
	return 0;
}

const struct image_file *image_files_find(const struct image_files *known, const char *name)
{
	for (size_t i = 0; known && i < known->n; i++) {
		if (strcmp(known->items[i].name, name) == 0)
			return &known->items[i];
	}
	return NULL;
}

static int64_t mtime_ns(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * (int64_t)NS_PER_S + st->st_mtim.tv_nsec;
}

bool image_file_same(const struct image_file *known, int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (uint64_t)st.st_size == known->size &&
	       (uint64_t)st.st_ino == known->inode && mtime_ns(&st) == known->mtime;
}

int file_digest(int fd, const struct cancel *cancel, uint8_t ret_sha[SHA256_BYTES])
{
	AUTO(digest_free) struct digest *d = NULL;
	AUTO_FREE void *buf = malloc(COPY_BYTES);
	uint64_t at = 0;
	ssize_t n;

	if (!buf || digest_new(&d) < 0)
		return -ENOMEM;
	while ((n = io_pread_full(fd, buf, COPY_BYTES, at)) > 0) {
		digest_add(d, buf, (size_t)n);
		at += (uint64_t)n;
		if (cancel_fired(cancel))
			return -ECANCELED;
	}
	if (n < 0)
		return (int)n;
	digest_end(d, ret_sha);
	return 0;
}

/* ---- what an image needs ----------------------------------------------------------------- */

static int missing(struct err *err, const char *name)
{
	err_set(err, ERR_IO, "images/%s is missing", name);
	return err_reason(err, "image-corrupt");
}

/* @sha: of the content; NULL: read it. */
static int add_file(struct store_run *run, struct image_files *files, enum image_file_kind kind,
		    const char *name, const uint8_t *sha, struct err *err)
{
	AUTO_CLOSE int fd = openat(run->store->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct image_file f = { .kind = kind };
	uint8_t found[SHA256_BYTES];
	struct stat st;
	int r;

	if (fd < 0 && errno == ENOENT)
		return missing(err, name);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, errno, "images/%s", name);
	if (!sha) {
		r = file_digest(fd, run->cancel, found);
		if (r < 0)
			return err_sys(err, -r, "images/%s", name);
	}
	(void)snprintf(f.name, sizeof(f.name), "%s", name);
	digest_text(sha ? sha : found, f.digest);
	f.size = (uint64_t)st.st_size;
	f.disk = (uint64_t)st.st_blocks * STAT_BLOCK;
	f.inode = (uint64_t)st.st_ino;
	f.mtime = mtime_ns(&st);
	return image_files_add(files, &f) < 0 ? err_no_memory(err) : 0;
}

static int add_blob(struct store_run *run, struct image_files *files, enum image_file_kind kind,
		    const uint8_t sha[SHA256_BYTES], struct err *err)
{
	char name[STORE_NAME_MAX];

	store_blob_name(sha, name);
	if (store_hold(run, sha, err) < 0)
		return -err->code;
	return add_file(run, files, kind, name, sha, err);
}

static int add_layers(struct store_run *run, struct image_files *files, const struct config *c,
		      struct err *err)
{
	uint8_t key[SHA256_BYTES];
	char name[STORE_NAME_MAX];

	for (size_t i = 0; i < c->n_diff_ids; i++) {
		if (store_hold(run, c->diff_ids[i].b, err) < 0)
			return -err->code;
		store_data_name(c->diff_ids[i].b, name);
		if (add_file(run, files, IMAGE_LAYER, name, c->diff_ids[i].b, err) < 0)
			return -err->code;
		store_tree_name(c->diff_ids[i].b, name);
		if (add_file(run, files, IMAGE_TREE, name, NULL, err) < 0)
			return -err->code;
	}
	if (merged_key(c->diff_ids, c->n_diff_ids, key, err) < 0 || store_hold(run, key, err) < 0)
		return -err->code;
	store_merged_name(key, name);
	return add_file(run, files, IMAGE_MERGED, name, NULL, err);
}

/* Layers as they were transferred are there or not. */
static int add_kept_blobs(struct store_run *run, struct image_files *files,
			  const struct manifest *m, struct err *err)
{
	char name[STORE_NAME_MAX];

	for (size_t i = 0; i < m->n_layers; i++) {
		const uint8_t *sha = m->layers[i].digest.b;

		store_blob_name(sha, name);
		if (faccessat(run->store->dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
		    add_blob(run, files, IMAGE_BLOB, sha, err) < 0 && err->code != ERR_IO)
			return -err->code;
	}
	return 0;
}

static int set_platform(struct image_files *files, const struct config *c, struct err *err)
{
	int n = asprintf(&files->platform, "%s/%s%s%s", c->os ? c->os : "linux",
			 c->image.architecture, c->variant ? "/" : "",
			 c->variant ? c->variant : "");

	if (n >= 0)
		return 0;
	files->platform = NULL;
	return err_no_memory(err);
}

int image_survey(struct store_run *run, const char *manifest_digest, char *const *documents,
		 struct image_files *ret_files, struct err *err)
{
	AUTO(image_files_done) struct image_files files = { 0 };
	AUTO(manifest_done) struct manifest m = { 0 };
	AUTO(config_done) struct config c = { 0 };
	uint8_t sha[SHA256_BYTES];

	if (digest_parse(manifest_digest, sha) < 0)
		return err_set(err, ERR_INVALID, "\"%.100s\" is no image digest", manifest_digest);
	if (image_read_docs(run, sha, &m, &c, err) < 0 ||
	    add_blob(run, &files, IMAGE_MANIFEST, sha, err) < 0 ||
	    add_blob(run, &files, IMAGE_CONFIG, m.config.digest.b, err) < 0)
		return -err->code;
	for (; documents && *documents; documents++) {
		if (digest_parse(*documents, sha) < 0)
			return err_set(err, ERR_INTERNAL, "\"%.100s\" is no digest", *documents);
		if (add_blob(run, &files, IMAGE_DOCUMENT, sha, err) < 0)
			return -err->code;
	}
	if (add_layers(run, &files, &c, err) < 0 || add_kept_blobs(run, &files, &m, err) < 0 ||
	    set_platform(&files, &c, err) < 0)
		return -err->code;
	*ret_files = files;
	files = (struct image_files){ 0 };
	return 0;
}
