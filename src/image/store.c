/* SPDX-License-Identifier: Apache-2.0 */
#include "image/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#include "base/dir.h"
#include "base/io.h"
#include "base/num.h"
#include "image/limits.h"

/*
 * DOC: store
 *
 * A name appears only by rename, after its content is on disk; so what has a name is complete.
 * Locks are bytes of one file that is never removed: open file description locks, which end
 * with the descriptor and so with the process.
 */
#define FORMAT	  "1" /* of tree files and merged images */
#define LOCK_BITS 62  /* offsets of a lock are positive numbers */

static const char *const folders[] = {
	"blobs", "blobs/sha256", "layers", "layers/" FORMAT, "merged", "merged/" FORMAT, "tmp",
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

int store_open(int home_fd, struct store **ret_store, struct err *err)
{
	AUTO_CLOSE int dir = -1;
	struct store *s;

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
	*ret_store = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	(void)close(s->dir_fd);
	free(s);
}

static int lock_at(struct store *s, uint64_t byte, bool wait, int *ret_fd)
{
	struct flock l = { .l_type = F_WRLCK, .l_start = (off_t)byte, .l_len = 1 };
	AUTO_CLOSE int fd =
		openat(s->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;
	while (fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &l) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int store_lock(struct store *s, const uint8_t sha[SHA256_BYTES], int *ret_fd)
{
	uint64_t byte = 0;

	for (unsigned i = 0; i < 8; i++)
		byte = byte << 8 | sha[i];
	return lock_at(s, byte >> (64 - LOCK_BITS), true, ret_fd);
}

/* ---- temporary files ----------------------------------------------------------------- */

/* Names are RUN-NUMBER; the run's lock is the byte RUN. */
static int parse_tmp(const char *name, uint64_t *ret)
{
	const char *dash = strchr(name, '-');

	if (!dash)
		return -EINVAL;
	return parse_u64_n(name, (size_t)(dash - name), 16, (1ull << LOCK_BITS) - 1, ret);
}

/* Remove files of run @only (its lock is held), or of all dead runs if that is 0. */
static void clean_tmp(struct store *s, uint64_t only)
{
	AUTO(closedir) DIR *dir = NULL;
	struct dirent *e;

	if (dir_open(s->dir_fd, "tmp", &dir) < 0)
		return;
	while ((e = readdir(dir)) != NULL) {
		AUTO_CLOSE int lock = -1;
		uint64_t id;

		if (parse_tmp(e->d_name, &id) < 0 || (only && id != only))
			continue;
		if (only || lock_at(s, id, false, &lock) == 0)
			(void)unlinkat(dirfd(dir), e->d_name, 0);
	}
}

int store_tmp_open(struct store *s, struct store_tmp *ret, struct err *err)
{
	struct store_tmp t = { .store = s, .lock_fd = -1 };
	int r;

	clean_tmp(s, 0);
	if (getrandom(&t.id, sizeof(t.id), 0) != (ssize_t)sizeof(t.id))
		return err_sys(err, errno, "random number");
	t.id = (t.id >> (64 - LOCK_BITS)) | 1;
	r = lock_at(s, t.id, true, &t.lock_fd);
	if (r < 0)
		return err_sys(err, -r, "locking the image store");
	*ret = t;
	return 0;
}

void store_tmp_close(struct store_tmp *t)
{
	if (!t->store)
		return;
	clean_tmp(t->store, t->id);
	(void)close(t->lock_fd);
	t->store = NULL;
}

int store_tmp_file(struct store_tmp *t, char name[STORE_NAME_MAX], int *ret_fd)
{
	(void)snprintf(name, STORE_NAME_MAX, "tmp/%" PRIx64 "-%u", t->id, t->n++);
	*ret_fd = openat(t->store->dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return *ret_fd < 0 ? -errno : 0;
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

int store_publish(struct store_tmp *t, const char *name, int fd, const char *to, struct err *err)
{
	int dir = t->store->dir_fd, r;

	if (fsync(fd) < 0 || renameat(dir, name, dir, to) < 0)
		return err_sys(err, errno, "writing images/%s", to);
	r = sync_dir(t->store, to);
	return r < 0 ? err_sys(err, -r, "writing images/%s", to) : 0;
}

/* ---- documents ----------------------------------------------------------------------- */

int store_put_blob(struct store_tmp *t, const void *data, size_t len, uint8_t ret_sha[SHA256_BYTES],
		   struct err *err)
{
	char name[STORE_NAME_MAX], to[STORE_NAME_MAX];
	AUTO_CLOSE int fd = -1;
	struct stat st;
	int r;

	digest_of(data, len, ret_sha);
	store_blob_name(ret_sha, to);
	if (fstatat(t->store->dir_fd, to, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    (uint64_t)st.st_size == len)
		return 0;
	r = store_tmp_file(t, name, &fd);
	if (r == 0)
		r = io_write_full(fd, data, len);
	if (r < 0)
		return err_sys(err, -r, "writing images/%s", to);
	return store_publish(t, name, fd, to, err);
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
		return err_set(err, ERR_IO, "image-corrupt: images/%s is too long", name);
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
		return err_set(err, ERR_IO, "image-corrupt: images/%s does not have its digest",
			       name);
	}
	return 0;
}
