/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: members by their names
 *
 * Links between the members of an archive are followed inside it.  In the folder of a layout a
 * member is read when it is first asked for; the kernel follows its links, and refuses each that
 * leads out.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/num.h"
#include "image/archive.h"
#include "image/limits.h"
#include "image/tree.h"

/* Path that the link of a member means: "" if it leads out of the archive. */
static void link_path(const struct member *m, char out[PATH_BYTES_MAX + 1])
{
	const char *slash = strrchr(m->name, '/'), *p = m->link;
	size_t n = 0;

	if (m->kind == MEMBER_SYMLINK && slash && p[0] != '/') {
		n = (size_t)(slash - m->name);
		memcpy(out, m->name, n);
	}
	for (; *p; p += strspn(p, "/")) {
		size_t len = strcspn(p, "/");

		if (len == 2 && memcmp(p, "..", 2) == 0) {
			while (n > 0 && out[n - 1] != '/')
				n--;
			n -= n > 0;
		} else if (len > 0 && !(len == 1 && *p == '.')) {
			if (n + len + 1 > PATH_BYTES_MAX) {
				n = 0;
				break;
			}
			if (n > 0)
				out[n++] = '/';
			memcpy(out + n, p, len);
			n += len;
		}
		p += len;
	}
	out[n] = '\0';
}

static struct member *find_read(const struct archive *a, const char *path)
{
	for (size_t i = a->n_members; i > 0; i--) {
		if (strcmp(a->members[i - 1]->name, path) == 0)
			return a->members[i - 1]; /* the last of that name */
	}
	return NULL;
}

/* Read it from the folder; *ret is NULL if it has no such file. */
static int find_in_folder(struct archive *a, const char *path, struct member **ret, struct err *err)
{
	/* Without waiting: a FIFO is no file of ours. */
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
	AUTO_CLOSE int fd = (int)syscall(SYS_openat2, a->dir_fd, path, &how, sizeof(how));
	struct stat st;

	*ret = NULL;
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0 && errno == EXDEV)
		return err_set(err, ERR_INVALID, "%s/%s leads out of the folder", a->what, path);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, errno, "reading %s/%s", a->what, path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_INVALID, "%s/%s is no file", a->what, path);
	if (archive_take_file(a, path, fd, (uint64_t)st.st_size, err) < 0)
		return -(int)err->code;
	*ret = find_read(a, path);
	return 0;
}

int archive_find(struct archive *a, const char *name, struct member **ret, struct err *err)
{
	char path[PATH_BYTES_MAX + 1];

	*ret = NULL;
	if (tree_clean_path(name, path) < 0)
		return 0;
	for (unsigned links = 0; links <= ARCHIVE_LINKS_MAX; links++) {
		struct member *found = find_read(a, path);

		if (!found && a->dir_fd >= 0)
			return find_in_folder(a, path, ret, err);
		if (!found || (found->kind != MEMBER_SYMLINK && found->kind != MEMBER_LINK)) {
			*ret = found;
			return 0;
		}
		link_path(found, path);
	}
	return 0;
}

int archive_blob(struct archive *a, const uint8_t sha[SHA256_BYTES], struct member **ret,
		 struct err *err)
{
	char name[sizeof(BLOB_DIR) + (size_t)2 * SHA256_BYTES] = BLOB_DIR;

	hex_encode(sha, SHA256_BYTES, name + strlen(BLOB_DIR));
	return archive_find(a, name, ret, err);
}
