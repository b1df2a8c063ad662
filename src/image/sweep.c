/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#include "base/clock.h"
#include "base/dir.h"
#include "base/num.h"
#include "image/open.h"
#include "image/store.h"

/*
 * DOC: removal
 *
 * The store does not know what is needed: its user does.  He lists the files, and for each that no
 * record needs he owns the object, looks at the records again, and deletes the file.  Who relies on
 * an object holds it until it is recorded, so it cannot be owned then.
 */
#define STAT_BLOCK  512u /* bytes of st_blocks */
#define OWN_WAIT_MS 2000 /* a start holds its image for less, a load or a pull for longer */

/* "layers/1/HEX.erofs": the digits after the last slash. -EINVAL: the name is none of ours. */
static int object_of(const char *name, uint8_t ret_sha[SHA256_BYTES])
{
	const char *slash = strrchr(name, '/'), *hex = slash ? slash + 1 : name;

	return hex_decode(hex, strcspn(hex, "."), ret_sha, SHA256_BYTES);
}

int image_own(struct store_run *run, const char *manifest_digest, bool patient, struct err *err)
{
	uint64_t deadline = patient ? clock_now_ns() + OWN_WAIT_MS * NS_PER_MS : 0;
	uint8_t sha[SHA256_BYTES];
	int pause_ms = 0, r;

	if (digest_parse(manifest_digest, sha) < 0)
		return err_set(err, ERR_INVALID, "\"%.100s\" is no image digest", manifest_digest);
	while ((r = store_remove_try(run, sha)) == -EAGAIN) {
		if (clock_now_ns() > deadline)
			return err_set(err, ERR_BUSY, "image %s is being started, loaded or pulled",
				       manifest_digest);
		if (store_pause(run, &pause_ms, err) < 0)
			return -err->code;
	}
	return r < 0 ? err_sys(err, -r, "locking the image store") : 0;
}

void image_disown(struct store_run *run, const char *manifest_digest)
{
	uint8_t sha[SHA256_BYTES];

	if (digest_parse(manifest_digest, sha) == 0)
		store_remove_end(run, sha);
}

int image_file_own(struct store_run *run, const char *name)
{
	uint8_t sha[SHA256_BYTES];

	return object_of(name, sha) < 0 ? -EINVAL : store_remove_try(run, sha);
}

void image_file_disown(struct store_run *run, const char *name)
{
	uint8_t sha[SHA256_BYTES];

	if (object_of(name, sha) == 0)
		store_remove_end(run, sha);
}

uint64_t image_file_disk(struct store_run *run, const char *name)
{
	struct stat st;

	if (fstatat(run->store->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return (uint64_t)st.st_blocks * STAT_BLOCK;
}

int image_file_delete(struct store_run *run, const char *name, uint64_t *ret_bytes)
{
	uint64_t bytes = image_file_disk(run, name);

	if (unlinkat(run->store->dir_fd, name, 0) == 0) {
		*ret_bytes = bytes;
		return 0;
	}
	if (errno != ENOENT)
		return -errno;
	*ret_bytes = 0;
	return 0;
}

/* The files of ours in one folder. */
static int each_in(struct store_run *run, const char *folder, image_name_fn fn, void *user)
{
	AUTO(closedir) DIR *dir = NULL;
	struct dirent *e;
	int r = dir_open(run->store->dir_fd, folder, &dir);

	while (r >= 0 && (e = readdir(dir)) != NULL) {
		uint8_t sha[SHA256_BYTES];
		char name[STORE_NAME_MAX];

		if ((size_t)snprintf(name, sizeof(name), "%s/%s", folder, e->d_name) <
			    sizeof(name) &&
		    object_of(name, sha) == 0)
			r = fn(user, name);
	}
	return r == -ENOENT ? 0 : r;
}

/* Folders of all format versions. */
static int each_version(struct store_run *run, const char *folder, image_name_fn fn, void *user)
{
	AUTO(closedir) DIR *dir = NULL;
	struct dirent *e;
	int r = dir_open(run->store->dir_fd, folder, &dir);

	while (r >= 0 && (e = readdir(dir)) != NULL) {
		char name[STORE_NAME_MAX];
		size_t n = strlen(e->d_name);

		if (n > 9 || strspn(e->d_name, "0123456789") != n)
			continue;
		(void)snprintf(name, sizeof(name), "%s/%.9s", folder, e->d_name);
		r = each_in(run, name, fn, user);
	}
	return r == -ENOENT ? 0 : r;
}

int image_each_file(struct store_run *run, image_name_fn fn, void *user)
{
	int r = each_in(run, "blobs/sha256", fn, user);

	if (r >= 0)
		r = each_in(run, "layers", fn, user);
	if (r >= 0)
		r = each_version(run, "layers", fn, user);
	if (r >= 0)
		r = each_version(run, "merged", fn, user);
	return r < 0 ? r : 0;
}

struct old {
	struct store_run *run;
	int64_t before; /* seconds since the epoch */
	uint64_t bytes;
};

static int delete_old(void *user, const char *name)
{
	struct old *o = user;
	uint64_t bytes = 0;
	struct stat st;
	int r;

	if (fstatat(o->run->store->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    st.st_mtim.tv_sec > o->before)
		return 0;
	r = image_file_own(o->run, name);
	if (r < 0)
		return r == -EAGAIN ? 0 : r;
	r = image_file_delete(o->run, name, &bytes);
	image_file_disown(o->run, name);
	o->bytes += bytes;
	return r;
}

int image_clean_old(struct store_run *run, uint64_t age_s, uint64_t *ret_bytes, struct err *err)
{
	int64_t now = (int64_t)time(NULL);
	struct old partial = { .run = run, .before = now - (int64_t)age_s };
	struct old bad = { .run = run, .before = now };
	int r = each_in(run, "partial", delete_old, &partial);

	if (r >= 0)
		r = each_in(run, "bad", delete_old, &bad);
	if (r < 0)
		return err_sys(err, -r, "cleaning the image store");
	*ret_bytes = partial.bytes + bad.bytes;
	return 0;
}

int image_space_default(struct store *store, uint64_t *ret_bytes)
{
	struct statvfs v;

	if (fstatvfs(store->dir_fd, &v) < 0)
		return -errno;
	*ret_bytes = (uint64_t)v.f_blocks * v.f_frsize / 2;
	return 0;
}
