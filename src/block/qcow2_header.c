/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <endian.h>
#include <string.h>

#include "block/qcow2.h"

#define V2_BYTES	 72  /* header of version 2 */
#define V3_BYTES	 104 /* least header of version 3 */
#define CLUSTER_BITS_MIN 9
#define CLUSTER_BITS_MAX 21

#define INCOMPAT_DIRTY	     (1ull << 0) /* reference counts may be wrong: a reader needs none */
#define INCOMPAT_CORRUPT     (1ull << 1)
#define INCOMPAT_DATA_FILE   (1ull << 2)
#define INCOMPAT_PACKING     (1ull << 3)
#define INCOMPAT_EXTENDED_L2 (1ull << 4)
#define INCOMPAT_KNOWN	     (INCOMPAT_DIRTY | INCOMPAT_PACKING)

/* Big-endian, as it lies in the file. */
struct raw_header {
	uint32_t magic, version;
	uint64_t backing_file_offset;
	uint32_t backing_file_size, cluster_bits;
	uint64_t size;
	uint32_t crypt_method, l1_size;
	uint64_t l1_table_offset, refcount_table_offset;
	uint32_t refcount_table_clusters, nb_snapshots;
	uint64_t snapshots_offset;
	/* version 3 */
	uint64_t incompatible_features, compatible_features, autoclear_features;
	uint32_t refcount_order, header_length;
	uint8_t compression_type, padding[7];
};
static_assert(sizeof(struct raw_header) == QCOW2_HEADER_MAX, "no padding");

/* A header and what is told about it. */
struct parse {
	struct raw_header raw; /* fields that the version does not have are 0 */
	uint64_t file_size;
	const char *path;
	struct err *err;
};

/* The image is sound but not for us; a copy would be. */
static int refuse(const struct parse *p, const char *field, const char *why)
{
	return err_set(p->err, ERR_INVALID,
		       "disk image '%s' %s (%s)\nmake a copy that stands alone: "
		       "qemu-img convert -O qcow2 %s NEW.qcow2",
		       p->path, why, field, p->path);
}

static int broken(const struct parse *p, const char *field, uint64_t value, const char *why)
{
	return err_set(p->err, ERR_INVALID, "disk image '%s' is damaged: %s is %llu, %s", p->path,
		       field, (unsigned long long)value, why);
}

static int check_features(const struct parse *p)
{
	uint64_t features = be64toh(p->raw.incompatible_features);

	if (p->raw.backing_file_offset)
		return refuse(p, "backing_file_offset", "is a difference to another file");
	if (features & INCOMPAT_DATA_FILE)
		return refuse(p, "incompatible feature 'external data file'",
			      "keeps its data in another file");
	if (p->raw.crypt_method)
		return refuse(p, "crypt_method", "is encrypted");
	if (features & INCOMPAT_EXTENDED_L2)
		return refuse(p, "incompatible feature 'extended L2 entries'", "has subclusters");
	if (features & INCOMPAT_CORRUPT)
		return err_set(p->err, ERR_INVALID,
			       "disk image '%s' is marked as corrupt\nrepair it: qemu-img check -r "
			       "all %s",
			       p->path, p->path);
	if (features & ~INCOMPAT_KNOWN)
		return refuse(p, "incompatible_features", "needs a feature that is not known");
	return 0;
}

static int check_sizes(const struct parse *p, struct qcow2_header *h)
{
	uint64_t l2_entries, cluster, used, l1_bytes, end;

	h->cluster_bits = be32toh(p->raw.cluster_bits);
	if (h->cluster_bits < CLUSTER_BITS_MIN || h->cluster_bits > CLUSTER_BITS_MAX)
		return broken(p, "cluster_bits", h->cluster_bits, "not 9 to 21");
	h->disk_size = be64toh(p->raw.size);
	if (h->disk_size == 0)
		return broken(p, "size", 0, "so there is no disk");
	if (h->disk_size > QCOW2_DISK_MAX)
		return broken(p, "size", h->disk_size, "above 16 TiB");
	cluster = 1ull << h->cluster_bits;
	l2_entries = cluster / sizeof(uint64_t);
	used = (h->disk_size + cluster * l2_entries - 1) / (cluster * l2_entries);
	if (used > be32toh(p->raw.l1_size))
		return broken(p, "l1_size", be32toh(p->raw.l1_size), "too little for the disk");
	l1_bytes = used * sizeof(uint64_t);
	if (l1_bytes > QCOW2_L1_MAX)
		return broken(p, "size", h->disk_size, "too much for so small clusters");
	h->l1_used = (uint32_t)used;
	h->l1_offset = be64toh(p->raw.l1_table_offset);
	if (h->l1_offset == 0 || h->l1_offset % cluster != 0)
		return broken(p, "l1_table_offset", h->l1_offset, "not at a cluster");
	if (__builtin_add_overflow(h->l1_offset, l1_bytes, &end) || end > p->file_size)
		return broken(p, "l1_table_offset", h->l1_offset, "past the end of the file");
	return 0;
}

static int check_v3(const struct parse *p, struct qcow2_header *h)
{
	uint32_t length = be32toh(p->raw.header_length);

	if (length < V3_BYTES || length % 8 != 0)
		return broken(p, "header_length", length, "not 104 or more");
	if (!(be64toh(p->raw.incompatible_features) & INCOMPAT_PACKING))
		return 0;
	if (length <= V3_BYTES || p->raw.compression_type >= QCOW2_PACKING_MAX)
		return refuse(p, "compression_type", "is compressed in a way that is not known");
	h->packing = (enum qcow2_packing)p->raw.compression_type;
	return 0;
}

int qcow2_header_parse(const void *data, size_t len, uint64_t file_size, const char *path,
		       struct qcow2_header *ret_header, struct err *err)
{
	struct parse p = { .file_size = file_size, .path = path, .err = err };
	struct qcow2_header h = { 0 };
	int r;

	if (len < V2_BYTES)
		return err_set(err, ERR_INVALID,
			       "disk image '%s' is damaged: it ends in its header", path);
	memcpy(&p.raw, data, len < sizeof(p.raw) ? len : sizeof(p.raw));
	if (be32toh(p.raw.magic) != QCOW2_MAGIC)
		return err_set(err, ERR_INVALID, "'%s' is no qcow2 image", path);
	h.version = be32toh(p.raw.version);
	if (h.version != 2 && h.version != 3)
		return refuse(&p, "version", "has a version that is not known");
	if (h.version == 2)
		memset((char *)&p.raw + V2_BYTES, 0, sizeof(p.raw) - V2_BYTES);
	else if (len < V3_BYTES)
		return err_set(err, ERR_INVALID,
			       "disk image '%s' is damaged: it ends in its header", path);
	r = check_features(&p);
	if (r == 0 && h.version == 3)
		r = check_v3(&p, &h);
	if (r == 0)
		r = check_sizes(&p, &h);
	if (r == 0)
		*ret_header = h;
	return r;
}
