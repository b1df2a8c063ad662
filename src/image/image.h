/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_IMAGE_H
#define IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/defer.h"
#include "base/err.h"

/*
 * Images on disk: MSB_HOME/images (see docs/internals/image.md).  The store holds documents
 * by digest, layer data and tree files by diff_id, merged metadata.  It knows no names:
 * references are in the state database, which its users keep.
 */
struct store;

/**
 * store_open() - The store below @home_fd, made if missing
 * @home_fd:	MSB_HOME; borrowed for the call
 */
MUST_CHECK int store_open(int home_fd, struct store **ret_store, struct err *err);
void store_close(struct store *store);
DEFINE_AUTO(struct store *, store_close);

/* What one image of an archive became. Strings owned by the struct. */
struct loaded_image {
	char *manifest_digest; /* "sha256:..." */
	char *config_digest;
	char *created; /* RFC 3339 as in the config; NULL if it does not say */
	char **names;  /* full references, "docker.io/library/debian:latest"; NULL-terminated */
	size_t n_names;
	uint64_t size; /* bytes of its layers' data files */
};

struct load_result {
	struct loaded_image *images;
	size_t n_images;
	unsigned n_warnings;
};
void load_result_done(struct load_result *r);

/**
 * image_load() - Import a docker-archive or an OCI layout, plain, gzip or zstd
 * @fd:		Read from its position to its end, in one pass; may be a pipe; borrowed
 * @what:	Name for messages: the file's path, or "standard input"
 * @cancel:	May be NULL; ends it also while @fd has nothing to read
 * @err:	INVALID (no archive, truncated, a digest is wrong), IO, CANCELLED
 *
 * Blocks. On failure no image of it is half there; layers, documents and merged
 * files that are complete may stay.
 */
MUST_CHECK int image_load(struct store *store, int fd, const char *what, struct cancel *cancel,
			  struct load_result *ret_result, struct err *err);

/* A piece of the image's read-only disk; file_offset is always 0. */
struct image_extent {
	int fd;		      /* owned by the struct image; O_RDONLY */
	uint64_t disk_offset; /* bytes, a multiple of 2 MiB */
	uint64_t len;	      /* bytes of the file, not rounded */
};

/* An image ready to be booted. */
struct image {
	char *architecture; /* "amd64" */
	char **env;	    /* NULL-terminated lists; never NULL */
	char **entrypoint, **cmd;
	char *workdir;		      /* NULL if the image names none */
	char *user;		      /* NULL likewise */
	struct image_extent *extents; /* [merged][data 1][data 2]... */
	size_t n_extents;
	uint64_t disk_size; /* bytes; end of the last extent, a multiple of 2 MiB */
};
void image_free(struct image *img);
DEFINE_AUTO(struct image *, image_free);

/**
 * image_open() - Check an image of the store and open its pieces
 * @manifest_digest: "sha256:..."
 * @err:	NOT_FOUND, IO (a piece is missing or damaged)
 */
MUST_CHECK int image_open(struct store *store, const char *manifest_digest,
			  struct image **ret_image, struct err *err);

/**
 * image_ref_parse() - Full form of a reference: "busybox" gives "docker.io/library/busybox:latest"
 * @ret_full:	Owned by the caller
 * @err:	INVALID, naming the byte that is wrong
 */
MUST_CHECK int image_ref_parse(const char *text, char **ret_full, struct err *err);
/* Short form for tables: "busybox:latest". Owned by the caller; NULL when out of memory. */
char *image_ref_short(const char *full);

/**
 * ext4_create() - Make an empty ext4 file system of @size bytes in the sparse file @fd
 *
 * In process by libext2fs, as docs/internals/image.md says. A few milliseconds. Not synced.
 */
MUST_CHECK int ext4_create(int fd, uint64_t size, struct err *err);

#endif /* IMAGE_IMAGE_H */
