/* SPDX-License-Identifier: Apache-2.0 */
/* The root of the device: a read-only folder with one numbered entry for each mount. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "fs/internal.h"

#define SYNTH_INO 1

struct synth {
	struct fs_backend base;
	const struct fs_obj *roots; /* borrowed from the server */
	size_t n;
};

struct synth_file {
	struct fs_file base;
	struct synth *synth; /* borrowed */
};

static void synth_free(struct fs_backend *b)
{
	free(b);
}

static int synth_lookup(const struct fs_obj *dir, const char *name, struct fs_obj *ret,
			struct stat *ret_st)
{
	struct synth *s = (struct synth *)dir->backend;
	struct fs_obj o;
	uint64_t i;
	int r;

	if (s->n == 0 || parse_u64(name, s->n - 1, &i) < 0 || (name[0] == '0' && name[1]))
		return -ENOENT;
	r = s->roots[i].backend->ops->getattr(&s->roots[i], ret_st);
	if (r < 0)
		return r;
	o = s->roots[i];
	o.fd = fcntl(o.fd, F_DUPFD_CLOEXEC, 0);
	if (o.fd < 0)
		return -errno;
	*ret = o;
	return 0;
}

static void synth_put(struct fs_obj *o)
{
}

static int synth_getattr(const struct fs_obj *o, struct stat *ret_st)
{
	const struct synth *s = (struct synth *)o->backend;

	*ret_st = (struct stat){
		.st_ino = SYNTH_INO,
		.st_mode = S_IFDIR | 0555,
		.st_nlink = 2 + s->n,
		.st_blksize = 4096,
	};
	return 0;
}

static int synth_opendir(const struct fs_obj *o, struct fs_file **ret_file)
{
	struct synth_file *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->base.backend = o->backend;
	f->synth = (struct synth *)o->backend;
	*ret_file = &f->base;
	return 0;
}

static void synth_close(struct fs_file *f)
{
	free(f);
}

static int synth_readdir(struct fs_file *file, uint64_t off, fs_emit_fn emit, void *user)
{
	const struct synth *s = ((struct synth_file *)file)->synth;

	/* Entries "." and ".." have the offsets 0 and 1, mount i has i + 2. */
	for (; off < s->n + 2; off++) {
		char name[24];
		int len = off < 2 ? snprintf(name, sizeof(name), "%s", off ? ".." : ".")
				  : snprintf(name, sizeof(name), "%zu", (size_t)off - 2);

		if (!emit(user, name, (size_t)len, off < 2 ? SYNTH_INO : s->roots[off - 2].ino,
			  S_IFDIR, off + 1))
			break;
	}
	return 0;
}

static int synth_statfs(const struct fs_obj *o, struct statfs *ret)
{
	*ret = (struct statfs){ .f_bsize = 4096, .f_frsize = 4096, .f_namelen = FS_NAME_LEN_MAX };
	return 0;
}

static const struct fs_ops synth_ops = {
	.free = synth_free,
	.lookup = synth_lookup,
	.put = synth_put,
	.getattr = synth_getattr,
	.opendir = synth_opendir,
	.close = synth_close,
	.readdir = synth_readdir,
	.statfs = synth_statfs,
};

int synth_new(const struct fs_obj *roots, size_t n, struct fs_backend **ret_backend,
	      struct fs_obj *ret_root)
{
	struct synth *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->base.ops = &synth_ops;
	s->base.read_only = true;
	s->roots = roots;
	s->n = n;
	*ret_root = (struct fs_obj){ .backend = &s->base, .ino = SYNTH_INO, .fd = -1 };
	*ret_backend = &s->base;
	return 0;
}
