/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_IMAGE_H
#define IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/defer.h"
#include "base/err.h"

/*
 * Images on disk: MSB_HOME/images (see docs/internals/image.md).  The store holds documents
 * by digest, layer data and tree files by diff_id, merged metadata.  It knows no names:
 * references are in the state database, which its users keep.
 */
struct store;

/* `images.limits` of config.json: what an image may have.  Beyond: "limit-exceeded". */
struct image_limits {
	uint64_t manifest_bytes; /* of a manifest or index */
	uint64_t config_bytes;
	uint64_t layers;      /* of an image */
	uint64_t layer_bytes; /* of a layer, unpacked */
	uint64_t file_bytes;  /* of a file in it */
	uint64_t entries;     /* of a layer */
};
extern const struct image_limits image_limits_default;
/* More than that cannot be asked for: what the formats hold. */
extern const struct image_limits image_limits_max;

/**
 * store_open() - The store below @home_fd, made if missing
 * @home_fd:	MSB_HOME; borrowed for the call
 * @limits:	Copied; NULL: the defaults
 * @err:	INVALID (a limit above image_limits_max), IO
 */
MUST_CHECK int store_open(int home_fd, const struct image_limits *limits, struct store **ret_store,
			  struct err *err);
void store_close(struct store *store);
/* `images.keep_blobs`: from now on keep compressed layers too, so that they can be saved as they came. */
void store_keep_blobs(struct store *store, bool keep);
DEFINE_AUTO(struct store *, store_close);

/*
 * One run: a load, a pull, a start, a removal.  What it relies on (layers, documents, merged images)
 * is held until it is closed, so nobody removes it; then a record must say who needs it.  Its
 * temporary files go with it.  Several threads may use it at once; two runs exclude each other,
 * in one process or in two.
 */
struct store_run;
struct cancel;

/**
 * store_run_open() - Begin a run; what dead ones have left is removed
 * @cancel:	Ends waiting for other runs; borrowed until the run is closed; NULL: none
 */
MUST_CHECK int store_run_open(struct store *store, struct cancel *cancel,
			      struct store_run **ret_run, struct err *err);
void store_run_close(struct store_run *run);
DEFINE_AUTO(struct store_run *, store_run_close);

/* What one image of an archive became. Strings owned by the struct. */
struct loaded_image {
	char *manifest_digest; /* "sha256:..." */
	char *config_digest;
	char *created; /* RFC 3339 as in the config; NULL if it does not say */
	char **names;  /* full references, "docker.io/library/debian:latest"; NULL-terminated */
	size_t n_names;
	/* Further documents that are kept for it, "sha256:...", such as the index it was found by;
	 * NULL-terminated; NULL: none. */
	char **documents;
	uint64_t size; /* bytes of its layers' data files */
};

struct load_result {
	struct loaded_image *images;
	size_t n_images;
	unsigned n_warnings;
};
void load_result_done(struct load_result *r);
static inline void load_result_done_auto(struct load_result *r)
{
	load_result_done(r);
}

struct load_options {
	const char *pick; /* borrowed: tag or name of the image that is meant; NULL: all */
	bool one;	  /* several are an error */
};

/**
 * image_load() - Import a docker-archive or an OCI layout, plain, gzip or zstd
 * @run:	Holds what the images need until it is closed: record them before that
 * @fd:		Read from its position to its end, in one pass; may be a pipe. Or the folder of an
 *		OCI layout, of which only what is needed is read. Borrowed
 * @what:	Name for messages: the file's path, or "standard input"
 * @options:	NULL: all images
 * @err:	INVALID (no archive, truncated, a digest is wrong), IO, CANCELLED (by the run's
 *		switch, also while @fd has nothing to read)
 *
 * Blocks. On failure no image of it is half there; layers, documents and merged
 * files that are complete may stay.
 */
MUST_CHECK int image_load(struct store_run *run, int fd, const char *what,
			  const struct load_options *options, struct load_result *ret_result,
			  struct err *err);

/* ---- the files of an image --------------------------------------------------------------- */

