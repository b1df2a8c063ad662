/* SPDX-License-Identifier: Apache-2.0 */
#include "image/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/num.h"
#include "image/limits.h"

/*
 * DOC: store
 *
 * A name appears only by rename, after its content is on disk; so what has a name is complete.
 */
#define FORMAT "1" /* of tree files and merged images */

static const char *const folders[] = {
	"bad",	  "blobs",	    "blobs/sha256", "layers", "layers/" FORMAT,
	"merged", "merged/" FORMAT, "partial",	    "tmp",
};

static void name_of(const char *folder, const uint8_t *sha, const char *suffix,
		    char out[STORE_NAME_MAX])
{
	char hex[2 * SHA256_BYTES + 1];

	hex_encode(sha, SHA256_BYTES, hex);
	(void)snprintf(out, STORE_NAME_MAX, "%s/%s%s", folder, hex, suffix);
}

void store_blob_name(const uint8_t sha[SHA256_BYTES], char out[STORE_NAME_MAX])
{
	name_of("blobs/sha256", sha, "", out);
}

void store_data_name(const uint8_t diff_id[SHA256_BYTES], char out[STORE_NAME_MAX])
{
	name_of("layers", diff_id, ".tar", out);
}

void store_tree_name(const uint8_t diff_id[SHA256_BYTES], char out[STORE_NAME_MAX])
{
	name_of("layers/" FORMAT, diff_id, ".erofs", out);
}

void store_merged_name(const uint8_t key[SHA256_BYTES], char out[STORE_NAME_MAX])
{
	name_of("merged/" FORMAT, key, ".erofs", out);
}

/* Is each limit one that we can keep? */
static int check_limits(const struct image_limits *l, struct err *err)
{
	const struct image_limits *m = &image_limits_max;
	const struct {
		const char *key;
		uint64_t value, max;
	} all[] = {
		{ "manifest_bytes", l->manifest_bytes, m->manifest_bytes },
		{ "config_bytes", l->config_bytes, m->config_bytes },
		{ "layers", l->layers, m->layers },
		{ "layer_bytes", l->layer_bytes, m->layer_bytes },
		{ "file_bytes", l->file_bytes, m->file_bytes },
		{ "entries", l->entries, m->entries },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (all[i].value > all[i].max)
			return err_set(err, ERR_INVALID,
				       "images.limits.%s: %" PRIu64 " is more than %" PRIu64,
				       all[i].key, all[i].value, all[i].max);
	}
	return 0;
}

int store_open(int home_fd, const struct image_limits *limits, struct store **ret_store,
	       struct err *err)
{
	AUTO_CLOSE int dir = -1;
	struct store *s;

	if (limits && check_limits(limits, err) < 0)
		return -err->code;
	if (mkdirat(home_fd, "images", 0700) < 0 && errno != EEXIST)
		return err_sys(err, errno, "making the image store");
	dir = openat(home_fd, "images", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return err_sys(err, errno, "opening the image store");
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		if (mkdirat(dir, folders[i], 0700) < 0 && errno != EEXIST)
			return err_sys(err, errno, "making images/%s", folders[i]);
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_no_memory(err);
	s->dir_fd = TAKE_FD(dir);
	s->limits = limits ? *limits : image_limits_default;
	*ret_store = s;
	return 0;
}

void store_keep_blobs(struct store *s, bool keep)
{
	s->keep_blobs = keep;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	(void)close(s->dir_fd);
	free(s);
}

static int sync_dir(struct store *s, const char *name)
{
	char folder[STORE_NAME_MAX];
	const char *slash = strrchr(name, '/');
	AUTO_CLOSE int fd = -1;

	(void)snprintf(folder, sizeof(folder), "%.*s", (int)(slash - name), name);
	fd = openat(s->dir_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int store_publish(struct store_run *run, const char *name, int fd, const char *to, struct err *err)
{
	int dir = run->store->dir_fd, r;

	if (fsync(fd) < 0 || renameat(dir, name, dir, to) < 0)
		return err_sys(err, errno, "writing images/%s", to);
	r = sync_dir(run->store, to);
	return r < 0 ? err_sys(err, -r, "writing images/%s", to) : 0;
}

int store_set_aside(struct store *s, const char *name, char ret_to[STORE_NAME_MAX])
{
	const char *slash = strrchr(name, '/');

	(void)snprintf(ret_to, STORE_NAME_MAX, "bad/%s", slash ? slash + 1 : name);
	return renameat(s->dir_fd, name, s->dir_fd, ret_to) < 0 ? -errno : 0;
}

/* ---- documents ----------------------------------------------------------------------- */

int store_put_blob(struct store_run *run, const void *data, size_t len,
		   uint8_t ret_sha[SHA256_BYTES], struct err *err)
{
	char name[STORE_NAME_MAX], to[STORE_NAME_MAX];
	AUTO(buf_done) struct buf there = { 0 };
	struct err ignored = ERR_INIT;
	AUTO_CLOSE int fd = -1;
	int r;

	digest_of(data, len, ret_sha);
	store_blob_name(ret_sha, to);
	if (store_hold(run, ret_sha, err) < 0)
		return -err->code;
	if (store_get_blob(run->store, ret_sha, len, &there, &ignored) == 0)
		return 0;
	r = store_run_file(run, name, &fd);
	if (r == 0)
		r = io_write_full(fd, data, len);
	if (r < 0)
		return err_sys(err, -r, "writing images/%s", to);
	return store_publish(run, name, fd, to, err);
}

static int corrupt(struct err *err, const char *name, const char *what)
{
	err_set(err, ERR_IO, "images/%s %s", name, what);
	return err_reason(err, "image-corrupt");
}

int store_get_blob(struct store *s, const uint8_t sha[SHA256_BYTES], size_t max, struct buf *ret,
		   struct err *err)
{
	char name[STORE_NAME_MAX], text[DIGEST_TEXT_MAX];
	uint8_t found[SHA256_BYTES];
	AUTO_CLOSE int fd = -1;
	struct stat st;
	void *room;
	ssize_t n;

	digest_text(sha, text);
	store_blob_name(sha, name);
	fd = openat(s->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return err_set(err, ERR_NOT_FOUND, "%s is not in the image store", text);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, errno, "reading images/%s", name);
	if ((uint64_t)st.st_size > max)
		return corrupt(err, name, "is too long");
	buf_init(ret, max + 1);
	room = buf_room(ret, (size_t)st.st_size + 1);
	if (!room)
		return err_no_memory(err);
	n = io_read_full(fd, room, (size_t)st.st_size);
	if (n < 0)
		return err_sys(err, (int)-n, "reading images/%s", name);
	buf_grew(ret, (size_t)n);
	digest_of(ret->data, ret->len, found);
	if (memcmp(found, sha, SHA256_BYTES) != 0) {
		buf_done(ret);
		return corrupt(err, name, "does not have its digest");
	}
	return 0;
}
