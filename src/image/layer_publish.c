/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>

#include "image/erofs.h"
#include "image/layer.h"

static int publish(struct store_run *run, const char *name, const char *to, struct err *err)
{
	AUTO_CLOSE int fd = openat(run->store->dir_fd, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, errno, "images/%s", name);
	return store_publish(run, name, fd, to, err);
}

bool layer_is_there(struct store *s, const uint8_t diff_id[SHA256_BYTES], uint64_t *ret_size)
{
	char data[STORE_NAME_MAX], tree[STORE_NAME_MAX];
	AUTO_CLOSE int fd = -1;
	struct stat d, t;
	struct erofs_layer l = { 0 };
	uint64_t disk;

	store_data_name(diff_id, data);
	store_tree_name(diff_id, tree);
	fd = openat(s->dir_fd, tree, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &t) < 0 || fstatat(s->dir_fd, data, &d, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	l.data_size = (uint64_t)d.st_size;
	if (erofs_check(fd, (uint64_t)t.st_size, &disk) < 0 ||
	    disk != erofs_data_start((uint64_t)t.st_size, &l, 1))
		return false;
	*ret_size = l.data_size;
	return true;
}

/* The bytes as they came, where a later save looks for them; the run holds them. */
static int publish_raw(struct store_run *run, struct layer *l, struct err *err)
{
	char to[STORE_NAME_MAX];

	if (!l->raw_name[0])
		return 0;
	store_blob_name(l->raw, to);
	if (store_hold(run, l->raw, err) < 0 || publish(run, l->raw_name, to, err) < 0)
		return -err->code;
	l->raw_name[0] = '\0';
	return 0;
}

int layer_publish_made(struct store_run *run, struct layer *l, bool replace, struct err *err)
{
	char data[STORE_NAME_MAX], tree[STORE_NAME_MAX];
	uint64_t size = 0;

	if (publish_raw(run, l, err) < 0)
		return -err->code;
	store_data_name(l->diff_id, data);
	store_tree_name(l->diff_id, tree);
	if (!replace && layer_is_there(run->store, l->diff_id, &size) && size == l->size)
		layer_drop(run, l);
	/* The tree file comes last: with it the layer is complete. */
	else if (publish(run, l->data_name, data, err) < 0 ||
		 publish(run, l->tree_name, tree, err) < 0)
		return -err->code;
	l->published = true;
	return 0;
}

int layer_publish(struct store_run *run, struct layer *l, struct err *err)
{
	int r;

	if (l->published)
		return 0;
	if (store_hold(run, l->diff_id, err) < 0 || store_make_begin(run, l->diff_id, err) < 0)
		return -err->code;
	r = layer_publish_made(run, l, false, err);
	store_make_end(run, l->diff_id);
	return r;
}

void layer_drop(struct store_run *run, struct layer *l)
{
	if (l->published)
		return;
	if (l->data_name[0])
		(void)unlinkat(run->store->dir_fd, l->data_name, 0);
	if (l->tree_name[0])
		(void)unlinkat(run->store->dir_fd, l->tree_name, 0);
	if (l->raw_name[0])
		(void)unlinkat(run->store->dir_fd, l->raw_name, 0);
}
