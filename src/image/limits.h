/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_LIMITS_H
#define IMAGE_LIMITS_H

#include <stdint.h>

#include "base/err.h"
#include "tar/limits.h"

/*
 * Every bound of the module that is fixed, in one place; struct image_limits (image.h) has those
 * that can be set.  All of it is hostile input.
 */

/**
 * limit_exceeded() - Say so
 * @key:	Member of struct image_limits
 * @found:	What it is, or how far it got
 * Return: negative; INVALID, reason "limit-exceeded", number 901, subject "images.limits.KEY".
 */
int limit_exceeded(struct err *err, const char *key, uint64_t found, uint64_t limit);

#define KIB (1ull << 10)
#define MIB (1ull << 20)
#define GIB (1ull << 30)

/* References: the grammar of docker's distribution/reference. */
#define REF_NAME_MAX   255 /* bytes of host and path */
#define REF_TAG_MAX    128 /* bytes */
#define REF_DIGEST_MAX 135 /* bytes: "sha512:" and 128 digits */

/* Documents. */
#define INDEX_ENTRIES_MAX 1024
#define INDEX_DEPTH_MAX	  4
/* Texts in a config: entries of Env, Entrypoint and Cmd, bytes of one. */
#define CONFIG_LIST_MAX	  4096
#define CONFIG_TEXT_MAX	  (128 * KIB) /* MAX_ARG_STRLEN of Linux */

/* Archives given to load: members, and documents held in memory till the manifest comes. */
#define ARCHIVE_MEMBERS_MAX   65536
#define ARCHIVE_DOC_BYTES_MAX (64 * MIB)
#define ARCHIVE_LINKS_MAX     16 /* links followed from one member name */

/* Names: PATH_MAX, NAME_MAX of Linux; a symlink target has room for the NUL. */
#define PATH_BYTES_MAX	 4096
#define NAME_BYTES_MAX	 255
#define TARGET_BYTES_MAX 4095
#define TREE_DEPTH_MAX	 2048 /* components in a path of PATH_BYTES_MAX */
#define SYMLINKS_MAX	 40   /* MAXSYMLINKS of Linux */

/* EROFS maps of sparse files: entries for a file, bytes of unaligned data in a layer. */
#define SPARSE_MAP_MAX	(1u << 24)
#define SPARSE_MAPS_MAX (1u << 26) /* of a layer */
#define SPARSE_COPY_MAX (256 * MIB)

/* Decompression: zstd window (2^27 = 128 MiB). */
#define ZSTD_WINDOW_LOG_MAX 27

/* EROFS */
#define EROFS_BLOCK	  512u	     /* bytes; where tar has its data */
#define EROFS_BLOCKS_MAX  UINT32_MAX /* 32-bit addresses: 2 TiB */
#define EROFS_ENTRIES_MAX 16000000u  /* of a directory; one has at most 267 of its 2^32 bytes */
#define FILE_BYTES_MAX	  (2048 * GIB)
#define DISK_ALIGN	  (2 * MIB) /* extents of the root disk begin at multiples */

#define COPY_BYTES (1 * MIB) /* of one read or write */

#endif /* IMAGE_LIMITS_H */