/* Hold an image by its digest, before the record of it is read. @err: INVALID, CANCELLED, IO */
MUST_CHECK int image_hold(struct store_run *run, const char *manifest_digest, struct err *err);

#define STORE_NAME_MAX	      128 /* bytes of a file's name below images/, with NUL */
#define IMAGE_DIGEST_TEXT_MAX 72  /* "sha256:", 64 digits, NUL */

enum image_file_kind {
	IMAGE_MANIFEST,
	IMAGE_CONFIG,
	IMAGE_LAYER, /* data file */
	IMAGE_TREE,
	IMAGE_MERGED,
	IMAGE_DOCUMENT, /* an index it was found by */
	IMAGE_BLOB,	/* a layer as it was transferred, kept for saving */
	IMAGE_FILE_KIND_MAX,
};
/* "manifest", "config", "layer" ...; static. */
const char *image_file_kind_name(enum image_file_kind kind);
/* -EINVAL: no such word. */
MUST_CHECK int image_file_kind_parse(const char *name, enum image_file_kind *ret);

/* A file of the store that an image needs, as it was when somebody looked. */
struct image_file {
	enum image_file_kind kind;
	char name[STORE_NAME_MAX];
	char digest[IMAGE_DIGEST_TEXT_MAX]; /* of its content */
	uint64_t size, disk;		    /* bytes; bytes on disk */
	uint64_t inode;			    /* number */
	int64_t mtime;			    /* ns since the epoch */
};

struct image_files {
	struct image_file *items; /* owned; documents first, then layer by layer, then the rest */
	size_t n;
	char *platform; /* owned; "linux/arm64/v8"; NULL: not known */
};
void image_files_done(struct image_files *f);
static inline void image_files_done_auto(struct image_files *f)
{
	image_files_done(f);
}
/* A copy of @file at the end. -ENOMEM */
MUST_CHECK int image_files_add(struct image_files *f, const struct image_file *file);

/**
 * image_survey() - What an image needs: for the record of it
 * @run:	Holds all of it from then on
 * @documents:	Digests of further documents that it keeps; NULL-terminated; NULL: none
 * @err:	NOT_FOUND (the manifest), IO (a piece is missing)
 *
 * Reads all but the layers' data.
 */
MUST_CHECK int image_survey(struct store_run *run, const char *manifest_digest,
			    char *const *documents, struct image_files *ret_files, struct err *err);

enum image_piece { PIECE_GOOD, PIECE_REBUILT, PIECE_BAD, PIECE_MISSING, PIECE_MAX };
/* @file: with name, digest and size at least. */
typedef void (*image_piece_fn)(void *user, const struct image_file *file, enum image_piece piece);

/**
 * image_verify() - Read every byte of an image and compare it with its digest
 * @known:	The files as they were recorded; NULL: not known
 * @fn:		Told of each file, on this thread
 * @err:	Of the check itself; what it finds is no error
 *
 * What is bad goes to images/bad; tree files and merged metadata are built anew.  Takes as long as reading.
 */
MUST_CHECK int image_verify(struct store_run *run, const char *manifest_digest,
			    const struct image_files *known, image_piece_fn fn, void *user,
			    struct err *err);

/* ---- removal ----------------------------------------------------------------------------- */

/**
 * image_own() - Have an image for oneself: nobody starts, loads or pulls it
 * @run:	Of the removal: it holds nothing
 * @patient:	Wait for two seconds, which is longer than a start holds it
 * @err:	BUSY: it is held; INVALID, CANCELLED, IO
 */
MUST_CHECK int image_own(struct store_run *run, const char *manifest_digest, bool patient,
			 struct err *err);
void image_disown(struct store_run *run, const char *manifest_digest);

/**
 * image_file_own() - Have the object that a file belongs to for oneself
 * Return: 0; -EAGAIN: a run holds it; -EINVAL: the name is none of ours; -errno
 */
MUST_CHECK int image_file_own(struct store_run *run, const char *name);
void image_file_disown(struct store_run *run, const char *name);
/* Delete a file that is owned; @ret_bytes on disk. A missing one is fine. -errno */
MUST_CHECK int image_file_delete(struct store_run *run, const char *name, uint64_t *ret_bytes);
/* Bytes on disk of a file; 0: there is none. */
uint64_t image_file_disk(struct store_run *run, const char *name);

