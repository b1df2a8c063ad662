/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: saving to a file
 *
 * The archive is written to a file without a name in the same folder, synced, given a name of its own and
 * renamed: the file is the old one or a whole new one at any time, and a kill leaves nothing.  Where
 * the file system knows no such files it has the name from the beginning.  What is no regular file
 * (a pipe, /dev/null) is written to as it is.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "image/arg.h"
#include "runtime/internal.h"

#define OPTIONS_MAX 4096 /* bytes of the options' JSON */
#define NAMES_MAX   1024 /* images of one archive */
#define RESULT_MAX  (4u << 20)

/* Images to be saved, each once, with the names that were asked for. */
struct selection {
	struct save_image images[NAMES_MAX];
	char *digests[NAMES_MAX];      /* owned: their manifests */
	const char **lists[NAMES_MAX]; /* owned: their names, NULL-terminated */
	size_t n;
	char *fulls[NAMES_MAX]; /* owned: all names */
	size_t n_fulls;
};

static void selection_free(struct selection *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++) {
		free(s->lists[i]);
		free(s->digests[i]);
		free(s->images[i].saved_digest);
	}
	for (size_t i = 0; i < s->n_fulls; i++)
		free(s->fulls[i]);
	free(s);
}
DEFINE_AUTO(struct selection *, selection_free);

static int read_options(const char *text, struct save_options *o, struct err *err)
{
	static const char *const keys[] = { "format", "compress", "exact", NULL };
	static const char *const formats[] = { "oci", "docker", NULL };
	static const char *const compress[] = { "as-it-is", "none", "gzip", "zstd", NULL };
	unsigned format = SAVE_OCI, how = SAVE_AS_IT_IS;
	AUTO(json_decref) json_t *json = NULL;
	struct json_at root;

	if (!text)
		return 0;
	if (json_parse("options", text, strlen(text), OPTIONS_MAX, &json, err) < 0)
		return -(int)err->code;
	root = json_root(json, "options");
	if (json_only_keys(&root, keys, err) < 0 ||
	    json_opt_enum(&root, "format", formats, &format, err) < 0 ||
	    json_opt_enum(&root, "compress", compress, &how, err) < 0 ||
	    json_opt_bool(&root, "exact", &o->exact, err) < 0)
		return -(int)err->code;
	o->format = (enum save_format)format;
	o->compress = (enum save_compress)how;
	if (o->format == SAVE_DOCKER && how != SAVE_AS_IT_IS && how != SAVE_NONE)
		return err_set(err, ERR_INVALID,
			       "the layers of a docker archive are not compressed; leave out "
			       "'compress', or use the format 'oci'");
	return 0;
}

/* Add a name, which is taken over, to those of an image. */
static int add_name(struct selection *s, size_t i, char *full, struct err *err)
{
	const char **list = s->lists[i];
	size_t n = 0;

	s->fulls[s->n_fulls++] = full;
	for (; list && list[n]; n++) {
		if (strcmp(list[n], full) == 0)
			return 0;
	}
	list = reallocarray(list, n + 2, sizeof(*list));
	if (!list)
		return err_no_memory(err);
	list[n] = full;
	list[n + 1] = NULL;
	s->lists[i] = list;
	s->images[i].names = list;
	return 0;
}

static int select_image(struct home *home, struct selection *s, const char *text,
			const struct call *call, struct err *err)
{
	AUTO(image_arg_done) struct image_arg arg = { 0 };
	AUTO(state_image_done) struct state_image row = { 0 };
	size_t i = 0;

	if (image_arg_parse(text, &arg, err) < 0)
		return err_detail(err, err->number, text);
	if (!arg.full)
		return err_set(err, ERR_INVALID, "'%s' is a path, not the name of a stored image",
			       text);
	if (s->n == NAMES_MAX || s->n_fulls == NAMES_MAX)
		return err_set(err, ERR_INVALID, "an archive holds at most %d images", NAMES_MAX);
	if (home_image_find_or_load(home, text, call, &row, err) < 0)
		return -(int)err->code;
	while (i < s->n && strcmp(s->digests[i], row.manifest_digest) != 0)
		i++;
	if (i == s->n) {
		s->digests[i] = TAKE_PTR(row.manifest_digest);
		s->images[i].manifest_digest = s->digests[i];
		s->n++;
	}
	return arg.kind == IMAGE_ARG_REFERENCE ? add_name(s, i, TAKE_PTR(arg.full), err) : 0;
}

static int result_json(const struct selection *s, char **ret_json, struct err *err)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct json_out o;

	buf_init(&b, RESULT_MAX);
	json_out_init(&o, &b);
	json_put_object(&o, NULL);
	json_put_array(&o, "images");
	for (size_t i = 0; i < s->n; i++) {
		json_put_object(&o, NULL);
		json_put_str(&o, "digest", s->images[i].manifest_digest);
		json_put_str(&o, "saved_digest", s->images[i].saved_digest);
		json_put_array(&o, "references");
		for (const char **n = s->lists[i]; n && *n; n++)
			json_put_str(&o, NULL, *n);
		json_put_end(&o);
		json_put_end(&o);
	}
	json_put_end(&o);
	json_put_end(&o);
	return json_out_end(&o) < 0 ? err_no_memory(err) : take_json(&b, ret_json, err);
}

