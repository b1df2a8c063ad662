/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/internal.h"

/*
 * DOC: records of images
 *
 * An image is recorded after all its files are in the store and while the run that brought them
 * holds them: in one transaction with what it needs and its names.  So what is recorded is whole, and
 * what is not recorded may be removed by anybody who finds nobody holding it.
 */
struct file_rows {
	struct state_file *items; /* owned; the strings are borrowed */
	size_t n;
};

static int to_rows(const struct image_files *files, struct file_rows *ret)
{
	ret->items = calloc(files->n + 1, sizeof(*ret->items));
	if (!ret->items)
		return -ENOMEM;
	for (size_t i = 0; i < files->n; i++) {
		struct image_file *f = &files->items[i];

		ret->items[ret->n++] = (struct state_file){
			.kind = image_file_kind_name(f->kind),
			.name = f->name,
			.digest = f->digest,
			.size = f->size,
			.disk = f->disk,
			.inode = f->inode,
			.mtime = f->mtime,
		};
	}
	return 0;
}

static int put(struct home *home, struct state_image *row, const struct image_files *files,
	       const char *const *names, struct err *err)
{
	struct file_rows rows = { 0 };
	int r;

	if (to_rows(files, &rows) < 0)
		return err_no_memory(err);
	row->platform = files->platform;
	r = state_image_put(home->state, row, names, rows.items, rows.n, err);
	free(rows.items);
	return r;
}

int home_image_record(struct home *home, struct store_run *run, const struct loaded_image *li,
		      const char *const *names, struct err *err)
{
	AUTO(image_files_done) struct image_files files = { 0 };
	struct state_image row = {
		.manifest_digest = li->manifest_digest,
		.config_digest = li->config_digest,
		.created = li->created,
		.size = li->size,
		.loaded_at = clock_wall_ns(),
	};
	int r = image_survey(run, li->manifest_digest, li->documents, &files, err);

	return r < 0 ? r : put(home, &row, &files, names, err);
}

int home_image_record_again(struct home *home, struct store_run *run, struct state_image *row,
			    const struct image_files *known, struct err *err)
{
	AUTO(image_files_done) struct image_files files = { 0 };
	AUTO_FREE char **documents = calloc(known->n + 1, sizeof(*documents));
	struct state_image copy = *row; /* it borrows */
	size_t n = 0;
	int r;

	if (!documents)
		return err_no_memory(err);
	for (size_t i = 0; i < known->n; i++) {
		if (known->items[i].kind == IMAGE_DOCUMENT)
			documents[n++] = known->items[i].digest;
	}
	r = image_survey(run, row->manifest_digest, documents, &files, err);
	return r < 0 ? r : put(home, &copy, &files, NULL, err);
}

static int take_file(void *user, const struct state_file *row)
{
	struct image_files *files = user;
	struct image_file f = {
		.size = row->size,
		.disk = row->disk,
		.inode = row->inode,
		.mtime = row->mtime,
	};

	/* A kind of a newer version is none that this one looks at. */
	if (image_file_kind_parse(row->kind, &f.kind) < 0)
		return 0;
	(void)snprintf(f.name, sizeof(f.name), "%s", row->name);
	(void)snprintf(f.digest, sizeof(f.digest), "%s", row->digest);
	return image_files_add(files, &f);
}

int home_image_known(struct home *home, const char *manifest_digest, struct image_files *ret_files,
		     struct err *err)
{
	AUTO(image_files_done) struct image_files files = { 0 };
	int r = state_image_files(home->state, manifest_digest, take_file, &files, err);

	if (r < 0)
		return r;
	*ret_files = files;
	files = (struct image_files){ 0 };
	return 0;
}
