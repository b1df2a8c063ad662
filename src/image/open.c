/* SPDX-License-Identifier: Apache-2.0 */
#include "image/open.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "image/erofs.h"
#include "image/limits.h"

/*
 * DOC: from image to disk
 *
 * The merged metadata is made once for a list of layers and kept.  At each start only sizes and
 * superblocks are looked at.
 */
struct pieces {
	size_t n;
	struct erofs_layer *layers; /* with the descriptors, which are ours */
	uint64_t *tree_size;
	bool renewed; /* something is not as it was recorded */
};

static struct pieces *pieces_new(size_t max)
{
	struct pieces *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->layers = calloc(max + 1, sizeof(*p->layers));
	p->tree_size = calloc(max + 1, sizeof(*p->tree_size));
	if (p->layers && p->tree_size)
		return p;
	free(p->layers);
	free(p->tree_size);
	free(p);
	return NULL;
}

static void pieces_free(struct pieces *p)
{
	for (size_t i = 0; i < p->n; i++) {
		if (p->layers[i].data_fd >= 0)
			(void)close(p->layers[i].data_fd);
		if (p->layers[i].tree_fd >= 0)
			(void)close(p->layers[i].tree_fd);
	}
	free(p->layers);
	free(p->tree_size);
	free(p);
}
DEFINE_AUTO(struct pieces *, pieces_free);

static int corrupt(struct err *err, const char *name, const char *what)
{
	err_set(err, ERR_IO, "images/%s %s", name, what);
	return err_reason(err, "image-corrupt");
}

static int open_file(struct store *s, const char *name, int *ret_fd, uint64_t *ret_size,
		     struct err *err)
{
	struct stat st;