/* A name of the store; a negative answer (-errno) ends the listing and is returned. */
typedef int (*image_name_fn)(void *user, const char *name);
/* Every file that an image might need, in no order. -errno */
MUST_CHECK int image_each_file(struct store_run *run, image_name_fn fn, void *user);

/**
 * image_clean_old() - Delete downloads that nobody went on with, and what was set aside
 * @age_s:	Unfinished downloads are kept for so many seconds
 * @ret_bytes:	That came free
 */
MUST_CHECK int image_clean_old(struct store_run *run, uint64_t age_s, uint64_t *ret_bytes,
			       struct err *err);
/* What the images may take together by default: half of their file system, in bytes. -errno */
MUST_CHECK int image_space_default(struct store *store, uint64_t *ret_bytes);

/* ---- documents --------------------------------------------------------------------------- */

/* Manifest and config of an image, as they came, and checked. @err: NOT_FOUND, IO */
struct buf;
MUST_CHECK int image_documents(struct store_run *run, const char *manifest_digest,
			       struct buf *ret_manifest, struct buf *ret_config, struct err *err);

/* ---- saving ------------------------------------------------------------------------------ */

/* One image to be saved. */
struct save_image {
	const char *manifest_digest; /* borrowed */
	const char *const *names;    /* full references; NULL-terminated; borrowed */
	char *saved_digest; /* out: of the manifest in an OCI archive; owned by the caller */
};

enum save_format { SAVE_OCI, SAVE_DOCKER, SAVE_FORMAT_MAX };
enum save_compress {
	SAVE_AS_IT_IS, /* layers as in the manifest if the store can give them so, else gzip */
	SAVE_NONE,
	SAVE_GZIP,
	SAVE_ZSTD,
	SAVE_COMPRESS_MAX
};

struct save_options {
	enum save_format format;
	enum save_compress compress; /* of SAVE_OCI; SAVE_DOCKER compresses nothing */
	bool exact;		     /* an OCI manifest that changes is an error */
	unsigned threads;	     /* that compress; 0: as many as there are usable CPUs */
};

/**
 * image_save() - Write images as one archive that load, docker, podman and skopeo read
 * @run:	Holds the images from then on; its cancel ends the call
 * @images:	Those that share layers share them in the archive; saved_digest is set on success
 * @fd:		Written front to back; may be a pipe; borrowed
 * @err:	NOT_FOUND, IO (a piece is missing or damaged: reason "image-corrupt"; writing fails),
 *		INVALID with reason "digest-changes" (only if exact), CANCELLED
 *
 * Blocks. The same images and options give the same bytes. After a failure what was written is
 * no archive: its documents, which come last, are missing.
 */
MUST_CHECK int image_save(struct store_run *run, struct save_image *images, size_t n_images,
			  const struct save_options *options, int fd, struct err *err);

/* ---- for a start ------------------------------------------------------------------------- */

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
	char *stop_signal;	      /* as the image writes it: "SIGQUIT"; NULL likewise */
	struct image_extent *extents; /* [merged][data 1][data 2]... */
	size_t n_extents;
	uint64_t disk_size; /* bytes; end of the last extent, a multiple of 2 MiB */
	bool renewed;	    /* files are not as they were recorded, but good: survey them again */
};
void image_free(struct image *img);
DEFINE_AUTO(struct image *, image_free);

/**
 * image_open() - Check an image of the store and open its pieces
 * @run:	Holds all pieces until it is closed
 * @manifest_digest: "sha256:..."
 * @known:	The files as they were recorded; NULL: only their form is looked at
 * @err:	NOT_FOUND; IO with reason "image-corrupt": a piece is missing or was set aside
 *
 * Size, inode number and mtime of each file are compared with the record, superblocks are checked: some
 * microseconds.  A file that differs is read and compared with its digest.
 */
MUST_CHECK int image_open(struct store_run *run, const char *manifest_digest,
			  const struct image_files *known, struct image **ret_image,
			  struct err *err);

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
