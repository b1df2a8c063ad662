/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TAR_PAX_H
#define TAR_PAX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "tar/tar.h"

/*
 * Records of pax headers, "LENGTH KEY=VALUE\n".  One set for the next entry, one that is global.
 */
struct pax_set {
	struct buf bytes; /* records one after the other, checked */
};

/* What the records of an entry say; pointers are into the sets. */
struct pax_fields {
	const uint8_t *path, *link, *sparse_name, *sparse_map;
	size_t path_len, link_len, sparse_name_len, sparse_map_len;
	bool has_size, has_uid, has_gid, has_mtime, has_real_size;
	uint64_t size, uid, gid, real_size;
	int64_t mtime;
	uint32_t mtime_ns;
	bool sparse_old; /* formats 0.0 and 0.1 */
	bool sparse_1_0;
	uint64_t sparse_major, sparse_minor;
	struct tar_chunk *chunks; /* format 0.0; owned */
	size_t n_chunks;
	struct tar_xattr *xattrs; /* owned; names too */
	size_t n_xattrs;
	size_t xattr_bytes;
	uint64_t pending_offset; /* of format 0.0 */
	bool has_pending;
};

void pax_set_init(struct pax_set *s, size_t max);
void pax_set_done(struct pax_set *s);
/* Check the body of a header and add its records. -EINVAL, -ENOBUFS, -ENOMEM. */
MUST_CHECK int pax_set_add(struct pax_set *s, const uint8_t *body, size_t len);

/*
 * Read the records of a set over what is there already (global first).  -EINVAL: a value is
 * wrong, *ret_key says which; -E2BIG: too many attributes.
 */
MUST_CHECK int pax_apply(const struct pax_set *s, struct pax_fields *f, const char **ret_key);
void pax_fields_done(struct pax_fields *f);

/* "o,l,o,l" of GNU.sparse.map into f->chunks. */
MUST_CHECK int pax_sparse_map(struct pax_fields *f);

#endif /* TAR_PAX_H */