/* ---- the file ------------------------------------------------------------------------- */

struct new_file {
	char *path, *temporary; /* owned; temporary is NULL: written in place */
	bool named;		/* the temporary file has its name */
	int fd;			/* owned */
};

static void new_file_done_auto(struct new_file *f)
{
	if (f->named)
		(void)unlink(f->temporary);
	if (f->fd >= 0)
		(void)close(f->fd);
	free(f->temporary);
	free(f->path);
}

/* A file without a name in the folder of @path. -errno: not here. */
static int open_unnamed(const char *path)
{
	AUTO_FREE char *folder = strdup(path);
	char *slash = folder ? strrchr(folder, '/') : NULL;
	int fd;

	if (!folder)
		return -ENOMEM;
	if (slash)
		slash[slash == folder] = '\0';
	fd = open(slash ? folder : ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
	return fd < 0 ? -errno : fd;
}

static int open_temporary(struct new_file *f, const char *path, struct err *err)
{
	char hex[17];
	int r = random_hex(hex, sizeof(hex) - 1);

	if (r < 0)
		return err_sys(err, -r, "random number");
	if (asprintf(&f->temporary, "%s.%s", f->path, hex) < 0) {
		f->temporary = NULL;
		return err_no_memory(err);
	}
	/* The mode is that of any new file. */
	f->fd = open_unnamed(f->path);
	if (f->fd >= 0)
		return 0;
	f->fd = open(f->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	f->named = f->fd >= 0;
	return f->fd < 0 ? err_sys(err, errno, "writing '%s'", path) : 0;
}

static int new_file_open(const char *path, struct new_file *f, struct err *err)
{
	struct stat st;

	/* A link stays one: what it leads to is replaced. */
	f->path = realpath(path, NULL);
	if (!f->path)
		f->path = strdup(path);
	if (!f->path)
		return err_no_memory(err);
	if (stat(f->path, &st) < 0 || S_ISREG(st.st_mode))
		return open_temporary(f, path, err);
	f->fd = open(f->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	return f->fd < 0 ? err_sys(err, errno, "writing '%s'", path) : 0;
}

static int new_file_commit(struct new_file *f, const char *path, struct err *err)
{
	char link[32];

	if (!f->temporary)
		return 0;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", f->fd);
	if (fsync(f->fd) < 0 ||
	    (!f->named && linkat(AT_FDCWD, link, AT_FDCWD, f->temporary, AT_SYMLINK_FOLLOW) < 0))
		return err_sys(err, errno, "writing '%s'", path);
	f->named = true;
	if (rename(f->temporary, f->path) < 0)
		return err_sys(err, errno, "writing '%s'", path);
	f->named = false;
	return 0;
}

/* ---- */

static int save(struct home *home, struct selection *s, const struct save_options *o, int fd,
		const struct call *call, struct err *err)
{
	AUTO(store_run_close) struct store_run *run = NULL;

	if (isatty(fd))
		return err_set(err, ERR_INVALID, "an archive is not written to a terminal");
	if (store_run_open(home->store, call_cancel(call), &run, err) < 0)
		return -(int)err->code;
	/* What a start would check; the run holds the images from then on. */
	for (size_t i = 0; i < s->n; i++) {
		AUTO(image_free) struct image *image = NULL;
		AUTO_FREE char *digest = NULL;

		if (home_image_open(home, run, s->digests[i], NULL, call, &image, &digest, err) < 0)
			return -(int)err->code;
	}
	return image_save(run, s->images, s->n, o, fd, err);
}

int home_image_save(struct home *home, const char *const *names, const struct save_to *to,
		    const char *options, const struct call *call, char **ret_json, struct err *err)
{
	AUTO(selection_free) struct selection *s = calloc(1, sizeof(*s));
	AUTO(new_file_done) struct new_file file = { .fd = -1 };
	struct save_options o = { 0 };

	if (!s)
		return err_no_memory(err);
	if (read_options(options, &o, err) < 0)
		return -(int)err->code;
	for (const char *const *n = names; *n; n++) {
		if (select_image(home, s, *n, call, err) < 0)
			return -(int)err->code;
	}
	if (s->n == 0)
		return err_set(err, ERR_INVALID, "no image to save was named");
	if (to->path && new_file_open(to->path, &file, err) < 0)
		return -(int)err->code;
	if (save(home, s, &o, to->path ? file.fd : to->fd, call, err) < 0)
		return -(int)err->code;
	if (to->path && new_file_commit(&file, to->path, err) < 0)
		return -(int)err->code;
	return result_json(s, ret_json, err);
}
