/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_CREATION_H
#define RUNTIME_CREATION_H

#include "runtime/internal.h"

/*
 * What a create or a start has made so far and must undo.  Steps in order: the spec, then
 * creation_prepare(), a run folder and a row in state "starting", creation_disk(), creation_boot().
 */
struct creation {
	struct home *home;	 /* borrowed */
	const struct call *call; /* borrowed; may be NULL */
	unsigned flags;		 /* SANDBOX_DETACHED ... */
	uint64_t linger_ms;	 /* of this boot; 0: none */
	struct spec spec;
	char id[SANDBOX_ID_LEN + 1];
	char name[129];
	struct store_run *run; /* holds the image until the row is written */
	struct image *image;
	char *image_digest;
	struct runtime_files files;
	struct root_disk disk; /* a disk image as root */
	struct disk_upper upper;
	int run_dir, lock;
	bool has_folder, has_row, reused, done; /* has_row: and so the folder */
	bool keep_logs;				/* what failed is worth a look */
};
#define CREATION_INIT(h, c, f)                                                                     \
	((struct creation){                                                                        \
		.home = (h),                                                                       \
		.call = (c),                                                                       \
		.flags = (f),                                                                      \
		.files = { .kernel = -1, .initramfs = -1, .modules = -1 },                         \
		.run_dir = -1,                                                                     \
		.lock = -1,                                                                        \
		.upper = { .fd = -1 },                                                             \
	})
/* Release it, and undo what was made if it is not done. */
void creation_done(struct creation *c);
static inline void creation_done_auto(struct creation *c)
{
	creation_done(c);
}

/**
 * creation_prepare() - Everything that can be wrong without anything made yet
 * @image:	What to open as the image: text of the spec, or a digest
 */
MUST_CHECK int creation_prepare(struct creation *c, const char *image, struct err *err);
/* MSB_HOME/run/ID with its lock taken; it has its name only then. SANDBOX_EXISTS: it is in use. */
MUST_CHECK int creation_folder(struct creation *c, struct err *err);
/* From an ended row to "starting", with its run folder. BUSY or EXISTS: another has it. */
MUST_CHECK int creation_claim(struct creation *c, const struct state_sandbox *row, struct err *err);
MUST_CHECK int creation_disk(struct creation *c, struct err *err);
/* Boot, and a handle to what runs then. */
MUST_CHECK int creation_boot(struct creation *c, struct sandbox **ret_sb, struct err *err);
/* SANDBOX_EXISTS */
int creation_name_taken(const struct creation *c, const char *status, struct err *err);

#endif /* RUNTIME_CREATION_H */
