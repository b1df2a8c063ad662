/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: images that are files
 *
 * An OCI layout or an archive that is named in the place of an image is loaded as `msb load` does it,
 * names and all, and then it is an image of the store like any other.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "image/arg.h"
#include "runtime/internal.h"

static bool is_file(const struct image_arg *arg)
{
	return arg->kind == IMAGE_ARG_LAYOUT || arg->kind == IMAGE_ARG_ARCHIVE;
}

bool import_is_archive(const char *path)
{
	static const uint8_t gzip[] = { 0x1f, 0x8b }, zstd[] = { 0x28, 0xb5, 0x2f, 0xfd };
	uint8_t head[512];
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 || io_pread_full(fd, head, sizeof(head), 0) != (ssize_t)sizeof(head))
		return false;
	return memcmp(head, gzip, sizeof(gzip)) == 0 || memcmp(head, zstd, sizeof(zstd)) == 0 ||
	       memcmp(head + 257, "ustar", 5) == 0;
}

static int path_missing(const char *path, int sys, struct err *err)
{
	err_sys(err, sys, "image '%s'", path);
	return err_detail(err, err->code == ERR_NOT_FOUND ? ERR_NR_PATH_NOT_FOUND : 0, path);
}

int import_resolve(char **text, const char *user_dir, struct err *err)
{
	AUTO(image_arg_done) struct image_arg arg = { 0 };
	AUTO_FREE char *expanded = NULL;
	AUTO_FREE char *real = NULL;
	char *resolved = NULL;

	if (image_arg_parse(*text, &arg, err) < 0)
		return err_detail(err, err->number, *text);
	if (!is_file(&arg))
		return 0;
	if (strncmp(arg.path, "~/", 2) == 0 && user_dir &&
	    asprintf(&expanded, "%s/%s", user_dir, arg.path + 2) < 0) {
		expanded = NULL;
		return err_no_memory(err);
	}
	real = realpath(expanded ? expanded : arg.path, NULL);
	if (!real)
		return path_missing(arg.path, errno, err);
	if (strchr(real, ':'))
		return err_set(err, ERR_INVALID,
			       "image '%s': a path with a colon cannot be named so; load it first: "
			       "msb load -i '%s'",
			       *text, real);
	if (asprintf(&resolved, "%.*s:%s%s%s", (int)strcspn(*text, ":"), *text, real,
		     arg.pick ? ":" : "", arg.pick ? arg.pick : "") < 0)
		return err_no_memory(err);
	free(*text);
	*text = resolved;
	return 0;
}

int import_image(struct home *home, struct store_run *run, const char *text, char **ret_digest,
		 struct err *err)
{
	AUTO(image_arg_done) struct image_arg arg = { 0 };
	struct load_result result = { 0 };
	AUTO_CLOSE int fd = -1;
	int r;

	if (image_arg_parse(text, &arg, err) < 0)
		return err_detail(err, err->number, text);
	if (!is_file(&arg))
		return 0;
	fd = open(arg.path,
		  O_RDONLY | O_CLOEXEC | (arg.kind == IMAGE_ARG_LAYOUT ? O_DIRECTORY : 0));
	if (fd < 0)
		return path_missing(arg.path, errno, err);
	r = home_image_bring_in(home, run, fd, arg.path,
				&(struct load_options){ .pick = arg.pick, .one = true }, NULL,
				&result, err);
	if (r < 0)
		return r;
	*ret_digest = TAKE_PTR(result.images[0].manifest_digest);
	load_result_done(&result);
	return 1;
}
