/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "diskimg/internal.h"

#define LIST_MAX 6 /* partitions that an error names */

/* What could be the root of a disk. */
struct candidate {
	struct partition part; /* number 0: the whole disk */
	struct filesystem fs;
};

struct search {
	struct block *disk;
	const char *path;
	struct err *err;
	struct partition_table table;
	struct candidate found[PARTITIONS_MAX];
};

static void add_text(char *text, size_t max, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void add_text(char *text, size_t max, const char *fmt, ...)
{
	size_t len = strlen(text);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text + len, max - len, fmt, ap);
	va_end(ap);
}

/* "1 512 MiB vfat, 2 3584 MiB ext4 ..." */
static void list_partitions(const struct search *s, char *text, size_t max)
{
	text[0] = '\0';
	for (size_t i = 0; i < s->table.n && i < LIST_MAX; i++) {
		const struct candidate *c = &s->found[i];

		add_text(text, max, "%s%u (%s, %llu MiB)", i ? ", " : "", c->part.number,
			 c->fs.type ? c->fs.type : "nothing known",
			 (unsigned long long)(c->part.len >> 20));
	}
	if (s->table.n > LIST_MAX)
		add_text(text, max, " and %zu more", s->table.n - LIST_MAX);
}

static int no_root(const struct search *s, const char *why)
{
	char list[256];

	if (s->table.n == 0)
		return err_set(s->err, ERR_INVALID, "disk image '%s' %s", s->path, why);
	list_partitions(s, list, sizeof(list));
	return err_set(s->err, ERR_INVALID,
		       "disk image '%s' %s\nits partitions: %s\nname one: --partition N", s->path,
		       why, list);
}

/* The root may grow if no partition lies behind it. */
static bool is_last(const struct search *s, const struct partition *part)
{
	for (size_t i = 0; i < s->table.n; i++)
		if (s->table.list[i].offset > part->offset)
			return false;
	return true;
}

static int take(const struct search *s, const struct candidate *c, const char *fstype,
		struct disk_root *ret)
{
	if (!fstype && !c->fs.mountable)
		return no_root(s, "has no file system there that the guest can mount as root");
	if (c->fs.size > c->part.len)
		return err_set(s->err, ERR_INVALID,
			       "disk image '%s' is cut off: its %s file system has %llu bytes, and "
			       "%llu are there",
			       s->path, c->fs.type, (unsigned long long)c->fs.size,
			       (unsigned long long)c->part.len);
	*ret = (struct disk_root){
		.offset = c->part.offset,
		.len = c->part.len,
		.partition = c->part.number,
		.fstype = fstype ? fstype : c->fs.type,
		.last = is_last(s, &c->part),
	};
	return 0;
}

static bool fits(const struct candidate *c, const char *fstype)
{
	return c->fs.mountable && (!fstype || strcmp(c->fs.type, fstype) == 0);
}

/* One of the partitions: the one asked for, that of the root's type, the only one that fits. */
static int choose(const struct search *s, uint32_t partition, const char *fstype,
		  struct disk_root *ret)
{
	const struct candidate *only = NULL;
	size_t n = 0;

	for (size_t i = 0; partition && i < s->table.n; i++)
		if (s->found[i].part.number == partition)
			return take(s, &s->found[i], fstype, ret);
	if (partition) {
		char why[64];

		(void)snprintf(why, sizeof(why), "has no partition %u", partition);
		return no_root(s, why);
	}
	for (size_t i = 0; i < s->table.n; i++)
		if (s->table.list[i].linux_root && fits(&s->found[i], fstype))
			return take(s, &s->found[i], fstype, ret);
	for (size_t i = 0; i < s->table.n; i++) {
		if (!fits(&s->found[i], fstype))
			continue;
		only = &s->found[i];
		n++;
	}
	if (n == 1)
		return take(s, only, fstype, ret);
	return no_root(s, n ? "has several file systems that could be the root"
			    : "has no file system that the guest can mount as root");
}

static int probe_all(struct search *s)
{
	int r = partition_table_read(s->disk, &s->table);

	for (size_t i = 0; r == 0 && i < s->table.n; i++) {
		struct candidate *c = &s->found[i];

		c->part = s->table.list[i];
		r = filesystem_probe(s->disk, c->part.offset, c->part.len, &c->fs);
	}
	return r;
}

int disk_root_find(struct block *disk, const char *path, uint32_t partition, const char *fstype,
		   struct disk_root *ret_root, struct err *err)
{
	AUTO_FREE struct search *s = calloc(1, sizeof(*s));
	struct candidate whole = { .part = { .len = disk->size } };
	bool gpt;
	int r;

	if (!s)
		return err_no_memory(err);
	*s = (struct search){ .disk = disk, .path = path, .err = err };
	r = probe_all(s);
	if (r == 0)
		r = filesystem_probe(disk, 0, disk->size, &whole.fs);
	if (r < 0)
		return err_sys(err, -r, "read disk image '%s'", path);
	/* Boot code at the front of a file system looks like an MBR; nothing looks like a GPT. */
	gpt = s->table.kind && strcmp(s->table.kind, "GPT") == 0;
	if (!partition && !gpt && (fits(&whole, fstype) || s->table.n == 0)) {
		s->table.n = 0;
		if (whole.fs.mountable || fstype)
			return take(s, &whole, fstype, ret_root);
		if (!whole.fs.type)
			return no_root(s, "has neither partitions nor a known file system");
		return err_set(err, ERR_INVALID,
			       "disk image '%s' has %s, which the guest cannot mount as root\nit "
			       "can mount ext4 and erofs",
			       path, whole.fs.type);
	}
	return choose(s, partition, fstype, ret_root);
}