	*ret_fd = openat(s->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (*ret_fd < 0 && errno == ENOENT)
		return corrupt(err, name, "is missing");
	if (*ret_fd < 0 || fstat(*ret_fd, &st) < 0)
		return err_sys(err, errno, "images/%s", name);
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

static int open_layer(struct store *s, const struct layer_files *f, struct pieces *p,
		      struct err *err)
{
	struct erofs_layer *l = &p->layers[p->n];
	uint64_t *size = &p->tree_size[p->n++], disk = 0;

	l->data_fd = l->tree_fd = -1;
	if (open_file(s, f->data, &l->data_fd, &l->data_size, err) < 0 ||
	    open_file(s, f->tree, &l->tree_fd, size, err) < 0)
		return -err->code;
	if (erofs_check(l->tree_fd, *size, &disk) < 0 || disk != erofs_data_start(*size, l, 1))
		return corrupt(err, f->tree, "is damaged");
	return 0;
}

int merged_key(const struct sha *diff_ids, size_t n, uint8_t key[SHA256_BYTES], struct err *err)
{
	static const char head[] = "microsandbox merged image 1\n";
	AUTO(digest_free) struct digest *d = NULL;

	if (digest_new(&d) < 0)
		return err_no_memory(err);
	digest_add(d, head, sizeof(head) - 1);
	for (size_t i = 0; i < n; i++)
		digest_add(d, diff_ids[i].b, SHA256_BYTES);
	digest_end(d, key);
	return 0;
}

static int merge_one(struct pieces *p, size_t i, struct tree *t, struct err *err)
{
	AUTO(tree_done) struct tree upper = { 0 };
	void *map = mmap(NULL, p->tree_size[i], PROT_READ, MAP_PRIVATE, p->layers[i].tree_fd, 0);
	int r;

	if (map == MAP_FAILED)
		return err_sys(err, errno, "reading a tree file");
	r = tree_init(&upper, t->arena);
	upper.cancel = t->cancel;
	if (r == 0)
		r = erofs_read(map, p->tree_size[i], (uint16_t)i, &upper);
	(void)munmap(map, p->tree_size[i]);
	if (r == -EINVAL) {
		err_set(err, ERR_IO, "a tree file is damaged");
		return err_reason(err, "image-corrupt");
	}
	if (r < 0)
		return err_sys(err, -r, "merging layers");
	return merge_layer(t, &upper, err);
}

static int write_merged(struct store_run *run, struct pieces *p, const char *to, struct err *err)
{
	AUTO(arena_done) struct arena arena = { 0 };
	AUTO(tree_done) struct tree t = { 0 };
	char name[STORE_NAME_MAX];
	AUTO_CLOSE int fd = -1;
	uint64_t disk;
	int r = tree_init(&t, &arena);

	t.cancel = run->cancel;
	if (r < 0)
		return err_sys(err, -r, "merging layers");
	for (size_t i = 0; i < p->n; i++) {
		if (merge_one(p, i, &t, err) < 0)
			return -err->code;
	}
	r = store_run_file(run, name, &fd);
	if (r < 0)
		return err_sys(err, -r, "writing a merged image");
	if (erofs_write(&t, p->layers, p->n, false, fd, &disk, err) < 0)
		return -err->code;
	return store_publish(run, name, fd, to, err);
}

/* As it was recorded, or else with the content that was recorded; *renewed then. */
static bool is_as_known(const struct image_files *known, const char *name, int fd, bool *renewed)
{
	const struct image_file *k = image_files_find(known, name);
	char text[DIGEST_TEXT_MAX];
	uint8_t sha[SHA256_BYTES];

	if (!k || image_file_same(k, fd))
		return true;
	*renewed = true;
	if (file_digest(fd, NULL, sha) < 0)
		return false;
	digest_text(sha, text);
	return strcmp(text, k->digest) == 0;
}

static bool merged_is_good(struct store *s, const char *name, struct pieces *p,
			   const struct image_files *known, int *ret_fd, uint64_t *ret_size)
{
	AUTO_CLOSE int fd = openat(s->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	uint64_t disk;

	if (fd < 0 || fstat(fd, &st) < 0 || erofs_check(fd, (uint64_t)st.st_size, &disk) < 0 ||
	    disk != erofs_data_start((uint64_t)st.st_size, p->layers, p->n) ||
	    !is_as_known(known, name, fd, &p->renewed))
		return false;
	*ret_fd = TAKE_FD(fd);
	*ret_size = (uint64_t)st.st_size;
	return true;
}

static int open_merged(struct store_run *run, const struct sha *diff_ids, struct pieces *p,
		       const struct image_files *known, int *ret_fd, uint64_t *ret_size,
		       struct err *err)
{
	struct store *s = run->store;
	uint8_t key[SHA256_BYTES];
	char name[STORE_NAME_MAX];
	int r = 0;

	if (merged_key(diff_ids, p->n, key, err) < 0 || store_hold(run, key, err) < 0)
		return -err->code;
	store_merged_name(key, name);
	if (merged_is_good(s, name, p, known, ret_fd, ret_size))
		return 0;
	if (store_make_begin(run, key, err) < 0)
		return -err->code;
	if (!merged_is_good(s, name, p, known, ret_fd, ret_size)) {
		p->renewed = true;
		r = write_merged(run, p, name, err);
		if (r == 0 && !merged_is_good(s, name, p, NULL, ret_fd, ret_size))
			r = err_set(err, ERR_INTERNAL, "images/%s is not what was written", name);
	}
	store_make_end(run, key);
	return r;
}

int merged_make(struct store_run *run, const struct sha *diff_ids, const struct layer_files *files,
		size_t n, struct err *err)
{
	AUTO(pieces_free) struct pieces *p = pieces_new(n);
	AUTO_CLOSE int fd = -1;
	uint64_t size;

	if (!p)
		return err_no_memory(err);
	for (size_t i = 0; i < n; i++) {
		if (open_layer(run->store, &files[i], p, err) < 0)
			return -err->code;
	}
	return open_merged(run, diff_ids, p, NULL, &fd, &size, err);
}

/* Takes over the descriptors: *@merged_fd and those in @p. */
static int fill_extents(struct image *img, struct pieces *p, int *merged_fd, uint64_t merged_size,
			struct err *err)
{
	img->extents = calloc(p->n + 1, sizeof(*img->extents));
	if (!img->extents)
		return err_no_memory(err);
	img->extents[img->n_extents++] =
		(struct image_extent){ take_fd(merged_fd), 0, merged_size };
	for (size_t i = 0; i < p->n; i++) {
		if (p->layers[i].data_size == 0)
			continue;
		img->extents[img->n_extents++] = (struct image_extent){
			.fd = TAKE_FD(p->layers[i].data_fd),
			.disk_offset = erofs_data_start(merged_size, p->layers, i),
			.len = p->layers[i].data_size,
		};
	}
	img->disk_size = erofs_data_start(merged_size, p->layers, p->n);
	return 0;
}

/* Both documents as they came. */
static int read_both(struct store_run *run, const uint8_t sha[SHA256_BYTES], struct buf *m_doc,
		     struct buf *c_doc, struct manifest *m, struct err *err)
{
	struct store *s = run->store;

	if (store_hold(run, sha, err) < 0 ||
	    store_get_blob(s, sha, s->limits.manifest_bytes, m_doc, err) < 0 ||
	    manifest_parse(m_doc->data, m_doc->len, &s->limits, m, err) < 0 ||
	    store_hold(run, m->config.digest.b, err) < 0)
		return -err->code;
	if (store_get_blob(s, m->config.digest.b, s->limits.config_bytes, c_doc, err) < 0) {
		if (err->code != ERR_NOT_FOUND)
			return -err->code;
		err->code = ERR_IO; /* the manifest is there: a piece is missing */
		return err_reason(err, "image-corrupt");
	}
	return 0;
}

int image_read_docs(struct store_run *run, const uint8_t sha[SHA256_BYTES], struct manifest *m,
		    struct config *c, struct err *err)
{
	AUTO(buf_done) struct buf m_doc = { 0 };
	AUTO(buf_done) struct buf c_doc = { 0 };

	if (read_both(run, sha, &m_doc, &c_doc, m, err) < 0)
		return -err->code;
	return config_parse(c_doc.data, c_doc.len, &run->store->limits, c, err);
}

int image_documents(struct store_run *run, const char *manifest_digest, struct buf *ret_manifest,
		    struct buf *ret_config, struct err *err)
{
	AUTO(manifest_done) struct manifest m = { 0 };
	uint8_t sha[SHA256_BYTES];

	if (digest_parse(manifest_digest, sha) < 0)
		return err_set(err, ERR_INVALID, "\"%.100s\" is no image digest", manifest_digest);
	return read_both(run, sha, ret_manifest, ret_config, &m, err);
}

static bool layer_is_as_known(const struct image_files *known, const struct layer_files *f,
			      const struct erofs_layer *l)
{
	const struct image_file *data = image_files_find(known, f->data);
	const struct image_file *tree = image_files_find(known, f->tree);

	return !known || (data && tree && image_file_same(data, l->data_fd) &&
			  image_file_same(tree, l->tree_fd));
}

static void close_last(struct pieces *p)
{
	struct erofs_layer *l = &p->layers[--p->n];

	close_auto(&l->data_fd);
	close_auto(&l->tree_fd);
}

/* A layer of the store; one that is not as it was recorded is looked at closely. */
static int open_stored_layer(struct store_run *run, const uint8_t diff_id[SHA256_BYTES],
			     const struct image_files *known, struct pieces *p, struct err *err)
{
	enum image_piece data = PIECE_GOOD, tree = PIECE_GOOD;
	const struct image_file *k;
	struct layer_files f;
	struct err quick = ERR_INIT;
	char text[DIGEST_TEXT_MAX];

	store_data_name(diff_id, f.data);
	store_tree_name(diff_id, f.tree);
	if (store_hold(run, diff_id, err) < 0)
		return -err->code;
	if (open_layer(run->store, &f, p, &quick) == 0 &&
	    layer_is_as_known(known, &f, &p->layers[p->n - 1]))
		return 0;
	close_last(p);
	p->renewed = true;
	k = image_files_find(known, f.tree);
	if (layer_verify(run, diff_id, k ? k->digest : NULL, &data, &tree, err) < 0)
		return -err->code;
	digest_text(diff_id, text);
	if (data == PIECE_BAD) {
		err_set(err, ERR_IO, "layer %s is damaged; it was moved to images/bad", text);
		return err_reason(err, "image-corrupt");
	}
	return open_layer(run->store, &f, p, err);
}

int image_hold(struct store_run *run, const char *manifest_digest, struct err *err)
{
	uint8_t sha[SHA256_BYTES];

	if (digest_parse(manifest_digest, sha) < 0)
		return err_set(err, ERR_INVALID, "\"%.100s\" is no image digest", manifest_digest);
	return store_hold(run, sha, err);
}

int image_open(struct store_run *run, const char *manifest_digest, const struct image_files *known,
	       struct image **ret_image, struct err *err)
{
	AUTO(manifest_done) struct manifest m = { 0 };
	AUTO(config_done) struct config c = { 0 };
	AUTO(pieces_free) struct pieces *p = NULL;
	AUTO(image_free) struct image *img = NULL;
	AUTO_CLOSE int merged = -1;
	uint8_t sha[SHA256_BYTES];
	uint64_t merged_size = 0;

	if (digest_parse(manifest_digest, sha) < 0)
		return err_set(err, ERR_INVALID, "\"%.100s\" is no image digest", manifest_digest);
	if (image_read_docs(run, sha, &m, &c, err) < 0)
		return -err->code;
	p = pieces_new(c.n_diff_ids);
	if (!p)
		return err_no_memory(err);
	for (size_t i = 0; i < c.n_diff_ids; i++) {
		if (open_stored_layer(run, c.diff_ids[i].b, known, p, err) < 0)
			return -err->code;
	}
	if (open_merged(run, c.diff_ids, p, known, &merged, &merged_size, err) < 0)
		return -err->code;
	img = malloc(sizeof(*img));
	if (!img)
		return err_no_memory(err);
	*img = c.image;
	c.image = (struct image){ 0 };
	img->renewed = known && p->renewed;
	if (fill_extents(img, p, &merged, merged_size, err) < 0)
		return -err->code;
	*ret_image = TAKE_PTR(img);
	return 0;
}
